package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

// origin is a handler that counts its calls and answers as it is told.
type origin struct {
	calls   int
	header  http.Header
	status  int
	body    string
	request http.Header // of the last call
}

func newOrigin(headers ...string) *origin {
	o := &origin{header: make(http.Header), status: 200, body: "body"}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		o.header.Add(name, value)
	}
	return o
}

// ServeHTTP answers 304 to a matching condition, as the services do.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.calls++
	o.request = r.Header.Clone()
	for name, values := range o.header {
		w.Header()[name] = values
	}
	if etag := o.header.Get("ETag"); etag != "" && r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	p, err := platform.PrincipalFrom(r.Context())
	if err == nil {
		w.Header().Set("X-For", p.Subject)
	}
	w.WriteHeader(o.status)
	_, _ = io.WriteString(w, o.body)
}

// cached is a gateway before the origin, with a private and a public route.
func cached(t *testing.T, o *origin, clk *clock) *gateway.Gateway {
	t.Helper()
	private := route("things.get", "GET", "/private", platform.Authenticated(), o.ServeHTTP)
	public := route("keys", "GET", "/public", platform.Public(), o.ServeHTTP)
	private.Cacheable, public.Cacheable = true, true
	cfg := config()
	cfg.Cache, cfg.Now = memory.NewCache(4<<20, memory.WithNow(clk.Now)), clk.Now
	return newGateway(t, cfg, private, public)
}

