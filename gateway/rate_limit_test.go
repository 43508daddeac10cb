package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

// limited is a gateway whose limits are 3 a minute and 2 a minute.
func limited(t *testing.T, cache store.Cache, clk *clock) *gateway.Gateway {
	t.Helper()
	return newGateway(t, gateway.Config{
		Authenticators: gateway.Credentials(users{}), Authorizer: users{}, Cache: cache, Now: clk.Now,
		RateLimit:       gateway.Rate{Requests: 3, Period: time.Minute},
		SignInRateLimit: gateway.Rate{Requests: 2, Period: time.Minute},
		TrustedProxies:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, // what httptest calls from
	},
		route("things.get", "GET", "/v1/things", platform.Require("things.read"), say("ok")),
		route("news", "GET", "/v1/news", platform.Public(), say("ok")),
		route("auth.login", "POST", "/v1/auth/login", platform.Public(), say("ok")))
}

func TestRateLimit(t *testing.T) {
	clk := newClock()
	g := limited(t, memory.NewCache(1<<20, memory.WithNow(clk.Now)), clk)
	step := func(status int, remaining string, method, path string, headers ...string) *httptest.ResponseRecorder {
		t.Helper()
		w := call(g, method, path, headers...)
		if w.Code != status || !strings.Contains(w.Header().Get("RateLimit"), ";r="+remaining+";") {
			t.Errorf("%s %v: %d, RateLimit %q; want %d and %s remaining", path, headers, w.Code, w.Header().Get("RateLimit"), status, remaining)
		}
		return w
	}
	w := step(200, "2", "GET", "/v1/things", alice)
	if got := w.Header().Get("RateLimit-Policy"); got != `"default";q=3;w=60` {
		t.Errorf("policy %q", got)
	}
	clk.Advance(15500 * time.Millisecond)
	step(200, "1", "GET", "/v1/things", alice)
	if got := step(200, "0", "GET", "/v1/things", alice).Header().Get("RateLimit"); got != `"default";r=0;t=45` {
		t.Errorf("RateLimit %q", got)
	}
	w = step(429, "0", "GET", "/v1/things", alice)
	wantProblem(t, w, 429, "limited")
	if got := w.Header().Get("Retry-After"); got != "45" {
		t.Errorf("Retry-After %q", got)
	}
	// Neither another subject, nor another tenant's of the same name, nor who
	// comes without a credential.
	step(200, "2", "GET", "/v1/things", bob)
	step(200, "2", "GET", "/v1/things", "Authorization: Bearer org_z.alice")
	step(200, "2", "GET", "/v1/news", alice)
	clk.Advance(44400 * time.Millisecond)
	step(429, "0", "GET", "/v1/things", alice)
	clk.Advance(100 * time.Millisecond) // the window ends
	step(200, "2", "GET", "/v1/things", alice)
}

func TestRateLimitByClient(t *testing.T) {
	clk := newClock()
	g := limited(t, memory.NewCache(1<<20, memory.WithNow(clk.Now)), clk)
	login := func(client string) int {
		return call(g, "POST", "/v1/auth/login", "X-Forwarded-For: 6.6.6.6, "+client).Code
	}
	for i, c := range []struct {
		client string
		status int
	}{
		{"198.51.100.1", 200},
		{"198.51.100.1", 200},
		{"198.51.100.1", 429},
		{"198.51.100.2", 200},
		{"2001:db8:0:1::1", 200},
		{"2001:db8:0:1::2", 200},
		{"2001:db8:0:1:ffff::3", 429}, // the same /64
		{"2001:db8:0:2::1", 200},
	} {
		if got := login(c.client); got != c.status {
			t.Errorf("%d: login of %s: %d, want %d", i, c.client, got, c.status)
		}
	}
	for range 10 {
		if w := call(g, "GET", "/livez"); w.Code != 200 {
			t.Errorf("a probe is limited: %d", w.Code)
		}
	}
}

func TestRateLimitIsExact(t *testing.T) {
	const limit = 100
	h := gateway.RateLimit(gateway.RateLimitConfig{
		Name: "x", Rate: gateway.Rate{Requests: limit, Period: time.Hour}, Cache: memory.NewCache(1 << 20),
	})(say("ok"))
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if call(h, "GET", "/").Code == 200 {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != limit {
		t.Errorf("%d passed, want %d", passed.Load(), limit)
	}
}

// Two limits on one cache do not count together, nor do two replicas of one
// limit count apart.
func TestRateLimitKeys(t *testing.T) {
	cache := memory.NewCache(1 << 20)
	make1 := func(name string, n int64) http.Handler {
		return gateway.RateLimit(gateway.RateLimitConfig{
			Name: name, Rate: gateway.Rate{Requests: n, Period: time.Hour}, Cache: cache,
		})(say("ok"))
	}
	if w := call(make1("a", 1), "GET", "/"); w.Code != 200 {
		t.Fatal(w.Code)
	}
	if w := call(make1("a", 1), "GET", "/"); w.Code != 429 {
		t.Errorf("the second replica: %d", w.Code)
	}
	for _, h := range []http.Handler{make1("b", 1), make1("a", 2)} {
		if w := call(h, "GET", "/"); w.Code != 200 {
			t.Errorf("another limit: %d", w.Code)
		}
	}
	if w := call(gateway.RateLimit(gateway.RateLimitConfig{Rate: gateway.NoLimit})(say("ok")), "GET", "/"); w.Code != 200 || w.Header().Get("RateLimit") != "" {
		t.Errorf("NoLimit: %d %v", w.Code, w.Header())
	}
}

// brokenCache fails while broken is set.
type brokenCache struct {
	store.Cache
	broken atomic.Bool
}

var errBroken = errors.New("connection refused")

func (c *brokenCache) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	if c.broken.Load() {
		return 0, 0, errBroken
	}
	return c.Cache.Increment(ctx, tenant, key, delta, ttl)
}

func (c *brokenCache) Get(ctx context.Context, tenant platform.TenantID, key string) ([]byte, bool, error) {
	if c.broken.Load() {
		return nil, false, errBroken
	}
	return c.Cache.Get(ctx, tenant, key)
}

func (c *brokenCache) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	if c.broken.Load() {
		return errBroken
	}
	return c.Cache.Set(ctx, tenant, key, value, ttl)
}

func TestRateLimitWithoutCache(t *testing.T) {
	clk := newClock()
	log := &logs{}
	cache := &brokenCache{Cache: memory.NewCache(1 << 20)}
	cache.broken.Store(true)
	cfg := config()
	cfg.Cache, cfg.Now, cfg.Logger = cache, clk.Now, log.logger()
	cfg.RateLimit = gateway.Rate{Requests: 2, Period: time.Minute}
	g := newGateway(t, cfg, route("things.get", "GET", "/v1/things", platform.Authenticated(), say("ok")))
	status := func(who string) string { return fmt.Sprint(call(g, "GET", "/v1/things", who).Code) }
	if got := status(alice) + status(alice) + status(alice) + status(zoe); got != "200200429200" {
		t.Errorf("while the cache is away: %s", got)
	}
	clk.Advance(time.Minute)
	if got := status(alice); got != "200" {
		t.Errorf("in the next window: %s", got)
	}
	if n := strings.Count(log.String(), "connection refused"); n != 1 {
		t.Errorf("%d lines about it, want 1", n)
	}
	cache.broken.Store(false)
	if got := status(alice) + status(alice) + status(alice); got != "200200429" || !strings.Contains(log.String(), "shared again") {
		t.Errorf("when it is back: %s", got)
	}
}
