package integration

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/standard/all"
)

// assembled starts the platform over a place, in this process and under /api.
func assembled(t *testing.T, at place, accounts standard.Accounts) *httptest.Server {
	t.Helper()
	cfg := standard.Config{
		Data: at.of("--data"), PublicURL: "http://host.test/api", Accounts: accounts, Gateway: gateway.Config{BasePath: "/api"},
	}
	var errs [4]error
	cfg.Relational, errs[0] = all.Relational(at.of("--postgres"))
	cfg.Documents, errs[1] = all.Documents(at.of("--mongo"))
	cfg.Live, errs[2] = all.Live(at.of("--redis"))
	cfg.Events, errs[3] = all.Events(at.of("--kafka"))
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if cfg.Relational != nil {
		cfg.Sealer = testseal.Opener()
	}
	api, err := standard.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/api", api))
	t.Cleanup(func() {
		api.EndStreams()
		server.Close()
		if err := api.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

// hostAccounts are people whom package user knows nothing of, by their cookie.
type hostAccounts map[string]platform.Principal

func (a hostAccounts) Authenticators() []gateway.Authenticator {
	scheme := gateway.Scheme{Name: "session", Cookie: "session", Ambient: true}
	return []gateway.Authenticator{gateway.NewAuthenticator(scheme, func(r *http.Request) (platform.Principal, bool, error) {
		c, err := r.Cookie("session")
		if err != nil {
			return platform.Principal{}, false, nil //nolint:nilerr // the request has no cookie
		}
		p, ok := a[c.Value]
		if !ok {
			return platform.Principal{}, false, platform.Errorf(platform.KindUnauthenticated, "", "sign in again")
		}
		return p, true, nil
	})}
}

func (a hostAccounts) Authorize(_ context.Context, p platform.Principal, permission string) error {
	if slices.Contains(p.Roles, "owner") || strings.HasSuffix(permission, ".read") {
		return nil
	}
	return platform.ErrForbidden
}

func (a hostAccounts) Recipients(_ context.Context, tenant platform.TenantID, to notify.Audience) ([]notify.Recipient, error) {
	var found []notify.Recipient
	for _, p := range a {
		holds := slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(to.Roles, role) })
		if p.Tenant == tenant && (to.Everyone || holds || slices.Contains(to.Users, p.Subject)) {
			found = append(found, notify.Recipient{ID: p.Subject})
		}
	}
	return found, nil
}

// TestHostWithItsOwnAccounts drives records, metrics and messages under /api as
// people of the host, who sign in with the host's cookie. A page of another site
// sends the cookie along and changes nothing.
func TestHostWithItsOwnAccounts(t *testing.T) {
	everywhere(t, func(t *testing.T, _ setup, at place) {
		server := assembled(t, at, hostAccounts{
			"ann": {Tenant: "acme", Subject: "ann", Kind: platform.PrincipalUser, Roles: []string{"owner"}},
			"ben": {Tenant: "acme", Subject: "ben", Kind: platform.PrincipalUser},
			"eve": {Tenant: "evil", Subject: "eve", Kind: platform.PrincipalUser, Roles: []string{"owner"}},
		})
		for _, c := range []struct {
			who, method, path, body, origin string
			status                          int
			says                            string
		}{
			{"", "GET", "/v1/notify/inbox", "", "", 401, ""},
			{"nobody", "GET", "/v1/notify/inbox", "", "", 401, ""},
			{"ann", "POST", "/v1/data/collections", `{"name":"films"}`, "", 201, ""},
			{"ann", "POST", "/v1/data/collections/films/records", `{"id":"m","data":{"title":"M"}}`, "", 201, ""},
			{"ann", "POST", "/v1/data/collections/films/records", `{"id":"x","data":{}}`, "https://evil.example", 403, ""},
			{"ben", "GET", "/v1/data/collections/films/records/m", "", "", 200, `"title":"M"`},
			{"ben", "POST", "/v1/data/collections/films/records", `{"data":{}}`, "", 403, ""},
			{"eve", "GET", "/v1/data/collections/films/records/m", "", "", 404, ""},
			{"ann", "POST", "/v1/analytics/events", `{"id":"1","name":"watched","user":"u","time":"2026-01-01T00:00:00Z"}`, "", 200, `"accepted":1`},
			{"ann", "POST", "/v1/notify/messages", `{"to":{"users":["ben"]},"channels":["inbox"],"title":"Hello","body":"Ben"}`, "", 201, ""},
		} {
			status, body := asHost(t, server.URL, c.who, c.method, c.path, c.body, c.origin)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%s as %q from %q: %s %s: %d %s", c.method, c.who, c.origin, c.path, c.body, status, body)
			}
		}
		eventually(t, "the message is in the host's person's inbox", func() bool {
			_, body := asHost(t, server.URL, "ben", "GET", "/v1/notify/inbox", "", "")
			return strings.Contains(body, "Hello")
		})
		// A rule of the platform finds the host's owners.
		eventually(t, "the owner hears of the record", func() bool {
			_, body := asHost(t, server.URL, "ann", "GET", "/v1/notify/inbox", "", "")
			return strings.Contains(body, "A record was created in films")
		})
	})
}

func asHost(t *testing.T, url, who, method, path, body, origin string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url+"/api"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		req.AddCookie(&http.Cookie{Name: "session", Value: who})
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
		req.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
