package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

func TestDuplicates(t *testing.T) {
	s := newService(t, analytics.Config{})
	event := analytics.Event{ID: "e1", Name: "n", Time: now}
	moved := event
	moved.Time = now.Add(-time.Hour)

	got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), []analytics.Event{event, event, {ID: "e2", Name: "n"}, moved})
	if err != nil || got.Accepted != 2 || got.Duplicates != 2 {
		t.Errorf("in one call: got %+v, %v", got, err)
	}
	got, err = s.Ingest(t.Context(), platform.System(tenantA, "test"), []analytics.Event{moved, {ID: "e3", Name: "n"}})
	if err != nil || got.Accepted != 1 || got.Duplicates != 1 {
		t.Errorf("in a second call: got %+v, %v", got, err)
	}
	if n := count(t, s, tenantA, "n"); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestWithoutID(t *testing.T) {
	ids := 0
	s := newService(t, analytics.Config{NewID: func(prefix string) string { ids++; return fmt.Sprintf("%s_%d", prefix, ids) }})
	ingest(t, s, tenantA, analytics.Event{Name: "n"}, analytics.Event{Name: "n"})
	if n := count(t, s, tenantA, "n"); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), []analytics.Event{{ID: "evt_1", Name: "n"}})
	if err != nil || got.Duplicates != 1 {
		t.Errorf("the made id: got %+v, %v", got, err)
	}
}

func TestDuplicatesAtOnce(t *testing.T) {
	s := newService(t, analytics.Config{})
	events := many("e", 50)
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		accepted int
	)
	for range 16 {
		wg.Go(func() {
			got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), events)
			if err != nil || got.Accepted+got.Duplicates != len(events) {
				t.Errorf("got %+v, %v", got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			accepted += got.Accepted
		})
	}
	wg.Wait()
	if n := count(t, s, tenantA, "n"); accepted != 50 || n != 50 {
		t.Errorf("%d accepted and %d there, want 50", accepted, n)
	}
}

// Two processes that get the same events at once, in whatever order, count each
// once; neither fails because of the other.
func TestDuplicatesInTwoProcesses(t *testing.T) {
	place := testdb.NewPlace(t)
	first := place.Open(t)
	services := []*analytics.Service{
		newService(t, analytics.Config{DB: first}), newService(t, analytics.Config{DB: place.Another(t, first)}),
	}
	const events, calls = 700, 8
	var (
		wg       sync.WaitGroup
		accepted atomic.Int64
	)
	for call := range calls {
		for i, s := range services {
			batch := many(fmt.Sprintf("%d.", call), events)
			if i == 1 {
				slices.Reverse(batch)
			}
			wg.Go(func() {
				got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), batch)
				if err != nil || got.Accepted+got.Duplicates != events {
					t.Errorf("got %+v, %v", got, err)
				}
				accepted.Add(int64(got.Accepted))
			})
		}
	}
	wg.Wait()
	if n := count(t, services[0], tenantA, "n"); n != events*calls || accepted.Load() != n {
		t.Errorf("%d accepted and %d there, want %d", accepted.Load(), n, events*calls)
	}
}

