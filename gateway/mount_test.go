package gateway_test

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// checked is a handler as those of the services, which refuse without the check
// of their own operation.
func checked(operation string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := platform.CheckAccess(r.Context(), operation); err != nil {
			platform.WriteProblem(w, r, nil, err)
			return
		}
		p, _ := platform.CallerFrom(r.Context())
		_, _ = w.Write([]byte(p.String() + " " + r.PathValue("id")))
	}
}

func mountedRoutes() []platform.Route {
	return []platform.Route{
		route("x.get", "GET", "/v1/x/{id}", platform.Require("x.read"), checked("x.get")),
		route("x.put", "PUT", "/v1/x/{id}", platform.Require("x.write").Fresh(time.Minute), checked("x.put")),
		route("x.mine", "GET", "/v1/mine", platform.Account(), checked("x.mine")),
		route("x.public", "GET", "/v1/public", platform.Public(), checked("x.public")),
	}
}

// A host's router with the host's own sign-in serves routes behind their checks.
func TestMount(t *testing.T) {
	h, err := gateway.Mount(gateway.MountConfig{
		Authenticators: append(gateway.Credentials(users{}), gateway.HostPrincipal{}), Authorizer: users{},
	}, module{"things", mountedRoutes()})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", http.StripPrefix("/api", h))
	mux.HandleFunc("/", say("the host"))
	host := signedIn(platform.Principal{Tenant: "org_h", Subject: "hana", Kind: platform.PrincipalUser, SignedInAt: time.Now()}, mux)
	const session = "Cookie: host=good"
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		want         string
	}{
		"the host's own":       {"GET", "/home", nil, 200, "the host"},
		"token":                {"GET", "/api/v1/x/7", []string{alice}, 200, "alice@org_a 7"},
		"session":              {"GET", "/api/v1/x/7", []string{session}, 200, "hana@org_h 7"},
		"nobody":               {"GET", "/api/v1/x/7", nil, 401, "unauthenticated"},
		"may not":              {"GET", "/api/v1/x/7", []string{guest}, 403, "forbidden"},
		"fresh":                {"PUT", "/api/v1/x/7", []string{session}, 200, "hana"},
		"not fresh":            {"PUT", "/api/v1/x/7", []string{alice}, 401, "reauthentication_required"},
		"another site":         {"PUT", "/api/v1/x/7", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403, "cross_origin"},
		"one's own":            {"GET", "/api/v1/mine", []string{alice}, 200, "alice"},
		"public":               {"GET", "/api/v1/public", nil, 200, ""},
		"unknown":              {"GET", "/api/v1/unknown", []string{alice}, 404, "not_found"},
		"wrong method":         {"DELETE", "/api/v1/x/7", []string{alice}, 405, "method_not_allowed"},
		"nothing added by New": {"GET", "/api/openapi.json", nil, 404, "not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			if w := call(host, c.method, c.path, c.headers...); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
		})
	}
}

