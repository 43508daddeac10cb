package analytics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/routes"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/document"
)

func TestMain(m *testing.M) {
	if job, ok := os.LookupEnv(placeToFill); ok {
		var (
			round int
			place string
		)
		_, err := fmt.Sscan(job, &round, &place)
		if err == nil {
			err = fill(place, round)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(testdb.Main(m)) // on SQLite and on PostgreSQL
}

const (
	tenantA platform.TenantID = "org_a"
	tenantB platform.TenantID = "org_b"
)

// now is the clock of the tests.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newService returns a started service on a store of its own, or on cfg.DB.
func newService(tb testing.TB, cfg analytics.Config) *analytics.Service {
	tb.Helper()
	if cfg.DB == nil {
		cfg.DB = testdb.NewPlace(tb).Open(tb)
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return now }
	}
	s, err := analytics.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// ingest takes events and fails the test unless all are new.
func ingest(tb testing.TB, s *analytics.Service, tenant platform.TenantID, events ...analytics.Event) {
	tb.Helper()
	for len(events) > 0 {
		n := min(len(events), analytics.MaxEvents)
		got, err := s.Ingest(tb.Context(), platform.System(tenant, "test"), events[:n])
		if err != nil || got.Accepted != n {
			tb.Fatalf("ingest: got %+v, %v; want %d accepted", got, err, n)
		}
		events = events[n:]
	}
}

// count returns how many events of the name a tenant has in all.
func count(tb testing.TB, s *analytics.Service, tenant platform.TenantID, name string) int64 {
	tb.Helper()
	got, err := s.Breakdown(tb.Context(), platform.System(tenant, "test"), analytics.BreakdownQuery{Selection: all(name), Property: "x"})
	if err != nil {
		tb.Fatal(err)
	}
	n := got.Other
	for _, row := range got.Rows {
		n += row.Count
	}
	return n
}

// all selects the events of a name at any time.
func all(name string) analytics.Selection {
	return analytics.Selection{Event: name, From: date("1971-01-01"), To: date("2030-01-01")}
}

// date reads a date, or a time in RFC 3339.
func date(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			panic(err)
		}
	}
	return t
}

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}

func filter(tb testing.TB, raw string) document.Filter {
	tb.Helper()
	f, err := document.ParseFilter([]byte(raw))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// many makes n events with ids from the given prefix, a minute apart.
func many(prefix string, n int) []analytics.Event {
	events := make([]analytics.Event, n)
	for i := range events {
		events[i] = analytics.Event{ID: fmt.Sprintf("%s%d", prefix, i), Name: "n", Time: now.Add(-time.Duration(i) * time.Minute)}
	}
	return events
}

func post(h http.Handler, tenant platform.TenantID, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if tenant != "" {
		r = r.WithContext(withPrincipal(r.Context(), tenant))
	}
	h.ServeHTTP(w, r)
	return w
}

func handler(s *analytics.Service) http.Handler {
	return routes.Mux(s.Routes())
}

func withPrincipal(ctx context.Context, tenant platform.TenantID) context.Context {
	return platform.WithPrincipal(ctx, platform.Principal{Tenant: tenant, Subject: "usr_1"})
}
