package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
)

func perDay(n int64) platform.LimitsFunc {
	return func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{EventsPerDay: n}, nil
	}
}

func numbered(from, to int) []analytics.Event {
	var events []analytics.Event
	for i := from; i < to; i++ {
		events = append(events, analytics.Event{ID: fmt.Sprint("evt_", i), Name: "order.paid", Time: now})
	}
	return events
}

func used(t *testing.T, s *analytics.Service, tenant platform.TenantID) int64 {
	t.Helper()
	all, err := s.Usage(t.Context(), tenant)
	if err != nil || len(all) != 1 || all[0].Name != "analytics.events" || !all[0].Resets.After(now) {
		t.Fatalf("usage: %+v, %v", all, err)
	}
	return all[0].Used
}

// A tenant sends so many events in a day. What was there already is no use of it,
// and a call is taken whole or not.
func TestEventsOfADayHaveALimit(t *testing.T) {
	clock := testclock.At(now)
	s := newService(t, analytics.Config{Limits: perDay(10), Now: clock.Now})
	for i, c := range []struct {
		events   []analytics.Event
		accepted int
		refused  bool
	}{
		{numbered(0, 7), 7, false},
		{numbered(0, 7), 0, false},
		{numbered(5, 11), 0, true},
		{numbered(5, 10), 3, false},
		{numbered(20, 21), 0, true},
	} {
		got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), c.events)
		var e *platform.Error
		if refused := errors.As(err, &e); refused != c.refused || got.Accepted != c.accepted ||
			refused && (e.Kind != platform.KindLimited || e.RetryAfter != 12*time.Hour) {
			t.Errorf("call %d: %d accepted, %v", i, got.Accepted, err)
		}
	}
	if n := used(t, s, tenantA); n != 10 {
		t.Errorf("%d are used, want 10", n)
	}
	if got, err := s.Ingest(t.Context(), platform.System(tenantB, "test"), numbered(0, 10)); err != nil || got.Accepted != 10 {
		t.Errorf("another tenant: %+v, %v", got, err)
	}
	clock.Advance(12 * time.Hour)
	if got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), numbered(30, 40)); err != nil || got.Accepted != 10 {
		t.Errorf("the next day: %+v, %v", got, err)
	}
}

// Calls that share a transaction are refused each for itself, and together take no
// more than there is.
func TestConcurrentCallsTakeWhatThereIs(t *testing.T) {
	s := newService(t, analytics.Config{Limits: perDay(50)})
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		accepted int
	)
	for i := range 40 {
		wg.Go(func() {
			got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), numbered(i*3, i*3+3))
			if err != nil && !errors.Is(err, &platform.Error{Kind: platform.KindLimited, Code: "rate_exceeded"}) {
				t.Error(err)
			}
			mu.Lock()
			accepted += got.Accepted
			mu.Unlock()
		})
	}
	wg.Wait()
	if accepted != 48 || used(t, s, tenantA) != 48 {
		t.Errorf("%d were accepted, %d are used, want 48", accepted, used(t, s, tenantA))
	}
}

func TestLimitsThatCannotBeReadTakeNothing(t *testing.T) {
	fault := errors.New("away")
	s := newService(t, analytics.Config{Limits: func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{}, fault
	}})
	if _, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), numbered(0, 1)); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
}

func TestALimitOverHTTP(t *testing.T) {
	s := newService(t, analytics.Config{Limits: perDay(1)})
	for i, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		got := post(handler(s), tenantA, "/v1/analytics/events", fmt.Sprintf(`{"id":"e%d","name":"n"}`, i))
		if got.Code != want || want == http.StatusTooManyRequests && got.Header().Get("Retry-After") == "" {
			t.Errorf("event %d: %d %s", i, got.Code, got.Body)
		}
	}
}

// kept returns the ids of a tenant's events.
func kept(t *testing.T, db store.Relational, tenant platform.TenantID) (ids []string) {
	t.Helper()
	err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		return tx.NewRaw("SELECT id FROM analytics_events WHERE tenant = ? ORDER BY id", tenant).Scan(ctx, &ids)
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// Events are removed some time after they came in, of every tenant and name, in
// small steps, and by a service that is started again. History that was imported
// late stays as long as anything else.
func TestOldEventsAreRemoved(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	const month = 30 * 24 * time.Hour
	clock := testclock.At(now)
	cfg := analytics.Config{DB: db, Retention: month, Now: clock.Now}
	s := newService(t, cfg)
	send := func(prefix, name string, n int, at time.Time) {
		t.Helper()
		events := make([]analytics.Event, 0, n)
		for i := range n {
			events = append(events, analytics.Event{ID: fmt.Sprintf("%s_%04d", prefix, i), Name: name, Time: at})
		}
		for _, tenant := range []platform.TenantID{tenantA, tenantB} {
			if r, err := s.Ingest(t.Context(), platform.System(tenant, "test"), events); err != nil || r.Accepted != n {
				t.Fatalf("%+v, %v", r, err)
			}
		}
	}
	send("old", "a", 1200, now) // more than two steps
	send("old_z", "z", 1, now.Add(time.Hour))
	clock.Advance(month)
	send("history", "a", 700, now.AddDate(-20, 0, 0)) // more than a step, in front of the old
	send("young", "a", 1, clock.Now())
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	clock.Advance(time.Minute)
	next, err := analytics.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	step := analytics.RemoveOld(next)
	for before := 1902; ; {
		more, err := step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left := len(kept(t, db, tenantA))
		if before-left > 500 {
			t.Errorf("a step removed %d events", before-left)
		}
		if before = left; !more {
			break
		}
	}
	for _, tenant := range []platform.TenantID{tenantA, tenantB} {
		got := kept(t, db, tenant)
		if len(got) != 701 || got[0] != "history_0000" || got[700] != "young_0000" {
			t.Errorf("%s keeps %d events", tenant, len(got))
		}
	}
}

func TestRetentionIsOffByChoice(t *testing.T) {
	if _, err := analytics.New(analytics.Config{DB: testdb.NewPlace(t).Open(t), Retention: time.Hour}); err == nil {
		t.Error("an hour was taken")
	}
	s := newService(t, analytics.Config{Retention: -1})
	got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), []analytics.Event{{ID: "old", Name: "a", Time: now.AddDate(-20, 0, 0)}})
	if err != nil || got.Accepted != 1 {
		t.Errorf("an old event: %+v, %v", got, err)
	}
}
