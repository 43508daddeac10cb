package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store/memory"
)

// who answers with the principal of the request.
func who(w http.ResponseWriter, r *http.Request) {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, p.String()+" "+r.PathValue("id"))
}

func created(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", "/v1/things/7")
	w.WriteHeader(http.StatusCreated)
}

func thingRoutes() []platform.Route {
	return []platform.Route{
		route("things.get", "GET", "/v1/things/{id}", platform.Require("things.read"), who),
		route("things.create", "POST", "/v1/things", platform.Require("things.write"), created),
		route("me.get", "GET", "/v1/me", platform.Authenticated(), who),
		route("news", "GET", "/v1/news", platform.Public(), say("news")),
		route("tree", "GET", "/v1/tree/{rest...}", platform.Public(), say("tree")),
		route("panics", "GET", "/v1/panics", platform.Public(), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"half"`)
			panic("secret plan")
		}),
		route("fails", "GET", "/v1/fails", platform.Public(), func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}),
	}
}

func TestAnswers(t *testing.T) {
	g := newGateway(t, config(), thingRoutes()...)
	for name, c := range map[string]struct {
		method, path, auth string
		status             int
		body               string
	}{
		"permission":    {"GET", "/v1/things/1", alice, 200, "user:alice@org_a 1"},
		"escaped":       {"GET", "/v1/things/a%2Fb", alice, 200, "user:alice@org_a a/b"},
		"authenticated": {"GET", "/v1/me", guest, 200, "user:guest@org_a "},
		"public":        {"GET", "/v1/news", "", 200, "news"},
		"subtree":       {"GET", "/v1/tree/a/b", "", 200, "tree"},
		"subtree root":  {"GET", "/v1/tree/", "", 200, "tree"},
		"head":          {"HEAD", "/v1/news", "", 200, "news"}, // the server drops the body
		"options":       {"OPTIONS", "/v1/news", "", 204, ""},
		"live":          {"GET", "/livez", "", 200, `{"status":"alive"}`},
		"ready":         {"GET", "/readyz", "", 200, `{"status":"ready","modules":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(g, c.method, c.path, headers(c.auth)...)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			if w.Header().Get("X-Request-Id") == "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers: %v", w.Header())
			}
		})
	}
}

func headers(lines ...string) []string {
	var out []string
	for _, l := range lines {
		if l != "" {
			out = append(out, l)
		}
	}
	return out
}

// Every refusal of the gateway itself is a problem, in whatever state.
func TestProblems(t *testing.T) {
	cfg := config()
	cfg.Timeout = time.Millisecond
	g := newGateway(t, cfg, thingRoutes()...)
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		code         string
	}{
		"unknown path":        {"GET", "/nothing", nil, 404, "not_found"},
		"empty path":          {"GET", "/", nil, 404, "not_found"},
		"wrong method":        {"DELETE", "/v1/news", nil, 405, "method_not_allowed"},
		"unknown method":      {"BREW", "/v1/news", nil, 405, "method_not_allowed"},
		"no redirect":         {"GET", "/v1/tree", nil, 404, "not_found"},
		"trailing slash":      {"GET", "/v1/news/", nil, 404, "not_found"},
		"double slash":        {"GET", "/v1//news", nil, 404, "not_found"},
		"dots":                {"GET", "/v1/tree/../news", nil, 404, "not_found"},
		"escaped dots":        {"GET", "/v1/tree/%2e%2e/news", nil, 404, "not_found"},
		"dots at the end":     {"GET", "/v1/tree/..", nil, 404, "not_found"},
		"options of nothing":  {"OPTIONS", "/nothing", nil, 404, "not_found"},
		"no credential":       {"GET", "/v1/me", nil, 401, "unauthenticated"},
		"unknown credential":  {"GET", "/v1/me", []string{unknown}, 401, "unauthenticated"},
		"other scheme":        {"GET", "/v1/me", []string{"Authorization: Basic YTpi"}, 401, "unauthenticated"},
		"no token":            {"GET", "/v1/me", []string{"Authorization: Bearer"}, 401, "unauthenticated"},
		"bad characters":      {"GET", "/v1/me", []string{"Authorization: Bearer a b"}, 401, "unauthenticated"},
		"long token":          {"GET", "/v1/me", []string{"Authorization: Bearer " + strings.Repeat("a", 9000)}, 401, "unauthenticated"},
		"empty key":           {"GET", "/v1/me", []string{"X-API-Key: "}, 401, "unauthenticated"},
		"two credentials":     {"GET", "/v1/me", []string{alice, "X-API-Key: org_a.bob"}, 400, "ambiguous_credential"},
		"two authorizations":  {"GET", "/v1/me", []string{alice, bob}, 400, "ambiguous_credential"},
		"no valid tenant":     {"GET", "/v1/things/1", []string{"Authorization: Bearer ~.alice"}, 401, "unauthenticated"},
		"forbidden":           {"GET", "/v1/things/1", []string{guest}, 403, "forbidden"},
		"panic":               {"GET", "/v1/panics", nil, 500, "internal"},
		"deadline":            {"GET", "/v1/fails", nil, 504, "timeout"},
		"unknown asset":       {"GET", "/docs/other.js", nil, 404, "not_found"},
		"docs with a slash":   {"GET", "/docs/", nil, 404, "not_found"},
		"method of a probe":   {"POST", "/livez", nil, 405, "method_not_allowed"},
		"method before login": {"PATCH", "/v1/me", nil, 405, "method_not_allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(g, c.method, c.path, c.headers...)
			wantProblem(t, w, c.status, c.code)
			if w.Header().Get("X-Request-Id") == "" {
				t.Error("no request id")
			}
			if cc := w.Header().Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control %q", cc)
			}
			if got := w.Header().Get("WWW-Authenticate"); (c.status == 401) != (got == "Bearer") {
				t.Errorf("WWW-Authenticate %q", got)
			}
			if c.status == 500 && (strings.Contains(w.Body.String(), "secret") || w.Header().Get("ETag") != "") {
				t.Errorf("leaks: %v %s", w.Header(), w.Body)
			}
		})
	}
	if got := call(g, "DELETE", "/v1/news").Header().Get("Allow"); got != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow: %q", got)
	}
}

