package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHosts sends requests through the host's middleware, the gateway, a service
// of the platform, and the host's own module, in every router.
func TestHosts(t *testing.T) {
	for router, host := range hosts {
		if router == "echo" { // TestOwnAccounts
			continue
		}
		t.Run(router, func(t *testing.T) {
			var log bytes.Buffer
			handler, api, err := host(t.Context(), settings{
				data: t.TempDir(), url: "http://host.test", log: slog.New(slog.NewJSONHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			ann := signUp(t, handler, "ann@example.com")
			bob := signUp(t, handler, "bob@example.com")

			// A service of the platform; its Location is right under the prefix.
			w := call(t, handler, ann, "POST", "/api/v1/data/collections", `{"name":"notes"}`)
			if w.Code != http.StatusCreated || w.Header().Get("Location") != "/api/v1/data/collections/notes" {
				t.Errorf("create a collection: %d %v %s", w.Code, w.Header(), w.Body)
			}
			// The host's own module behind the same gateway.
			w = call(t, handler, ann, "POST", "/api/v1/greetings", `{"text":"hello"}`)
			if w.Code != http.StatusCreated || w.Header().Get("X-Served-By") != "host" || w.Header().Get("X-Request-Id") == "" {
				t.Errorf("greet: %d %v %s", w.Code, w.Header(), w.Body)
			}
			if w = call(t, handler, "", "POST", "/api/v1/greetings", `{"text":"hello"}`); w.Code != http.StatusUnauthorized {
				t.Errorf("without a credential: %d", w.Code)
			}
			if w = call(t, handler, ann, "GET", "/api/v1/greetings", ""); !strings.Contains(w.Body.String(), "hello") {
				t.Errorf("list: %d %s", w.Code, w.Body)
			}
			if w = call(t, handler, bob, "GET", "/api/v1/greetings", ""); strings.Contains(w.Body.String(), "hello") {
				t.Errorf("another organization reads %s", w.Body)
			}
			// A key whose scope does not reach the host's permission.
			key := apiKey(t, handler, ann)
			if w = call(t, handler, key, "POST", "/api/v1/greetings", `{"text":"x"}`); w.Code != http.StatusForbidden {
				t.Errorf("a key without the scope: %d %s", w.Code, w.Body)
			}
			if w = call(t, handler, "", "GET", "/api/openapi.json", ""); !strings.Contains(w.Body.String(), "host.greetings.create") {
				t.Error("the module's route is not described")
			}
			if w = call(t, handler, "", "GET", "/", ""); !strings.Contains(w.Body.String(), "This is the host") {
				t.Errorf("the host's own route: %d %s", w.Code, w.Body)
			}
			if err := api.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if !strings.Contains(log.String(), `"operation":"host.greetings.create"`) {
				t.Error("the host's logger did not get the request")
			}
		})
	}
}

func call(t *testing.T, h http.Handler, token, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, path, r)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

func signUp(t *testing.T, h http.Handler, email string) string {
	t.Helper()
	w := call(t, h, "", "POST", "/api/v1/auth/signup",
		`{"email":"`+email+`","password":"correct horse battery","name":"N","organization":"O"}`)
	var out struct {
		Tokens struct {
			AccessToken string `json:"access_token"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Tokens.AccessToken == "" {
		t.Fatalf("sign-up: %d %s", w.Code, w.Body)
	}
	return out.Tokens.AccessToken
}

func apiKey(t *testing.T, h http.Handler, token string) string {
	t.Helper()
	w := call(t, h, token, "POST", "/api/v1/api-keys", `{"name":"k","scopes":["data.records.read"]}`)
	var out struct{ Key string }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || out.Key == "" {
		t.Fatalf("api key: %d %s", w.Code, w.Body)
	}
	return out.Key
}

// TestAssembliesAreShort counts the statements with which each host takes the
// platform in.
func TestAssembliesAreShort(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "hosts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(f.Name.Name, "in") && !strings.HasPrefix(f.Name.Name, "with") {
			continue
		}
		counted++
		n := 0
		ast.Inspect(f.Body, func(node ast.Node) bool {
			if _, block := node.(*ast.BlockStmt); !block {
				if _, statement := node.(ast.Stmt); statement {
					n++
				}
			}
			return true
		})
		t.Logf("%s: %d statements", f.Name.Name, n)
		if n > 10 {
			t.Errorf("%s has %d statements", f.Name.Name, n)
		}
	}
	if counted < len(hosts) {
		t.Errorf("%d of %d hosts were counted", counted, len(hosts))
	}
}

// TestOwnAccounts calls as people of the host, by the host's cookie.
func TestOwnAccounts(t *testing.T) {
	people := newAccounts(
		person{id: "ann", company: "acme", manager: true}, person{id: "ben", company: "acme"}, person{id: "eve", company: "evil", manager: true},
	)
	handler, api, err := inEcho(t.Context(), settings{
		data: t.TempDir(), url: "http://host.test", log: slog.New(slog.DiscardHandler), people: people,
	})
	if err != nil {
		t.Fatal(err)
	}
	ann, ben, eve, gone := people.signIn("ann"), people.signIn("ben"), people.signIn("eve"), people.signIn("ann")
	people.signOut(gone.Value)
	for _, c := range []struct {
		who                *http.Cookie
		site, method, path string
		status             int
	}{
		{ann, "same-origin", "POST", "/api/v1/greetings", http.StatusCreated},
		{ann, "cross-site", "POST", "/api/v1/greetings", http.StatusForbidden}, // a page elsewhere sends the cookie along
		{ben, "same-origin", "POST", "/api/v1/greetings", http.StatusForbidden},
		{ben, "same-origin", "GET", "/api/v1/greetings", http.StatusOK},
		{gone, "same-origin", "GET", "/api/v1/greetings", http.StatusUnauthorized},
		{nil, "same-origin", "GET", "/api/v1/greetings", http.StatusUnauthorized},
	} {
		if w := callAs(handler, c.who, c.site, c.method, c.path); w.Code != c.status {
			t.Errorf("%v: %d %s", c, w.Code, w.Body)
		}
	}
	if w := callAs(handler, eve, "same-origin", "GET", "/api/v1/greetings"); strings.Contains(w.Body.String(), "hello") {
		t.Errorf("another company reads %s", w.Body)
	}
	if err := api.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func callAs(h http.Handler, cookie *http.Cookie, site, method, path string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(`{"text":"hello"}`))
	if method == http.MethodGet {
		req.Body = http.NoBody
		req.ContentLength = 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Sec-Fetch-Site", site)
	if cookie != nil {
		req.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}