func TestCacheFreshness(t *testing.T) {
	clk := newClock()
	o := newOrigin("Cache-Control: private, max-age=60", "ETag: \"1\"", "Content-Type: text/plain", "Content-Language: en")
	g := cached(t, o, clk)
	get := func(status, calls int, body, age string, headers ...string) *httptest.ResponseRecorder {
		t.Helper()
		w := call(g, "GET", "/private?a=b", append([]string{alice}, headers...)...)
		if w.Code != status || o.calls != calls || w.Body.String() != body || w.Header().Get("Age") != age {
			t.Errorf("got %d %q, Age %q, after %d calls; want %d %q %q %d", w.Code, w.Body, w.Header().Get("Age"), o.calls, status, body, age, calls)
		}
		return w
	}
	get(200, 1, "body", "")
	clk.Advance(10 * time.Second)
	w := get(200, 1, "body", "10")
	for name, want := range map[string]string{
		"Cache-Control": "private, max-age=60", "Etag": `"1"`, "Content-Type": "text/plain", "X-For": "alice",
		"Date": "Fri, 02 Jan 2026 03:04:05 GMT", "Vary": "Authorization, X-API-Key", "Content-Length": "4", "X-Frame-Options": "DENY",
	} {
		if got := w.Header().Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// The request's own headers do not come out of the cache.
	if a, b := get(200, 1, "body", "10", "X-Request-Id: r1"), get(200, 1, "body", "10", "X-Request-Id: r2"); a.Header().Get("X-Request-Id") != "r1" ||
		b.Header().Get("X-Request-Id") != "r2" || a.Header().Get("RateLimit") == b.Header().Get("RateLimit") {
		t.Errorf("headers of another request: %v %v", a.Header(), b.Header())
	}
	w = get(304, 1, "", "10", `If-None-Match: "0", W/"1"`)
	if w.Header().Get("ETag") != `"1"` || w.Header().Get("Content-Type") != "" || w.Header().Get("Content-Language") != "" {
		t.Errorf("304 with %v", w.Header())
	}
	get(200, 1, "body", "10", `If-None-Match: "0"`)
	get(200, 1, "body", "10", "Cache-Control: max-age=10")
	get(200, 1, "body", "10", "Cache-Control: only-if-cached")

	get(200, 2, "body", "0", "Cache-Control: max-age=9") // confirmed: it is new again
	get(200, 3, "body", "0", "Cache-Control: no-cache")
	get(200, 4, "body", "0", "Pragma: no-cache")
	get(200, 5, "body", "", "Cache-Control: no-store")
	get(200, 6, "body", "", "Range: bytes=0-1")
	clk.Advance(60 * time.Second)
	get(200, 7, "body", "0") // no longer fresh: asked, and confirmed
	if o.request.Get("If-None-Match") != `"1"` {
		t.Errorf("not asked for confirmation: %v", o.request)
	}
	get(200, 7, "body", "0")
	clk.Advance(61 * time.Second)
	wantProblem(t, call(g, "GET", "/private?a=b", alice, "Cache-Control: only-if-cached"), 504, "not_cached")
	o.body = "new"
	o.header.Set("ETag", `"2"`)
	get(304, 8, "", "", `If-None-Match: "2"`) // the caller has the new one, the cache the old one
	get(200, 8, "new", "0")
	if w := call(g, "HEAD", "/private?a=b", alice); w.Code != 200 || o.calls != 9 {
		t.Errorf("HEAD: %d after %d calls", w.Code, o.calls)
	}
}

func TestCacheRevalidates(t *testing.T) {
	clk := newClock()
	o := newOrigin("Cache-Control: private, no-cache", "ETag: \"1\"")
	g := cached(t, o, clk)
	for i := range 3 {
		if w := call(g, "GET", "/private", alice); w.Code != 200 || w.Body.String() != "body" || o.calls != i+1 {
			t.Fatalf("%d: got %d %s after %d calls", i, w.Code, w.Body, o.calls)
		}
	}
	if o.request.Get("If-None-Match") != `"1"` {
		t.Errorf("no-cache must be confirmed with the entity tag: %v", o.request)
	}
	if w := call(g, "GET", "/private", alice, `If-None-Match: "1"`); w.Code != 304 || w.Header().Get("ETag") != `"1"` {
		t.Errorf("got %d %v", w.Code, w.Header())
	}
}

// Whoever asks gets what the handler made for them, and for nobody else.
func TestCacheIsolation(t *testing.T) {
	o := newOrigin("Cache-Control: max-age=60") // without "private": who asks counts all the same
	g := cached(t, o, newClock())
	for range 2 {
		for _, c := range [][2]string{
			{alice, "alice"}, {bob, "bob"}, {zoe, "zoe"}, {"Authorization: Bearer org_z.alice", "alice"}, {guest, "guest"},
		} {
			if w := call(g, "GET", "/private", c[0]); w.Header().Get("X-For") != c[1] {
				t.Errorf("%s got the answer of %s", c[1], w.Header().Get("X-For"))
			}
		}
	}
	if o.calls != 5 {
		t.Errorf("%d calls for 5 principals", o.calls)
	}
	call(g, "GET", "/private?x=1", alice)
	call(g, "GET", "/private", alice, "Accept: text/csv")
	if o.calls != 7 {
		t.Errorf("another URL or Accept came from the cache: %d calls", o.calls)
	}
	wantProblem(t, call(g, "GET", "/private"), 401, "unauthenticated")
}

func TestCacheKeepsScopesApart(t *testing.T) {
	o := newOrigin("Cache-Control: max-age=60")
	h := gateway.Cache(gateway.CacheConfig{Store: memory.NewCache(1 << 20)})(o)
	principals := []platform.Principal{
		{Tenant: "org_a", Subject: "alice"},
		{Tenant: "org_a", Subject: "alice", Scopes: []string{}},
		{Tenant: "org_a", Subject: "alice", Scopes: []string{"a", "b"}},
		{Tenant: "org_a", Subject: "alice", Roles: []string{"a", "b"}},
		{Tenant: "org_a", Subject: "alice", Roles: []string{"ab"}},
		{Tenant: "org_a", Subject: "alice", Credential: "key_1"},
		{Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalAPIKey},
	}
	for i, p := range principals {
		for range 2 {
			r := httptest.NewRequest(http.MethodGet, "/x", nil)
			h.ServeHTTP(httptest.NewRecorder(), r.WithContext(platform.WithPrincipal(r.Context(), p)))
		}
		if o.calls != i+1 {
			t.Errorf("principal %d: %d calls", i, o.calls)
		}
	}
	for range 2 { // without a principal there is nobody to keep it for
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
	}
	if o.calls != len(principals)+2 {
		t.Errorf("kept for nobody: %d calls", o.calls)
	}
}

// What must be confirmed on each use is written now and then, and stays.
func TestCacheWritesSeldom(t *testing.T) {
	clk := newClock()
	spy := &tenants{Cache: memory.NewCache(1<<20, memory.WithNow(clk.Now))}
	o := newOrigin("Cache-Control: no-cache", `ETag: "1"`)
	h := gateway.Cache(gateway.CacheConfig{Store: spy, Public: true, Now: clk.Now})(o)
	for range 20 {
		call(h, http.MethodGet, "/")
		clk.Advance(time.Minute)
	}
	if o.request.Get("If-None-Match") != `"1"` {
		t.Error("the entry was lost")
	}
	if writes := len(spy.seen) - 20; writes != 4 { // the first, and each after more than 5 minutes
		t.Errorf("%d writes for 20 reads", writes)
	}
}

// tenants notes whose entries are asked for.
type tenants struct {
	store.Cache
	seen []platform.TenantID
}

func (c *tenants) Get(ctx context.Context, tenant platform.TenantID, key string) ([]byte, bool, error) {
	c.seen = append(c.seen, tenant)
	return c.Cache.Get(ctx, tenant, key)
}

func (c *tenants) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	c.seen = append(c.seen, tenant)
	return c.Cache.Set(ctx, tenant, key, value, ttl)
}

