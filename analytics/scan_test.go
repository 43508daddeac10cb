package analytics_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/store"
)

// questions are one of each kind, over all events named "n".
func questions(s *analytics.Service, tenant platform.TenantID) map[string]func(context.Context) error {
	series := analytics.SeriesQuery{Selection: all("n"), Interval: analytics.Month}
	groups := series
	groups.Breakdown = "x"
	return map[string]func(context.Context) error{
		"series": func(ctx context.Context) error {
			_, err := s.Series(ctx, platform.System(tenant, "test"), series)
			return err
		},
		"groups": func(ctx context.Context) error {
			_, err := s.Series(ctx, platform.System(tenant, "test"), groups)
			return err
		},
		"unique": func(ctx context.Context) error {
			_, err := s.Uniques(ctx, platform.System(tenant, "test"), series)
			return err
		},
		"break": func(ctx context.Context) error {
			_, err := s.Breakdown(ctx, platform.System(tenant, "test"), analytics.BreakdownQuery{Selection: all("n"), Property: "x"})
			return err
		},
	}
}

// TestQuestionsAreScans asks while another scan of the tenant has its slot: what
// reads much is refused, what reads little and what others ask is answered.
func TestQuestionsAreScans(t *testing.T) {
	scans, err := store.NewScans(store.ScanConfig{Cores: 1, Open: 2, Line: 1})
	if err != nil {
		t.Fatal(err)
	}
	limits := func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{Scans: 1}, nil
	}
	s := newService(t, analytics.Config{Scans: scans, Limits: limits})
	many := make([]analytics.Event, store.ShortReads+1)
	for i := range many {
		many[i] = analytics.Event{Name: "n", User: "u", Time: now}
	}
	ingest(t, s, tenantA, many...)
	ingest(t, s, tenantB, many...)
	ingest(t, s, tenantA, analytics.Event{Name: "rare", User: "u", Time: now})

	done := fillScans(t, scans, tenantA)
	for name, ask := range questions(s, tenantA) {
		if err := ask(t.Context()); !errors.Is(err, platform.ErrLimited) {
			t.Errorf("%s: %v, want KindLimited", name, err)
		}
	}
	w := post(handler(s), tenantA, "/v1/analytics/query/breakdown", `{"event":"n","from":"2020-01-01","to":"2030-01-01","property":"x"}`)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "scans_exceeded") {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	if n := count(t, s, tenantA, "rare"); n != 1 {
		t.Errorf("%d events", n)
	}
	for name, ask := range questions(s, tenantB) {
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s of another tenant: %v", name, err)
		}
	}
	done()
	for name, ask := range questions(s, tenantA) {
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fillScans has one scan of the tenant run and another one wait, until done is
// called.
func fillScans(t *testing.T, scans *store.Scans, tenant platform.TenantID) (done func()) {
	t.Helper()
	limits := func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{Scans: 1}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	began, ended := make(chan struct{}, 2), make(chan error, 2)
	for range 2 {
		go func() {
			ended <- scans.Scan(ctx, limits, tenant, func(ctx context.Context, _ *store.Budget) error {
				began <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})
		}()
	}
	<-began
	for scans.Waiting(string(tenant)) == 0 {
		runtime.Gosched()
	}
	return func() {
		cancel()
		<-ended
		<-ended
	}
}

// TestQuestionsAreBounded asks what a scan may not read.
func TestQuestionsAreBounded(t *testing.T) {
	scans, err := store.NewScans(store.ScanConfig{MaxReads: store.ShortReads + 1})
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, analytics.Config{Scans: scans})
	events := make([]analytics.Event, store.ShortReads+1)
	for i := range events {
		events[i] = analytics.Event{Name: "n", User: "u", Time: now}
	}
	ingest(t, s, tenantA, events...)
	for name, ask := range questions(s, tenantA) {
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ingest(t, s, tenantA, analytics.Event{Name: "n", User: "u", Time: now})
	for name, ask := range questions(s, tenantA) {
		if err := ask(t.Context()); !errors.Is(err, store.ErrTooCostly) {
			t.Errorf("%s: %v, want ErrTooCostly", name, err)
		}
	}
}
