package rest_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/test/routes"
)

type loginInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Body  struct {
		Email    string   `json:"email" format:"email"`
		Password string   `json:"password" minLength:"8"`
		Roles    []string `json:"roles,omitempty"`
	}
}

type loginOutput struct {
	Location string `header:"Location"`
	Body     struct {
		Token string `json:"token"`
	}
}

// newAPI serves two operations: one of huma's, one plain.
func newAPI(result error) (*rest.API, *http.ServeMux) {
	a := rest.New("user", nil)
	rest.Handle(a, rest.Operation{
		ID: "auth.login", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/v1/auth/login", Access: platform.Public(), Status: 201, MaxBody: 1000,
	}, func(context.Context, *loginInput) (*loginOutput, error) {
		if result != nil {
			return nil, result
		}
		out := &loginOutput{Location: "/v1/me"}
		out.Body.Token = "t<>"
		return out, nil
	})
	a.HandleHTTP(rest.Operation{
		ID: "data.records.export", Method: http.MethodGet, Path: "/v1/x/{id}", Access: platform.Require("data.records.read"),
	}, rest.Description{Response: []rest.Media{{Type: "application/x-ndjson"}}},
		func(http.ResponseWriter, *http.Request) error { return result })
	return a, routes.Mux(a.Routes())
}

func do(mux http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r = r.WithContext(platform.WithRequestID(r.Context(), "req_1"))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	mux.ServeHTTP(w, r)
	return w
}

func TestHandle(t *testing.T) {
	_, mux := newAPI(nil)
	w := do(mux, "POST", "/v1/auth/login", `{"email":"a@example.com","password":"correct horse"}`)
	if w.Code != 201 || w.Header().Get("Location") != "/v1/me" || strings.TrimSpace(w.Body.String()) != `{"token":"t<>"}` {
		t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

func TestProblems(t *testing.T) {
	const canary = "hunter2"
	for name, c := range map[string]struct {
		method, path, body string
		err                error
		status             int
		want               string
	}{
		"rejected value":    {"POST", "/v1/auth/login", `{"email":"a@example.com","password":"hunter2"}`, nil, 422, `"path":"/password"`},
		"missing":           {"POST", "/v1/auth/login", `{"password":"hunter2hunter2"}`, nil, 422, `"path":"/email","code":"required"`},
		"unknown":           {"POST", "/v1/auth/login", `{"email":"a@example.com","password":"longenough","hunter2":1}`, nil, 422, `"code":"unknown"`},
		"broken JSON":       {"POST", "/v1/auth/login", `{"password":hunter2`, nil, 400, `"code":"malformed"`},
		"query":             {"POST", "/v1/auth/login?limit=0", `{"email":"a@example.com","password":"longenough"}`, nil, 422, `"path":"query.limit"`},
		"too large":         {"POST", "/v1/auth/login", `{"email":"` + strings.Repeat("a", 2000) + `"}`, nil, 413, `body_too_large`},
		"not found":         {"POST", "/v1/auth/login", `{"email":"a@example.com","password":"longenough"}`, platform.NotFound("thing"), 404, `no such thing`},
		"given up":          {"POST", "/v1/auth/login", `{"email":"a@example.com","password":"longenough"}`, context.Canceled, 503, `canceled`},
		"cause stays":       {"GET", "/v1/x/1", "", platform.NotFound("x").Because(errString(canary)), 404, `no such x`},
		"unknown error":     {"GET", "/v1/x/1", "", errString(canary), 500, `"code":"internal"`},
		"no tenant is ours": {"GET", "/v1/x/1", "", platform.TenantID("").Validate(), 500, `"code":"internal"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, mux := newAPI(c.err)
			w := do(mux, c.method, c.path, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Fatalf("got %d %s", w.Code, w.Body)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("content type %q", ct)
			}
			if name != "unknown" && strings.Contains(w.Body.String(), canary) {
				t.Errorf("the rejected value is sent back: %s", w.Body)
			}
			if !strings.Contains(w.Body.String(), `"request_id":"req_1"`) {
				t.Errorf("no request id: %s", w.Body)
			}
		})
	}
}

type errString string

func (e errString) Error() string { return string(e) }

func TestOpenAPI(t *testing.T) {
	a, _ := newAPI(nil)
	raw, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string           `json:"operationId"`
			Security    []map[string]any `json:"security"`
			Permission  string           `json:"x-permission"`
		}
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if op := doc.Paths["/v1/auth/login"]["post"]; op.OperationID != "auth.login" || op.Security == nil || len(op.Security) != 0 {
		t.Errorf("login: %+v", op)
	}
	if op := doc.Paths["/v1/x/{id}"]["get"]; op.Permission != "data.records.read" || len(op.Security) != 2 {
		t.Errorf("export: %+v", op)
	}
	if _, ok := doc.Components.Schemas["Problem"]; !ok {
		t.Error("no schema Problem")
	}
	if strings.Contains(string(raw), "ErrorModel") || strings.Contains(string(raw), "ErrorDetail") {
		t.Error("huma's own error types are described")
	}
	if strings.Contains(string(raw), `"null"`) {
		t.Errorf("a list may be null: %s", raw)
	}
}

// A route that is mounted without its access check answers nothing, a public one
// neither, and the log names the mistake.
func TestUncheckedRouteRefuses(t *testing.T) {
	var log strings.Builder
	a := rest.New("user", slog.New(slog.NewTextHandler(&log, nil)))
	called := false
	a.HandleHTTP(rest.Operation{ID: "data.records.get", Method: http.MethodGet, Path: "/a", Access: platform.Public()},
		rest.Description{}, func(http.ResponseWriter, *http.Request) error { called = true; return nil })
	rest.Handle(a, rest.Operation{ID: "auth.login", Method: http.MethodGet, Path: "/b", Access: platform.Public(), Status: 204},
		func(context.Context, *struct{}) (*struct{}, error) { called = true; return &struct{}{}, nil })
	for _, r := range a.Routes() {
		w := do(r.Handler, r.Method, r.Path, "")
		if w.Code != http.StatusInternalServerError || called || strings.Contains(w.Body.String(), "gateway") {
			t.Errorf("%s: %d %s, called: %v", r.Operation, w.Code, w.Body, called)
		}
		if !strings.Contains(log.String(), r.Operation+" was called without its access check") {
			t.Errorf("the log does not name %s: %s", r.Operation, log.String())
		}
	}
}