// The store's own wall between tenants stands behind the key.
func TestCacheNamesTenant(t *testing.T) {
	spy := &tenants{Cache: memory.NewCache(1 << 20)}
	private := route("things.get", "GET", "/private", platform.Authenticated(), newOrigin("Cache-Control: max-age=60").ServeHTTP)
	private.Cacheable = true
	cfg := config()
	cfg.Cache = spy
	g := newGateway(t, cfg, private)
	call(g, "GET", "/private", alice)
	call(g, "GET", "/private", zoe)
	if got := fmt.Sprint(spy.seen); got != "[org_a org_a org_z org_z]" {
		t.Errorf("asked for %s", got)
	}
}

func TestCacheRefuses(t *testing.T) {
	for name, headers := range map[string][]string{
		"no Cache-Control":   {"ETag: \"1\""},
		"no-store":           {"Cache-Control: no-store, max-age=60"},
		"nothing to go by":   {"Cache-Control: private"},
		"no-cache alone":     {"Cache-Control: no-cache"},
		"max-age=0":          {"Cache-Control: max-age=0"},
		"not a number":       {"Cache-Control: max-age=soon"},
		"Set-Cookie":         {"Cache-Control: max-age=60", "Set-Cookie: a=b"},
		"Vary: *":            {"Cache-Control: max-age=60", "Vary: *"},
		"a body cut short":   {"Cache-Control: max-age=60", "Content-Length: 5"},
		"status 404":         {"Cache-Control: max-age=60", "Status: 404"},
		"larger than it may": {"Cache-Control: max-age=60", "Large: yes"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(headers...)
			if o.header.Get("Large") != "" {
				o.body = strings.Repeat("x", 300<<10)
			}
			if s := o.header.Get("Status"); s != "" {
				o.status, _ = strconv.Atoi(s)
			}
			g := cached(t, o, newClock())
			for i := range 2 {
				if w := call(g, "GET", "/private", alice); w.Body.String() != o.body || w.Header().Get("Age") != "" {
					t.Errorf("got %d, Age %q", w.Code, w.Header().Get("Age"))
				}
				if o.calls != i+1 {
					t.Errorf("%d calls", o.calls)
				}
			}
		})
	}
}

func TestCacheVary(t *testing.T) {
	o := newOrigin("Cache-Control: max-age=60", "Vary: Accept-Language, Authorization")
	g := cached(t, o, newClock())
	for range 2 {
		w := call(g, "GET", "/private", alice, "Accept-Language: de")
		if o.calls != 1 || strings.Join(w.Header().Values("Vary"), "; ") != "Authorization, X-API-Key; Accept-Language, Authorization" {
			t.Errorf("%d calls, Vary %q", o.calls, w.Header().Values("Vary"))
		}
	}
	call(g, "GET", "/private", alice, "Accept-Language: fr")
	call(g, "GET", "/private", alice)
	if o.calls != 3 {
		t.Errorf("another language came from the cache: %d calls", o.calls)
	}
}

func TestCachePublic(t *testing.T) {
	o := newOrigin("Cache-Control: public, max-age=5, s-maxage=60")
	clk := newClock()
	g := cached(t, o, clk)
	call(g, "GET", "/public")
	clk.Advance(30 * time.Second)
	if w := call(g, "GET", "/public"); o.calls != 1 || w.Header().Get("Age") != "30" {
		t.Errorf("%d calls, %v", o.calls, w.Header())
	}
	call(g, "GET", "/public", alice) // a credential may change the answer
	call(g, "GET", "/public", "Cookie: a=b")
	if o.calls != 3 {
		t.Errorf("%d calls", o.calls)
	}
	o.header.Set("Cache-Control", "private, max-age=60")
	clk.Advance(time.Minute)
	call(g, "GET", "/public")
	call(g, "GET", "/public")
	if o.calls != 5 {
		t.Errorf("a private answer was shared: %d calls", o.calls)
	}
}

// Without its store the cache is not there.
func TestCacheBroken(t *testing.T) {
	o := newOrigin("Cache-Control: max-age=60")
	c := &brokenCache{Cache: memory.NewCache(1 << 20)}
	c.broken.Store(true)
	log := &logs{}
	h := gateway.Cache(gateway.CacheConfig{Store: c, Public: true, Logger: log.logger()})(o)
	get := func() {
		t.Helper()
		if w := call(h, "GET", "/"); w.Code != 200 || w.Body.String() != "body" {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
	for range 5 {
		get()
	}
	// Once for reading, once for writing, whatever the number of requests.
	if n := strings.Count(log.String(), "connection refused"); o.calls != 5 || n != 2 {
		t.Errorf("%d calls, %d lines; log %s", o.calls, n, log)
	}
	c.broken.Store(false)
	for range 5 {
		get()
	}
	if n := strings.Count(log.String(), "works again"); o.calls != 6 || n != 2 {
		t.Errorf("%d calls, %d lines; log %s", o.calls, n, log)
	}
}
