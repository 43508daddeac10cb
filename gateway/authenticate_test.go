package gateway_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// cookie is an authenticator of a session cookie: "TENANT.SUBJECT" is a session,
// "gone" is one that has ended.
func cookie() gateway.Authenticator {
	return gateway.NewAuthenticator(gateway.Scheme{Name: "session", Cookie: "session", Ambient: true},
		func(r *http.Request) (platform.Principal, bool, error) {
			c, err := r.Cookie("session")
			if err != nil {
				return platform.Principal{}, false, nil //nolint:nilerr // the request has no cookie
			}
			p, err := users{}.Verify(r.Context(), c.Value)
			return p, err == nil, err
		})
}

// signedIn is a host's own sign-in before the gateway.
func signedIn(p platform.Principal, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("host"); err == nil && c.Value == "good" {
			r = r.WithContext(platform.WithPrincipal(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

func whoRoutes() []platform.Route {
	who := func(w http.ResponseWriter, r *http.Request) {
		p, _ := platform.CallerFrom(r.Context())
		_, _ = io.WriteString(w, p.String())
	}
	bearerOnly := route("x.tokens", "POST", "/tokens", platform.Authenticated(), who)
	bearerOnly.Accept = []string{"bearer"}
	return []platform.Route{
		route("x.get", "GET", "/x", platform.Require("x.read"), who),
		route("x.post", "POST", "/x", platform.Require("x.write"), who),
		route("x.public", "POST", "/public", platform.Public(), who),
		bearerOnly,
	}
}

func TestAuthenticatorChain(t *testing.T) {
	cfg := config()
	cfg.Authenticators = append(gateway.Credentials(users{}), cookie())
	cfg.CORS = &gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}
	g := newGateway(t, cfg, whoRoutes()...)
	const session = "Cookie: session=org_a.carol"
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		want         string // a part of the body
	}{
		"cookie":                         {"GET", "/x", []string{session}, 200, "carol@org_a"},
		"cookie of nobody":               {"GET", "/x", []string{"Cookie: session=gone"}, 401, "unauthenticated"},
		"another cookie":                 {"GET", "/x", []string{"Cookie: theme=dark"}, 401, "unauthenticated"},
		"a header wins over a cookie":    {"GET", "/x", []string{session, alice}, 200, "alice@org_a"},
		"a bad header wins too":          {"GET", "/x", []string{session, unknown}, 401, "unauthenticated"},
		"another's Authorization":        {"GET", "/x", []string{session, "Authorization: Basic YTpi"}, 200, "carol@org_a"},
		"only another's Authorization":   {"GET", "/x", []string{"Authorization: Basic YTpi"}, 401, "Bearer"},
		"two explicit ones":              {"GET", "/x", []string{alice, "X-API-Key: org_a.bob"}, 400, "ambiguous_credential"},
		"two that are the same":          {"GET", "/x", []string{alice, "X-API-Key: org_a.alice"}, 200, "alice@org_a"},
		"the host's is not asked":        {"GET", "/x", []string{"Cookie: host=good"}, 401, "unauthenticated"},
		"same site changes":              {"POST", "/x", []string{session, "Sec-Fetch-Site: same-origin"}, 200, "carol"},
		"no browser changes":             {"POST", "/x", []string{session}, 200, "carol"},
		"another site changes":           {"POST", "/x", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403, "cross_origin"},
		"another site, old browser":      {"POST", "/x", []string{session, "Origin: https://evil.example"}, 403, "cross_origin"},
		"a trusted site changes":         {"POST", "/x", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://app.example.com"}, 200, "carol"},
		"another site reads":             {"GET", "/x", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200, "carol"},
		"another site, with a token":     {"POST", "/x", []string{alice, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200, "alice"},
		"another site, token and cookie": {"POST", "/x", []string{session, alice, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200, "alice"},
		"accepted":                       {"POST", "/tokens", []string{alice}, 200, "alice"},
		"not accepted":                   {"POST", "/tokens", []string{session}, 401, "unauthenticated"},
		"not accepted, key":              {"POST", "/tokens", []string{"X-API-Key: org_a.alice"}, 401, "unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(signedIn(platform.Principal{Tenant: "org_h", Subject: "host", Kind: platform.PrincipalUser}, g), c.method, c.path, c.headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	doc := call(g, "GET", "/openapi.json").Body.String()
	for _, want := range []string{`"session":{"in":"cookie","name":"session","type":"apiKey"}`, `"security":[{"bearer":[]}]`} {
		if !strings.Contains(doc, want) {
			t.Errorf("the document has no %s", want)
		}
	}
}

// A host with a sign-in of its own lets its people in, off the public routes, and
// only where the gateway lists it.
func TestHostPrincipal(t *testing.T) {
	host := platform.Principal{Tenant: "org_h", Subject: "hana", Kind: platform.PrincipalUser}
	cfg := config()
	cfg.Authenticators = append(gateway.Credentials(users{}), gateway.HostPrincipal{})
	g := signedIn(host, newGateway(t, cfg, whoRoutes()...))
	const session = "Cookie: host=good"
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		want         string
	}{
		"signed in":            {"GET", "/x", []string{session}, 200, "hana@org_h"},
		"not signed in":        {"GET", "/x", nil, 401, "unauthenticated"},
		"a token wins":         {"GET", "/x", []string{session, alice}, 200, "alice@org_a"},
		"changes":              {"POST", "/x", []string{session, "Sec-Fetch-Site: same-origin"}, 200, "hana"},
		"another site changes": {"POST", "/x", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403, "cross_origin"},
		"public is anonymous":  {"POST", "/public", []string{session}, 200, ":@"},
	} {
		t.Run(name, func(t *testing.T) {
			if w := call(g, c.method, c.path, c.headers...); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
	cfg.Authenticators = []gateway.Authenticator{gateway.HostPrincipal{Explicit: true}}
	g = signedIn(host, newGateway(t, cfg, whoRoutes()[:2]...))
	if w := call(g, "POST", "/x", session, "Sec-Fetch-Site: cross-site", "Origin: https://other.example"); w.Code != 200 {
		t.Errorf("explicit: %d %s", w.Code, w.Body)
	}
}

// No request is made by the system, and whoever says so is in the log.
func TestSystemIsRefused(t *testing.T) {
	var lines logs
	cfg := config()
	cfg.Logger = lines.logger()
	cfg.Authenticators = gateway.Credentials(teller{Tenant: "org_a", Subject: "x", Kind: platform.PrincipalSystem})
	wantProblem(t, call(newGateway(t, cfg, whoRoutes()...), "GET", "/x", alice), 500, "internal")
	if !strings.Contains(lines.String(), "the authenticator bearer returned a principal of the kind system") {
		t.Errorf("the log: %s", lines.String())
	}
}

// A live stream ends with the session behind it, whoever has opened it.
func TestStreamEndsWithTheHostsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		live := route("x.live", "GET", "/live", platform.Authenticated(), func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
		})
		live.Stream, live.Live = true, true
		g, err := gateway.New(gateway.Config{
			RateLimit: gateway.NoLimit, SignInRateLimit: gateway.NoLimit,
			Authenticators: []gateway.Authenticator{gateway.HostPrincipal{Check: func(context.Context, platform.Principal) error {
				if ended.Load() {
					return platform.Errorf(platform.KindUnauthenticated, "", "the session has ended")
				}
				return nil
			}}},
		}, one{live})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(12*time.Second, func() { ended.Store(true) })
		began := time.Now()
		r := httptest.NewRequestWithContext(platform.WithPrincipal(t.Context(), platform.Principal{Tenant: "org_h", Subject: "hana"}), "GET", "/live", nil)
		g.ServeHTTP(httptest.NewRecorder(), r)
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("it ended after %v", took)
		}
	})
}

func TestChainIsChecked(t *testing.T) {
	twice := append(gateway.Credentials(users{}), gateway.Bearer(users{}))
	unnamed := gateway.NewAuthenticator(gateway.Scheme{}, func(*http.Request) (platform.Principal, bool, error) { return platform.Principal{}, false, nil })
	accepts := func(name string) []platform.Route {
		r := route("x.get", "GET", "/x", platform.Authenticated(), say("x"))
		r.Accept = []string{name}
		return []platform.Route{r}
	}
	for name, c := range map[string]struct {
		chain  []gateway.Authenticator
		routes []platform.Route
		want   string
	}{
		"none":      {nil, accepts("bearer"), "Config.Authenticators"},
		"twice":     {twice, nil, `"bearer" comes twice`},
		"unnamed":   {[]gateway.Authenticator{unnamed}, nil, "names"},
		"nil":       {[]gateway.Authenticator{nil}, nil, "nil"},
		"not there": {gateway.Credentials(users{}), accepts("cookie"), `accepts the authenticator "cookie"`},
	} {
		cfg := config()
		cfg.Authenticators = c.chain
		_, err := gateway.New(cfg, module{"things", c.routes})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := gateway.Mount(gateway.MountConfig{Authenticators: c.chain, Authorizer: users{}}, module{"things", c.routes}); err == nil ||
			!strings.Contains(err.Error(), c.want) && name != "none" {
			t.Errorf("%s: Mount: %v", name, err)
		}
	}
}

// What a cookie session is refused for counts like a bad token.
func TestCredentialLimitCountsCookies(t *testing.T) {
	cfg := config()
	cfg.Authenticators = append(gateway.Credentials(users{}), cookie())
	cfg.CredentialRateLimit = gateway.Rate{Requests: 2, Period: time.Minute}
	g := newGateway(t, cfg, whoRoutes()...)
	for i, want := range []int{401, 401, 429} {
		if w := call(g, "GET", "/x", "Cookie: session=bad"+string(rune('a'+i))); w.Code != want {
			t.Errorf("call %d: %d %s", i+1, w.Code, w.Body)
		}
	}
}