func TestCredentials(t *testing.T) {
	g := newGateway(t, config(), thingRoutes()...)
	for _, h := range [][]string{
		{"Authorization: bearer org_a.alice"},
		{"X-API-Key: org_a.alice"},
		{alice, "X-API-Key: org_a.alice"},
		{"Authorization: Bearer  org_a.alice"},
	} {
		if w := call(g, "GET", "/v1/me", h...); w.Body.String() != "user:alice@org_a " {
			t.Errorf("%v: %d %s", h, w.Code, w.Body)
		}
	}
}

// A host mounts the gateway under a prefix, in the standard mux and in chi.
func TestMounted(t *testing.T) {
	cfg := config()
	cfg.BasePath = "/api"
	g := newGateway(t, cfg, thingRoutes()...)
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", g))
	mux.HandleFunc("/", say("host"))
	router := chi.NewRouter()
	router.Handle("/api/*", http.StripPrefix("/api", g))
	router.NotFound(say("host"))
	for name, h := range map[string]http.Handler{"ServeMux": mux, "chi": router} {
		t.Run(name, func(t *testing.T) {
			if w := call(h, "GET", "/api/v1/things/5", alice); w.Body.String() != "user:alice@org_a 5" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if w := call(h, "POST", "/api/v1/things", alice); w.Header().Get("Location") != "/api/v1/things/7" {
				t.Errorf("Location %q", w.Header().Get("Location"))
			}
			wantProblem(t, call(h, "GET", "/api/nothing"), 404, "not_found")
			wantProblem(t, call(h, "DELETE", "/api/v1/news"), 405, "method_not_allowed")
			wantProblem(t, call(h, "GET", "/api/v1/tree"), 404, "not_found")
			if w := call(h, "GET", "/other"); w.Body.String() != "host" {
				t.Errorf("the host's own route: %s", w.Body)
			}
			if w := call(h, "GET", "/api/openapi.json"); !strings.Contains(w.Body.String(), `"servers":[{"url":"/api"}]`) {
				t.Errorf("servers: %.200s", w.Body)
			}
		})
	}
}