// A wrong mount is refused before the first request.
func TestMountRefuses(t *testing.T) {
	open := route("x.open", "GET", "/v1/open", platform.Access{}, say("x"))
	for name, c := range map[string]struct {
		cfg    gateway.MountConfig
		routes []platform.Route
		want   string
	}{
		"no access":         {gateway.MountConfig{}, []platform.Route{open}, "x.open of things declares no access"},
		"no authenticators": {gateway.MountConfig{Authorizer: users{}}, mountedRoutes(), "Authenticators"},
		"no authorizer":     {gateway.MountConfig{Authenticators: gateway.Credentials(users{})}, mountedRoutes(), "Authorizer"},
		"an origin": {
			gateway.MountConfig{Authenticators: gateway.Credentials(users{}), Authorizer: users{}, TrustedOrigins: []string{"app"}},
			mountedRoutes(), "TrustedOrigins",
		},
		"the same twice": {
			gateway.MountConfig{Authenticators: gateway.Credentials(users{}), Authorizer: users{}},
			append(mountedRoutes(), mountedRoutes()[0]), "x.get",
		},
	} {
		if _, err := gateway.Mount(c.cfg, module{"things", c.routes}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// live is a route that streams for an hour, or until it is ended.
func live(operation string) platform.Route {
	r := route(operation, "GET", "/v1/live", platform.Authenticated(), func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(time.Hour):
		}
	})
	r.Stream, r.Live = true, true
	return r
}

// An assertion is short; the stream that it began is not.
func TestStreamOutlivesItsAssertion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, private := keys()
		now := time.Now()
		token := signAssertion(t, private, jose.EdDSA, kidOf(public), map[string]any{
			"iss": "gateway", "aud": "remote", "sub": "alice", "iat": now.Unix(), "exp": now.Add(8 * time.Second).Unix(),
			"op": "remote.live", "tenant": "org_a", "kind": "user", "scopes": nil,
		})
		h, err := gateway.Mount(gateway.MountConfig{Authenticators: []gateway.Authenticator{
			gateway.Assertion(gateway.AssertionConfig{Keys: []ed25519.PublicKey{public}, Audience: "remote"}),
		}}, module{"remote", []platform.Route{live("remote.live")}})
		if err != nil {
			t.Fatal(err)
		}
		if w := call(h, "GET", "/v1/live", "Platform-Assertion: "+token); w.Code != 200 || time.Since(now) != time.Hour {
			t.Errorf("%d %s after %v", w.Code, w.Body, time.Since(now))
		}
	})
}

// A service behind a gateway in another process believes the gateway's
// assertions, each for the operation it was made for, and nothing else.
func TestMountBehindGateway(t *testing.T) {
	public, _ := keys()
	clk := newClock()
	p := platform.Principal{Tenant: "org_a", Subject: "alice", Kind: platform.PrincipalUser, Credential: "ses_1"}
	token := assertionOf(t, p, clk) // of remote.get
	h, err := gateway.Mount(gateway.MountConfig{Authenticators: []gateway.Authenticator{
		gateway.Assertion(gateway.AssertionConfig{Keys: []ed25519.PublicKey{public}, Audience: "remote", Now: clk.Now}),
	}}, module{"remote", []platform.Route{
		route("remote.get", "GET", "/v1/remote/{id}", platform.Require("remote.read").Fresh(time.Minute), checked("remote.get")),
		route("remote.other", "GET", "/v1/other", platform.Require("remote.read"), checked("remote.other")),
		route("remote.run", "GET", "/v1/run", platform.Operator(), checked("remote.run")),
		live("remote.live"),
		route("remote.open", "GET", "/v1/open", platform.Public(), checked("remote.open")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	// The gateway has checked permission and age; its word is enough.
	if w := call(h, "GET", "/v1/remote/1", "Platform-Assertion: "+token); w.Code != 200 || w.Body.String() != "user:alice@org_a 1" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := call(h, "GET", "/v1/open"); w.Code != 200 {
		t.Errorf("public: %d %s", w.Code, w.Body)
	}
	for name, c := range map[string]struct {
		path    string
		headers []string
		why     string
	}{
		"missing":           {"/v1/remote/1", nil, "missing"},
		"a token":           {"/v1/remote/1", []string{alice}, "missing"},
		"another operation": {"/v1/other", []string{"Platform-Assertion: " + token}, "other_operation"},
		"another level":     {"/v1/run", []string{"Platform-Assertion: " + token}, "other_operation"},
		"malformed":         {"/v1/remote/1", []string{"Platform-Assertion: x"}, "malformed"},
	} {
		w := call(h, "GET", c.path, c.headers...)
		if w.Code != 401 || w.Header().Get("Platform-Assertion-Refused") != c.why {
			t.Errorf("%s: %d %s %s", name, w.Code, w.Header().Get("Platform-Assertion-Refused"), w.Body)
		}
	}
}
