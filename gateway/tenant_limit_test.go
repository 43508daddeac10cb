package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
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

// plans gives each tenant the same limits; org_a and org_b have one share.
func plans(l platform.Limits) platform.LimitsFunc {
	return func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
		limits := l
		if tenant == "org_a" || tenant == "org_b" {
			limits.Share = "usr_creator"
		}
		return limits, nil
	}
}

// askedCache counts the calls for shares, and fails them while broken.
type askedCache struct {
	store.Cache
	shares atomic.Int64
	broken atomic.Bool
}

func (c *askedCache) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	if strings.HasPrefix(key, "rate:share:") {
		if c.shares.Add(1); c.broken.Load() {
			return 0, 0, errors.New("the cache is away")
		}
	}
	return c.Cache.Increment(ctx, tenant, key, delta, ttl)
}

func tenantGateway(t *testing.T, cache store.Cache, clk *clock, rate gateway.Rate, limits platform.LimitsFunc) *gateway.Gateway {
	t.Helper()
	cfg := config()
	cfg.Cache, cfg.Now, cfg.RateLimit, cfg.Limits = cache, clk.Now, rate, limits
	return newGateway(t, cfg, route("things.get", "GET", "/v1/things", platform.Require("things.read"), noContent))
}

// The principals of a tenant, and of tenants of one share, have one limit
// beside their own.
func TestTenantRateLimit(t *testing.T) {
	clk := newClock()
	cache := memory.NewCache(1<<20, memory.WithNow(clk.Now))
	g := tenantGateway(t, cache, clk, gateway.Rate{Requests: 4, Period: time.Minute}, plans(platform.Limits{RequestsPerMinute: 6}))
	get := func(status int, who string) *httptest.ResponseRecorder {
		t.Helper()
		w := call(g, "GET", "/v1/things", who)
		if w.Code != status {
			t.Errorf("%s: %d %s, want %d", who, w.Code, w.Body, status)
		}
		return w
	}
	w := get(204, alice)
	if p, r := w.Header()["Ratelimit-Policy"], w.Header()["Ratelimit"]; strings.Join(p, ", ") != `"default";q=4;w=60, "organization";q=6;w=60` ||
		strings.Join(r, ", ") != `"default";r=3;t=60, "organization";r=5;t=60` {
		t.Errorf("policy %q, limit %q", p, r)
	}
	for range 3 {
		get(204, alice)
	}
	// What one principal sends beyond its limit is not taken from the others.
	for range 20 {
		wantProblem(t, get(429, alice), 429, "limited")
	}
	get(204, bob)
	get(204, "Authorization: Bearer org_b.carol") // another tenant of the same creator
	clk.Advance(20 * time.Second)
	w = get(429, bob)
	wantProblem(t, w, 429, "rate_exceeded")
	if got := w.Header().Get("Retry-After"); got != "40" || !strings.Contains(w.Body.String(), "requests of 6") {
		t.Errorf("Retry-After %q: %s", got, w.Body)
	}
	get(429, "Authorization: Bearer org_b.dan")
	get(204, zoe) // of another share
	clk.Advance(40 * time.Second)
	get(204, bob)
}

func TestTenantRateLimitOff(t *testing.T) {
	clk := newClock()
	cache := memory.NewCache(1 << 20)
	many := gateway.Rate{Requests: 1000, Period: time.Minute}
	for name, g := range map[string]*gateway.Gateway{
		"no rate limit":    tenantGateway(t, cache, clk, gateway.NoLimit, plans(platform.Limits{RequestsPerMinute: 1})),
		"a negative limit": tenantGateway(t, cache, clk, many, plans(platform.Limits{RequestsPerMinute: -1})),
		"the defaults":     tenantGateway(t, cache, clk, many, nil),
	} {
		for range 10 {
			w := call(g, "GET", "/v1/things", alice)
			if w.Code != 204 || (len(w.Header()["Ratelimit"]) == 2) != (name == "the defaults") {
				t.Errorf("%s: %d %v", name, w.Code, w.Header())
			}
		}
	}
	// Who does not know a plan lets nothing pass.
	broken := func(context.Context, platform.TenantID) (platform.Limits, error) {
		return platform.Limits{}, errors.New("no plans")
	}
	wantProblem(t, call(tenantGateway(t, cache, clk, many, broken), "GET", "/v1/things", alice), 500, "internal")
}