func TestTwoGateways(t *testing.T) {
	cfg := config()
	cfg.RateLimit = gateway.Rate{Requests: 1, Period: time.Hour}
	a := newGateway(t, cfg, route("news", "GET", "/v1/news", platform.Public(), say("a")))
	cfg.Cache = memory.NewCache(1 << 20)
	b := newGateway(t, cfg, route("news", "GET", "/v1/news", platform.Public(), say("b")))
	for g, text := range map[*gateway.Gateway]string{a: "a", b: "b"} {
		if w := call(g, "GET", "/v1/news"); w.Body.String() != text {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	public := platform.Public()
	for name, c := range map[string]struct {
		cfg    gateway.Config
		routes []platform.Route
		want   []string
	}{
		"settings": {gateway.Config{
			RateLimit: gateway.Rate{Requests: 1}, Timeout: -1, MaxBody: -1, BasePath: "api/", AssertionKey: []byte("short"),
			CORS: &gateway.CORS{Origins: []string{"*"}, Credentials: true},
		}, nil, []string{
			"Config.RateLimit", "Config.Cache", "Config.Timeout", "Config.MaxBody", "Config.BasePath", "Config.AssertionKey", "Config.CORS.Origins",
		}},
		"no authenticators": {gateway.Config{Cache: memory.NewCache(1)}, thingRoutes(), []string{"Config.Authenticators", "Config.Authorizer"}},
		"routes": {config(), []platform.Route{
			{Operation: "a", Method: "GET", Path: "/a", Handler: say("")},
			{Method: "GET", Path: "/b", Access: public, Handler: say("")},
			{Operation: "c", Method: "get", Path: "/c", Access: public, Handler: say("")},
			{Operation: "d", Method: "GET", Path: "d", Access: public, Handler: say("")},
			{Operation: "e", Method: "GET", Path: "/e", Access: public},
			{Operation: "f", Method: "POST", Path: "/f", Access: public, Handler: say(""), Cacheable: true},
			{Operation: "f", Method: "GET", Path: "/g", Access: public, Handler: say("")},
		}, []string{
			"route a of things declares no access", "route GET /b of things has no operation", "route c of things has a method",
			"route d of things has a path", "route e of things has no handler", "route f of things is cacheable",
			"route f of things has the operation of a route of things",
		}},
		"bad pattern": {config(), []platform.Route{route("a", "GET", "/a/{b", public, say(""))}, []string{"a has a pattern that is not valid"}},
		"two of one pattern": {config(), []platform.Route{
			route("one", "GET", "/a/{x}", public, say("")), route("two", "GET", "/a/{y}", public, say("")),
		}, []string{"two (GET /a/{y}) serves requests of one (GET /a/{x})"}},
		"one of the gateway's": {config(), []platform.Route{route("mine", "GET", "/livez", public, say(""))}, []string{"mine (GET /livez) serves requests of health.live"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gateway.New(c.cfg, module{"things", c.routes})
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in: %v", w, err)
				}
			}
		})
	}
	if _, err := gateway.New(config(), nil); err == nil {
		t.Error("a nil router")
	}
}

func TestReady(t *testing.T) {
	log := &logs{}
	clk := newClock()
	cfg := config()
	cfg.Logger, cfg.Now = log.logger(), clk.Now
	g := newGateway(t, cfg)
	asked := 0
	health := platform.Health{Ready: true, Modules: map[string]error{"sqlite": nil}}
	g.ReportHealth(func(context.Context) platform.Health { asked++; return health })
	if w := call(g, "GET", "/readyz"); w.Code != 200 || w.Body.String() != `{"status":"ready","modules":{"sqlite":"ok"}}` {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	health = platform.Health{Modules: map[string]error{"sqlite": errors.New("disk on fire")}}
	clk.Advance(time.Second)
	for range 3 {
		w := call(g, "GET", "/readyz")
		if w.Code != 503 || w.Body.String() != `{"status":"not_ready","modules":{"sqlite":"failed"}}` {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
	if asked != 2 {
		t.Errorf("the modules were asked %d times, want 2", asked)
	}
	if !strings.Contains(log.String(), "disk on fire") {
		t.Error("the reason is not in the log")
	}
}

func TestLocationElsewhere(t *testing.T) {
	cfg := config()
	cfg.BasePath = "/api"
	location := ""
	g := newGateway(t, cfg, route("away", "GET", "/away", platform.Public(), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusSeeOther)
	}))
	for _, location = range []string{"https://example.com/x", "//example.com/x", "x"} {
		if got := call(g, "GET", "/away").Header().Get("Location"); got != location {
			t.Errorf("%q became %q", location, got)
		}
	}
}
