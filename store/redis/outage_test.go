package redis_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/redis"
)

// outages are the ways in which a server goes and comes back.
func outages(tb testing.TB, s *teststack.Server) map[string][2]func() {
	tb.Helper()
	start := func() {
		s.Start(tb)
		answers(tb, s.URL())
	}
	return map[string][2]func(){
		"silence": {func() { s.Pause(tb) }, func() { s.Unpause(tb) }},
		"stop":    {func() { s.Stop(tb) }, start},
		"kill":    {func() { s.Kill(tb) }, start},
	}
}

// impatient is a client that soon gives up.
func impatient(tb testing.TB, s *teststack.Server, prefix string) *redis.Client {
	tb.Helper()
	return openWith(tb, redis.Config{
		URL: s.URL(), Prefix: prefix, Timeout: time.Second, Retry: 20 * time.Millisecond, Heartbeat: 100 * time.Millisecond,
	})
}

func TestOutage(t *testing.T) {
	s := teststack.Start(t, teststack.RedisServer)
	answers(t, s.URL())
	for name, outage := range outages(t, s) {
		t.Run(name, func(t *testing.T) {
			c := impatient(t, s, newPrefix())
			sub := subscribe(t, c.PubSub(), "live")
			set(t, c.Cache(), acme, "kept", "v")
			outage[0]()
			for round := range 3 {
				for name, call := range methods(c) {
					if err := call(t.Context(), acme); platform.KindOf(err) != platform.KindUnavailable {
						t.Errorf("%s in round %d: %v", name, round, err)
					}
				}
			}
			if err := c.Check(t.Context()); platform.KindOf(err) != platform.KindUnavailable {
				t.Errorf("the check says %v", err)
			}
			// By now nobody waits for the server any more.
			if _, _, err := c.Cache().Get(t.Context(), acme, "kept"); err == nil || !strings.Contains(err.Error(), "is being asked") {
				t.Errorf("a call is still made: %v", err)
			}
			outage[1]()
			until(t, "calls go through again", func() bool {
				_, _, err := c.Cache().Get(t.Context(), acme, "kept")
				return err == nil
			})
			want(t, c.Cache(), acme, "kept", "v")
			// The gap is told though nobody publishes anything.
			if m := receive(t, sub); m.Dropped == 0 || m.Payload != nil {
				t.Errorf("got %q after %d dropped, want a gap", m.Payload, m.Dropped)
			}
			publish(t, c.PubSub(), "live", "after")
			if m := receive(t, sub); string(m.Payload) != "after" || m.Dropped != 0 {
				t.Errorf("got %q after %d dropped", m.Payload, m.Dropped)
			}
		})
	}
}

// users verifies "tenant.subject" and lets everybody do all.
type users struct{}

func (users) Verify(_ context.Context, credential string) (platform.Principal, error) {
	tenant, subject, _ := strings.Cut(credential, ".")
	return platform.Principal{Tenant: platform.TenantID(tenant), Subject: subject, Kind: platform.PrincipalUser}, nil
}

func (users) Authorize(context.Context, platform.Principal, string) error { return nil }

// replica is one process of several: a gateway with a client of its own.
type replica struct {
	*gateway.Gateway
	client *redis.Client
	served *atomic.Int64 // how often the handler was asked
}

func (replica) Name() string { return "things" }

func (r replica) Routes() []platform.Route {
	return []platform.Route{{
		Operation: "things.get", Method: "GET", Path: "/v1/things", Access: platform.Authenticated(), Cacheable: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			r.served.Add(1)
			w.Header().Set("Cache-Control", "max-age=3600")
			_, _ = io.WriteString(w, "thing")
		}),
	}}
}

func newReplica(t *testing.T, s *teststack.Server, prefix string) replica {
	t.Helper()
	r := replica{client: impatient(t, s, prefix), served: new(atomic.Int64)}
	g, err := gateway.New(gateway.Config{
		Authenticators: gateway.Credentials(users{}), Authorizer: users{}, Cache: r.client.Cache(),
		RateLimit: gateway.Rate{Requests: 4, Period: time.Hour},
	}, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r.Gateway = g
	return r
}

// statuses makes requests as a subject and returns what came.
func (r replica) statuses(who string, n int) string {
	var all []string
	for range n {
		req := httptest.NewRequest(http.MethodGet, "/v1/things", nil)
		req.Header.Set("Authorization", "Bearer "+who)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		all = append(all, fmt.Sprint(w.Code))
	}
	return strings.Join(all, " ")
}

// A gateway over a Redis that becomes unavailable answers all the same: its limit is
// counted by each replica, never gone, and its cache misses.
func TestGatewayWithoutRedis(t *testing.T) {
	s := teststack.Start(t, teststack.RedisServer)
	answers(t, s.URL())
	for name, outage := range outages(t, s) {
		t.Run(name, func(t *testing.T) {
			prefix := newPrefix()
			one, two := newReplica(t, s, prefix), newReplica(t, s, prefix)
			if got := one.statuses("org_a.ann", 2) + " " + two.statuses("org_a.ann", 3); got != "200 200 200 200 429" {
				t.Errorf("together: %s", got)
			}
			if n := one.served.Load() + two.served.Load(); n != 1 {
				t.Errorf("the handler was asked %d times, want once for both", n)
			}
			if got := two.statuses("org_b.ann", 1); got != "200" {
				t.Errorf("another tenant: %s", got)
			}
			outage[0]()
			for _, r := range []replica{one, two} {
				before := r.served.Load()
				if got := r.statuses("org_a.bob", 6); got != "200 200 200 200 429 429" {
					t.Errorf("alone: %s", got)
				}
				if n := r.served.Load() - before; n != 4 {
					t.Errorf("the handler was asked %d times of 4", n)
				}
			}
			outage[1]()
			for _, r := range []replica{one, two} {
				until(t, "calls go through again", func() bool {
					_, _, err := r.client.Cache().Get(t.Context(), acme, "k")
					return err == nil
				})
			}
			if got := one.statuses("org_a.eve", 2) + " " + two.statuses("org_a.eve", 3); got != "200 200 200 200 429" {
				t.Errorf("together again: %s", got)
			}
			if got := one.statuses("org_a.ann", 1); got != "429" {
				t.Errorf("what was counted before: %s", got)
			}
		})
	}
}
