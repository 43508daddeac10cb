package standard_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a platform that ends with the test.
func open(t *testing.T, cfg standard.Config) *standard.Platform {
	t.Helper()
	p, err := standard.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
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
	w := call(t, h, "", http.MethodPost, "/v1/auth/signup",
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

// TestEmbedded drives the zero Config with a folder through every service.
func TestEmbedded(t *testing.T) {
	dir := t.TempDir()
	p := open(t, standard.Config{Data: filepath.Join(dir, "acme")})
	if h := p.Health(t.Context()); !h.Ready {
		t.Errorf("not ready: %+v", h)
	}
	ann := signUp(t, p, "ann@example.com")
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/data/collections", `{"name":"films"}`},
		{http.MethodPost, "/v1/data/collections/films/records", `{"data":{"title":"M"}}`},
		{http.MethodPost, "/v1/analytics/events", `{"id":"1","name":"watched","user":"u","time":"2026-01-01T00:00:00Z"}`},
		{http.MethodPost, "/v1/invitations", `{"email":"ben@example.com","roles":["member"]}`},
		{http.MethodGet, "/v1/notify/inbox", ""},
		{http.MethodGet, "/v1/usage", ""},
	} {
		if w := call(t, p, ann, c.method, c.path, c.body); w.Code/100 != 2 {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "acme", "acme.db")); err != nil {
		t.Error(err)
	}
}

// TestNewDoesNoIO makes a platform over a folder that is not there and servers
// that nobody runs.
func TestNewDoesNoIO(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acme")
	if _, err := standard.New(standard.Config{Data: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New touched the folder: %v", err)
	}
}

// TestMistakes are refused where the platform is assembled, with what to write.
func TestMistakes(t *testing.T) {
	data := t.TempDir()
	refuses := func(store.Env) (store.Relational, error) { return nil, errors.New("the URL cannot be read") }
	for says, cfg := range map[string]standard.Config{
		"standard: Config.Data: name a folder": {},
		"standard: Config.PublicURL: say":      {Relational: refuses},
		`standard: Config.Sealer: say where the keys of stored secrets are, such as Sealer: seal.Open(seal.File(`: {
			Relational: refuses, PublicURL: "https://example.com",
		},
		"standard: Sealer: seal: Config.Keys must be set": {Data: data, Sealer: seal.Open(nil)},
		"standard: Relational: the URL cannot":            {Relational: refuses, PublicURL: "https://example.com", Sealer: seal.Open(seal.Memory(""))},
		"which is no platform.Module": {Data: data, Events: func(store.Env) (store.Events, error) {
			return struct{ store.Events }{}, nil
		}},
		"standard: Modules: no table": {Data: data, Modules: func(standard.Parts) ([]platform.Module, error) {
			return nil, errors.New("no table")
		}},
		"declares no access": {Data: data, Modules: func(standard.Parts) ([]platform.Module, error) {
			return []platform.Module{module{routes: []platform.Route{{
				Operation: "host.greet", Method: http.MethodGet, Path: "/v1/greet", Handler: http.NotFoundHandler(),
			}}}}, nil
		}},
		"host needs memory": {Data: data, Modules: func(standard.Parts) ([]platform.Module, error) {
			return []platform.Module{module{needs: []any{&started{}}}}, nil
		}},
		"Gateway": {Data: data, PublicURL: "http://x", Gateway: gateway.Config{BasePath: "api"}},
	} {
		if _, err := standard.New(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
}

// module is one of the host's.
type module struct {
	routes []platform.Route
	needs  []any
}

func (module) Name() string               { return "host" }
func (m module) Routes() []platform.Route { return m.routes }
func (m module) Needs() []any             { return m.needs }

// started is a module that nobody starts.
type started struct{ _ int } // not empty, so that each has an address of its own

func (*started) Name() string                { return "memory" }
func (*started) Start(context.Context) error { return nil }

// TestFailedStartLeavesNothingOpen ends the start in the middle: the file can be
// opened again at once.
func TestFailedStartLeavesNothingOpen(t *testing.T) {
	dir := t.TempDir()
	fails := errors.New("the host's module does not start")
	_, err := standard.Open(t.Context(), standard.Config{Data: dir, Modules: func(standard.Parts) ([]platform.Module, error) {
		return []platform.Module{failing{err: fails}}, nil
	}})
	if !errors.Is(err, fails) {
		t.Fatalf("got %v", err)
	}
	open(t, standard.Config{Data: dir})
}

type failing struct{ err error }

func (failing) Name() string                  { return "failing" }
func (f failing) Start(context.Context) error { return f.err }

// TestTwoPlatforms live in one process and know nothing of each other.
func TestTwoPlatforms(t *testing.T) {
	a := open(t, standard.Config{Data: t.TempDir()})
	b := open(t, standard.Config{Data: t.TempDir()})
	token := signUp(t, a, "ann@example.com")
	if w := call(t, a, token, http.MethodGet, "/v1/me", ""); w.Code != http.StatusOK {
		t.Errorf("at home: %d %s", w.Code, w.Body)
	}
	if w := call(t, b, token, http.MethodGet, "/v1/me", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("elsewhere: %d %s", w.Code, w.Body)
	}
}

// TestLive uses an opener in the place of memory.
func TestLive(t *testing.T) {
	l := &live{cache: memory.NewCache(1 << 20), pubsub: memory.NewPubSub()}
	p := open(t, standard.Config{Data: t.TempDir(), Live: func(store.Env) (store.Live, error) { return l, nil }})
	if p.Cache != l.cache || p.PubSub != l.pubsub {
		t.Error("the parts are not those of the opener")
	}
}

type live struct {
	cache  store.Cache
	pubsub store.PubSub
}

func (*live) Name() string           { return "live" }
func (l *live) Cache() store.Cache   { return l.cache }
func (l *live) PubSub() store.PubSub { return l.pubsub }