func TestRestart(t *testing.T) {
	place := testdb.NewPlace(t)
	events := many("e", 10)
	for round := range 3 {
		db := place.Open(t)
		s := newService(t, analytics.Config{DB: db})
		got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), events)
		if err != nil || (got.Accepted == 10) != (round == 0) {
			t.Fatalf("round %d: got %+v, %v", round, got, err)
		}
		if n := count(t, s, tenantA, "n"); n != 10 {
			t.Fatalf("round %d: %d events, want 10", round, n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTenants(t *testing.T) {
	s := newService(t, analytics.Config{})
	ingest(t, s, tenantA, many("e", 3)...)
	ingest(t, s, tenantB, many("e", 5)...)
	for tenant, want := range map[platform.TenantID]int64{tenantA: 3, tenantB: 5, "org_c": 0} {
		series, err := s.Series(t.Context(), platform.System(tenant, "test"), analytics.SeriesQuery{Selection: all("n"), Interval: analytics.Month})
		if err != nil || series[0].Total != want {
			t.Errorf("%s: got %v, %v; want %d", tenant, series[0].Total, err, want)
		}
		if got := count(t, s, tenant, "n"); got != want {
			t.Errorf("%s: the breakdown has %d, want %d", tenant, got, want)
		}
	}
	if _, err := s.Ingest(t.Context(), platform.System("", "test"), many("e", 1)); !errors.Is(err, platform.ErrUnauthenticated) {
		t.Errorf("ingest without a tenant: %v", err)
	}
	if _, err := s.Series(t.Context(), platform.System("", "test"), analytics.SeriesQuery{Selection: all("n"), Interval: analytics.Month}); !errors.Is(err, platform.ErrUnauthenticated) {
		t.Errorf("a series without a tenant: %v", err)
	}
}

func TestRejected(t *testing.T) {
	s := newService(t, analytics.Config{})
	props := func(s string) analytics.Event {
		return analytics.Event{ID: "e", Name: "n", Properties: json.RawMessage(s)}
	}
	at := func(t time.Time) analytics.Event { return analytics.Event{ID: "e", Name: "n", Time: t} }
	tenants := 0
	keys := make([]string, 257)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%d":1`, i)
	}
	for name, c := range map[string]struct {
		event analytics.Event
		code  string // "" is accepted
	}{
		"the longest":         {analytics.Event{ID: strings.Repeat("i", 128), Name: strings.Repeat("n", 128), User: strings.Repeat("u", 256)}, ""},
		"id too long":         {analytics.Event{ID: strings.Repeat("i", 129), Name: "n"}, "id_invalid"},
		"id not printable":    {analytics.Event{ID: "a\nb", Name: "n"}, "id_invalid"},
		"id not UTF-8":        {analytics.Event{ID: "a\xff", Name: "n"}, "id_invalid"},
		"no name":             {analytics.Event{ID: "e"}, "name_required"},
		"name too long":       {analytics.Event{ID: "e", Name: strings.Repeat("n", 129)}, "name_invalid"},
		"name not printable":  {analytics.Event{ID: "e", Name: "a\x00"}, "name_invalid"},
		"user too long":       {analytics.Event{ID: "e", Name: "n", User: strings.Repeat("u", 257)}, "user_invalid"},
		"user with a control": {analytics.Event{ID: "e", Name: "n", User: "a\tb"}, "user_invalid"},
		"user not UTF-8":      {analytics.Event{ID: "e", Name: "n", User: "\xff"}, "user_invalid"},
		"the first time":      {at(date("1971-01-01")), ""},
		"before it":           {at(date("1971-01-01").Add(-time.Microsecond)), "time_out_of_range"},
		"a clock ahead":       {at(now.Add(time.Hour)), ""},
		"too far ahead":       {at(now.Add(time.Hour + time.Microsecond)), "time_out_of_range"},
		"year 300000":         {at(time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC)), "time_out_of_range"},
		"properties":          {props(` {"a": {"b": [1, "{"]}} `), ""},
		"a list":              {props(`[1]`), "properties_invalid"},
		"a string":            {props(`"a"`), "properties_invalid"},
		"null":                {props(`null`), "properties_invalid"},
		"no JSON":             {props(`{"a":}`), "properties_invalid"},
		"empty":               {props(``), "properties_invalid"},
		"a key twice":         {props(`{"a":1,"a":2}`), "properties_invalid"},
		"a huge number":       {props(`{"a":1e9999}`), "properties_invalid"},
		"32 KiB":              {props(`{"a":"` + strings.Repeat("x", 32<<10-8) + `"}`), ""},
		"more than 32 KiB":    {props(`{"a":"` + strings.Repeat("x", 32<<10-7) + `"}`), "properties_too_large"},
		"256 keys":            {props(`{` + strings.Join(keys[:256], ",") + `}`), ""},
		"257 keys":            {props(`{` + strings.Join(keys, ",") + `}`), "properties_too_many"},
		"16 levels":           {props(strings.Repeat(`{"a":`, 15) + `{}` + strings.Repeat(`}`, 15)), ""},
		"17 levels":           {props(strings.Repeat(`{"a":`, 16) + `{}` + strings.Repeat(`}`, 16)), "properties_too_deep"},
		"10,000 levels":       {props(`{"a":` + strings.Repeat(`[`, 10_000)), "properties_too_deep"},
	} {
		t.Run(name, func(t *testing.T) {
			tenants++
			tenant := platform.TenantID(fmt.Sprintf("org_%d", tenants))
			got, err := s.Ingest(t.Context(), platform.System(tenant, "test"), []analytics.Event{{ID: "good1", Name: "n"}, c.event, {ID: "good2", Name: "n"}})
			if err != nil {
				t.Fatal(err)
			}
			if c.code == "" {
				if got.Accepted != 3 || len(got.Rejected) != 0 {
					t.Errorf("got %+v", got)
				}
				return
			}
			if got.Accepted != 2 || len(got.Rejected) != 1 || got.Rejected[0].Index != 1 || got.Rejected[0].Code != c.code {
				t.Fatalf("got %+v, want %s", got, c.code)
			}
			if id := got.Rejected[0].ID; (id == "e") != (c.code != "id_invalid") {
				t.Errorf("the rejection names %q", id)
			}
		})
	}
}

