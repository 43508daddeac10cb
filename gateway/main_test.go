package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// module is a router of a test.
type module struct {
	name   string
	routes []platform.Route
}

func (m module) Name() string             { return m.name }
func (m module) Routes() []platform.Route { return m.routes }

// described is a module that describes itself.
type described struct {
	module
	doc string
}

func (d described) OpenAPI() ([]byte, error) { return []byte(d.doc), nil }

// users verifies "TENANT.SUBJECT" and lets everybody but "guest" do all.
type users struct{}

func (users) Verify(_ context.Context, credential string) (platform.Principal, error) {
	tenant, subject, ok := strings.Cut(credential, ".")
	if !ok {
		return platform.Principal{}, platform.Errorf(platform.KindUnauthenticated, "", "the token is not valid")
	}
	return platform.Principal{
		Tenant: platform.TenantID(tenant), Subject: subject, Kind: platform.PrincipalUser, Credential: "ses_" + subject,
	}, nil
}

func (users) Authorize(_ context.Context, p platform.Principal, permission string) error {
	if p.Subject == "guest" {
		return platform.Errorf(platform.KindForbidden, "", "you may not use %s", permission)
	}
	return nil
}

type clock = testclock.Clock

func newClock() *clock { return testclock.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) }

// logs collects lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

func route(operation, method, path string, access platform.Access, h http.HandlerFunc) platform.Route {
	return platform.Route{Operation: operation, Method: method, Path: path, Access: access, Handler: h}
}

// say answers with a text.
func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func config() gateway.Config {
	return gateway.Config{Authenticators: gateway.Credentials(users{}), Authorizer: users{}, Cache: memory.NewCache(1 << 20)}
}

func newGateway(tb testing.TB, cfg gateway.Config, routes ...platform.Route) *gateway.Gateway {
	tb.Helper()
	g, err := gateway.New(cfg, module{"things", routes})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := g.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return g
}

// call sends a request whose headers are "Name: value".
func call(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const (
	alice   = "Authorization: Bearer org_a.alice"
	bob     = "Authorization: Bearer org_a.bob"
	zoe     = "Authorization: Bearer org_z.zoe"
	guest   = "Authorization: Bearer org_a.guest"
	unknown = "Authorization: Bearer nobody"
)

// wantProblem checks that the answer is a whole problem.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var p struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Code      string `json:"code"`
		Status    int    `json:"status"`
		RequestID string `json:"request_id"`
	}
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
		return
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q: %s", ct, w.Body)
		return
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Errorf("%v: %s", err, w.Body)
		return
	}
	if p.Status != status || p.Code != code || p.Type == "" || p.Title == "" {
		t.Errorf("got %+v, want %d %s", p, status, code)
	}
	if id := w.Header().Get("X-Request-Id"); id != "" && p.RequestID != id {
		t.Errorf("request id %q in the problem, %q in the header", p.RequestID, id)
	}
}