// Replicas have one limit without asking each other for each request.
func TestTenantRateLimitOfReplicas(t *testing.T) {
	const limit, batch = 1000, 10
	clk := newClock()
	cache := &askedCache{Cache: memory.NewCache(1<<20, memory.WithNow(clk.Now))}
	many := gateway.Rate{Requests: 1 << 40, Period: time.Minute}
	replicas := []*gateway.Gateway{
		tenantGateway(t, cache, clk, many, plans(platform.Limits{RequestsPerMinute: limit})),
		tenantGateway(t, cache, clk, many, plans(platform.Limits{RequestsPerMinute: limit})),
	}
	var passed atomic.Int64
	flood := func() {
		passed.Store(0)
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for range limit / 4 {
					if w := call(replicas[i%2], "GET", "/v1/things", alice); w.Code == 204 {
						passed.Add(1)
					}
				}
			})
		}
		callers.Wait()
	}
	flood()
	if n := passed.Load(); n < limit || n > limit+2*batch {
		t.Errorf("%d requests passed, want %d to %d", n, limit, limit+2*batch)
	}
	if n := cache.shares.Load(); n > limit/batch+2 {
		t.Errorf("%d requests asked the cache", n)
	}
	clk.Advance(time.Minute)
	cache.broken.Store(true)
	if flood(); passed.Load() != 2*limit {
		t.Errorf("without the cache %d passed, want the limit of each of two", passed.Load())
	}
}

// One share has a number of live streams, wherever they come from.
func TestLiveStreamsOfAShare(t *testing.T) {
	live := func(operation, path string, h http.Handler) platform.Route {
		return platform.Route{Operation: operation, Method: "GET", Path: path, Access: platform.Authenticated(), Stream: true, Live: true, Handler: h}
	}
	wait := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	u := remote("http://a.test")
	u.Routes = append(u.Routes, live("remote.live", "/v1/there", nil))
	u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
		resp := answer(r, http.StatusOK)
		resp.Header.Set("Content-Type", "text/event-stream")
		body, end := io.Pipe()
		context.AfterFunc(r.Context(), func() { _ = end.CloseWithError(r.Context().Err()) })
		resp.Body = body
		return resp, nil
	})
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Upstreams, cfg.Limits = []gateway.Upstream{u}, plans(platform.Limits{Streams: 3})
	s := httptest.NewServer(newGateway(t, cfg, live("here.live", "/v1/here", wait)))
	defer s.Close()
	open := func(path, credential string) (status int, end func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+credential)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
		}
		return resp.StatusCode, func() { cancel(); _ = resp.Body.Close() }
	}
	var ends []func()
	for i, c := range []struct {
		path, who string
		status    int
	}{
		{"/v1/here", "org_a.alice", 200},
		{"/v1/there", "org_a.bob", 200},
		{"/v1/there", "org_b.carol", 200},
		{"/v1/here", "org_a.dan", 429},
		{"/v1/there", "org_b.carol", 429},
		{"/v1/here", "org_z.zoe", 200},
	} {
		status, end := open(c.path, c.who)
		ends = append(ends, end)
		if status != c.status {
			t.Errorf("%d: %s of %s: %d, want %d", i, c.path, c.who, status, c.status)
		}
	}
	ends[0]()
	for deadline := time.Now().Add(10 * time.Second); ; {
		status, end := open("/v1/there", "org_a.dan")
		ends = append(ends, end)
		if status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a stream that has ended keeps its place")
		}
	}
	for _, end := range ends {
		end()
	}
}
