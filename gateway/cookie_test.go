package gateway_test

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
)

// jar verifies cookies alone: "c-SUBJECT" is one.
type jar struct{}

func (jar) CookieName() string { return "__Host-session" }

func (jar) Verify(_ context.Context, value string) (platform.Principal, error) {
	subject, ok := strings.CutPrefix(value, "c-")
	if !ok {
		return platform.Principal{}, platform.Errorf(platform.KindUnauthenticated, "", "no")
	}
	return platform.Principal{Tenant: "org_a", Subject: subject, Kind: platform.PrincipalUser}, nil
}

// A cookie comes after explicit credentials, is never taken twice, and pages of
// other sites change nothing with it.
func TestCookie(t *testing.T) {
	cfg := config()
	cfg.Authenticators = append(gateway.Credentials(users{}), gateway.Cookie(jar{}))
	g := newGateway(t, cfg, whoRoutes()...)
	const session = "Cookie: theme=dark; __Host-session=c-carol"
	for name, c := range map[string]struct {
		method  string
		headers []string
		status  int
		want    string
	}{
		"reads":                   {"GET", []string{session}, 200, "carol@org_a"},
		"a token wins":            {"GET", []string{session, alice}, 200, "alice@org_a"},
		"a token in the cookie":   {"GET", []string{"Cookie: __Host-session=org_a.alice"}, 401, "unauthenticated"},
		"a cookie as a token":     {"GET", []string{"Authorization: Bearer c-carol"}, 401, "unauthenticated"},
		"another cookie":          {"GET", []string{"Cookie: session=c-carol"}, 401, "unauthenticated"},
		"without the prefix":      {"GET", []string{"Cookie: Host-session=c-carol"}, 401, "unauthenticated"},
		"two of the name":         {"GET", []string{"Cookie: __Host-session=c-carol; __Host-session=c-eve"}, 400, "ambiguous_credential"},
		"no characters of one":    {"GET", []string{"Cookie: __Host-session=c(carol)"}, 401, "unauthenticated"},
		"same origin changes":     {"POST", []string{session, "Sec-Fetch-Site: same-origin"}, 200, "carol"},
		"another site changes":    {"POST", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403, "cross_origin"},
		"a neighbour changes":     {"POST", []string{session, "Sec-Fetch-Site: same-site", "Origin: https://evil.example.com"}, 403, "cross_origin"},
		"another site with a key": {"POST", []string{session, "X-API-Key: org_a.alice", "Sec-Fetch-Site: cross-site"}, 200, "alice"},
		"another site reads":      {"GET", []string{session, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200, "carol"},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(g, c.method, "/x", c.headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("another origin may read: %v", w.Header())
			}
		})
	}
	if doc := call(g, "GET", "/openapi.json").Body.String(); !strings.Contains(doc, `"cookie":{"in":"cookie","name":"__Host-session","type":"apiKey"}`) {
		t.Error("the document does not name the cookie")
	}
}

// Origins are never reflected with credentials: only those that are configured may
// read, and send the cookie, where that is configured too.
func TestCORSWithCookies(t *testing.T) {
	for name, c := range map[string]struct {
		cors           *gateway.CORS
		origin         string
		allow, cookies string
		status         int
	}{
		"none is configured":      {nil, "https://app.example.com", "", "", 403},
		"another origin":          {&gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}, "https://evil.example", "", "", 403},
		"without credentials":     {&gateway.CORS{Origins: []string{"https://app.example.com"}}, "https://app.example.com", "https://app.example.com", "", 403},
		"every origin":            {&gateway.CORS{Origins: []string{"*"}}, "https://evil.example", "*", "", 403},
		"one that may":            {&gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}, "https://app.example.com", "https://app.example.com", "true", 200},
		"one that looks like it":  {&gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}, "https://app.example.com.evil.example", "", "", 403},
		"one of another protocol": {&gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}, "http://app.example.com", "", "", 403},
		"null":                    {&gateway.CORS{Origins: []string{"https://app.example.com"}, Credentials: true}, "null", "", "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config()
			cfg.Authenticators, cfg.CORS = []gateway.Authenticator{gateway.Cookie(jar{})}, c.cors
			routes := whoRoutes()
			w := call(newGateway(t, cfg, routes[0], routes[1]), "POST", "/x", "Cookie: __Host-session=c-carol", "Origin: "+c.origin, "Sec-Fetch-Site: cross-site")
			h := w.Header()
			if w.Code != c.status || h.Get("Access-Control-Allow-Origin") != c.allow || h.Get("Access-Control-Allow-Credentials") != c.cookies {
				t.Errorf("got %d, %v", w.Code, h)
			}
		})
	}
}

// The scheme is told by TLS and by trusted proxies, and never by the client.
func TestClientScheme(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		peer    string
		proto   []string
		tls     bool
		want    string
	}{
		"TLS":                         {nil, "203.0.113.7:1", nil, true, "https"},
		"TLS to the proxy":            {proxies, "10.0.0.1:1", []string{"https"}, false, "https"},
		"none to the proxy":           {proxies, "10.0.0.1:1", []string{"http"}, false, "http"},
		"the proxy is silent":         {proxies, "10.0.0.1:1", nil, false, ""},
		"the nearest proxy counts":    {proxies, "10.0.0.1:1", []string{"https, http"}, false, "http"},
		"the last line counts":        {proxies, "10.0.0.1:1", []string{"https", "HTTP"}, false, "http"},
		"past the proxy":              {proxies, "203.0.113.7:1", []string{"https"}, false, "http"},
		"no proxy is named":           {nil, "10.0.0.1:1", []string{"https"}, false, ""},
		"another scheme":              {proxies, "10.0.0.1:1", []string{"gopher"}, false, ""},
		"a peer without an address":   {proxies, "@", []string{"https"}, false, ""},
		"a proxy of IPv6, mapped too": {proxies, "[::ffff:10.0.0.1]:1", []string{"https"}, false, "https"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
			r.RemoteAddr = c.peer
			if c.proto != nil {
				r.Header["X-Forwarded-Proto"] = c.proto
			}
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got := gateway.ClientScheme(c.trusted...)(r); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