func TestTooMany(t *testing.T) {
	s := newService(t, analytics.Config{})
	if _, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), many("e", analytics.MaxEvents+1)); !errors.Is(err, platform.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	ingest(t, s, tenantA, many("e", analytics.MaxEvents)...)
	if got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), nil); err != nil || got.Accepted != 0 {
		t.Errorf("nothing: got %+v, %v", got, err)
	}
}

func TestLateEvents(t *testing.T) {
	s := newService(t, analytics.Config{})
	ingest(t, s, tenantA, analytics.Event{ID: "new", Name: "n", Time: date("2026-02-10")})
	ingest(t, s, tenantA, analytics.Event{ID: "late", Name: "n", Time: date("2026-01-10")})
	got, err := s.Series(t.Context(), platform.System(tenantA, "test"), analytics.SeriesQuery{
		Selection: analytics.Selection{Event: "n", From: date("2026-01-01"), To: date("2026-03-01")}, Interval: analytics.Month,
	})
	if err != nil || got[0].Points[0].N != 1 || got[0].Points[1].N != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestConfig(t *testing.T) {
	_, err := analytics.New(analytics.Config{MaxRows: -1, MaxGroups: -1, MaxPending: 1})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"DB", "MaxRows", "MaxGroups", "MaxPending"} {
		if !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

// gate is a store whose writing transactions fail, or wait for the answer that
// they get.
type gate struct {
	store.Relational
	entered chan struct{}
	let     chan error
}

func (g *gate) InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	if store.NewTxOptions(opts).ReadOnly {
		return g.Relational.InTenant(ctx, tenant, fn, opts...)
	}
	return g.Relational.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		// The rows are there, in the transaction, when it is decided.
		if err := fn(ctx, tx); err != nil {
			return err
		}
		g.entered <- struct{}{}
		return <-g.let
	}, opts...)
}

func TestAcknowledgedIsCommitted(t *testing.T) {
	g := &gate{
		Relational: testdb.NewPlace(t).Open(t),
		entered:    make(chan struct{}), let: make(chan error),
	}
	s := newService(t, analytics.Config{DB: g})
	full := platform.Errorf(platform.KindUnavailable, "full", "no room")
	for _, result := range []error{full, nil} {
		var (
			got  analytics.Result
			err  error
			done = make(chan struct{})
		)
		go func() {
			defer close(done)
			got, err = s.Ingest(t.Context(), platform.System(tenantA, "test"), many("e", 3))
		}()
		<-g.entered
		select {
		case <-done:
			t.Fatal("acknowledged before the commit")
		default:
		}
		g.let <- result
		<-done
		if !errors.Is(err, result) || (err == nil) != (got.Accepted == 3) {
			t.Errorf("got %+v, %v; want the error %v", got, err, result)
		}
		if n := count(t, s, tenantA, "n"); n != int64(got.Accepted) {
			t.Errorf("%d events, want %d", n, got.Accepted)
		}
	}
}

func TestCancelledContext(t *testing.T) {
	s := newService(t, analytics.Config{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Ingest(gone, platform.System(tenantA, "test"), many("e", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("ingest: %v", err)
	}
	if n := count(t, s, tenantA, "n"); n != 0 {
		t.Errorf("%d events of a call that was gone", n)
	}
	q := analytics.SeriesQuery{Selection: all("n"), Interval: analytics.Month}
	if _, err := s.Series(gone, platform.System(tenantA, "test"), q); !errors.Is(err, context.Canceled) {
		t.Errorf("series: %v", err)
	}
	if _, err := s.Uniques(gone, platform.System(tenantA, "test"), q); !errors.Is(err, context.Canceled) {
		t.Errorf("uniques: %v", err)
	}
}
