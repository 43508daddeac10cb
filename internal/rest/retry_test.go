package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/test/routes"
)

func keyedAPI(seen *[]string) *rest.API {
	a := rest.New("things", nil)
	h := func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		text := ""
		if k := rest.IdempotencyKey(ctx); k != nil {
			text = k.Text()
			k.SetReplayed(text == "old")
		}
		*seen = append(*seen, text)
		return &struct{}{}, nil
	}
	for _, op := range []rest.Operation{
		{ID: "things.make", Method: "POST", Path: "/make", Retry: platform.RetryWithKey, Status: 201},
		{ID: "things.query", Method: "POST", Path: "/query", Retry: platform.RetryFreely, Status: 200},
		{ID: "things.put", Method: "PUT", Path: "/put", Status: 200},
		{ID: "things.get", Method: "GET", Path: "/get", Status: 200},
	} {
		op.Access = platform.Public()
		rest.Handle(a, op, h)
	}
	return a
}

// An operation that honours keys gets them; one that is free takes the header
// and keeps nothing; the others refuse it. A malformed key is refused by all.
func TestIdempotencyKeyOfARequest(t *testing.T) {
	var seen []string
	mux := routes.Mux(keyedAPI(&seen).Routes())
	for _, c := range []struct {
		method, path string
		keys         []string
		status       int
		want         string // what the handler sees; "-" is not called
		replayed     string
		code         string
	}{
		{"POST", "/make", nil, 201, "", "", ""},
		{"POST", "/make", []string{"new"}, 201, "new", "", ""},
		{"POST", "/make", []string{`"new"`}, 201, "new", "", ""},
		{"POST", "/make", []string{"old"}, 201, "old", "true", ""},
		{"POST", "/make", []string{"a", "b"}, 400, "-", "", "idempotency_key_malformed"},
		{"POST", "/make", []string{""}, 400, "-", "", "idempotency_key_malformed"},
		{"POST", "/query", []string{"old"}, 200, "", "", ""},
		{"POST", "/query", []string{`"`}, 400, "-", "", "idempotency_key_malformed"},
		{"PUT", "/put", []string{"k"}, 400, "-", "", "idempotency_key_not_taken"},
		{"GET", "/get", []string{"k"}, 400, "-", "", "idempotency_key_not_taken"},
	} {
		seen = nil
		r := httptest.NewRequest(c.method, c.path, nil)
		for _, k := range c.keys {
			r.Header.Add("Idempotency-Key", k)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		called := "-"
		if seen != nil {
			called = seen[0]
		}
		if w.Code != c.status || called != c.want || w.Header().Get("Idempotency-Replayed") != c.replayed || !strings.Contains(w.Body.String(), c.code) {
			t.Errorf("%+v: %d %q %v %s", c, w.Code, called, w.Header(), w.Body)
		}
	}
}

// The document says how each POST is repeated.
func TestRetryIsDescribed(t *testing.T) {
	var seen []string
	a := keyedAPI(&seen)
	raw, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type operation struct {
		Retry      string `json:"x-retry"`
		Parameters []struct{ Name, In string }
		Responses  map[string]struct{ Headers map[string]any }
	}
	var doc struct {
		Paths map[string]map[string]operation
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op       operation
		retry    string
		takesKey bool
	}{{doc.Paths["/make"]["post"], "key", true}, {doc.Paths["/query"]["post"], "free", true}, {doc.Paths["/put"]["put"], "", false}} {
		takes := len(c.op.Parameters) == 1 && c.op.Parameters[0].Name == "Idempotency-Key" && c.op.Parameters[0].In == "header"
		if c.op.Retry != c.retry || takes != c.takesKey {
			t.Errorf("got %+v, want %+v", c.op, c)
		}
		for _, r := range c.op.Responses {
			if said := r.Headers["Idempotency-Replayed"] != nil; said && c.retry != "key" {
				t.Errorf("%+v", c.op)
			}
		}
	}
	if doc.Paths["/make"]["post"].Responses["201"].Headers["Idempotency-Replayed"] == nil {
		t.Error("the header of a replayed answer is not described")
	}
}

// A POST says how it is repeated, or is not registered.
func TestRetryIsDeclared(t *testing.T) {
	for _, op := range []rest.Operation{
		{ID: "a", Method: http.MethodPost, Path: "/a", Access: platform.Public()},
		{ID: "a", Method: http.MethodPut, Path: "/a", Access: platform.Public(), Retry: platform.RetryFreely},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s without a word on retries is taken", op.Method)
				}
			}()
			rest.Handle(rest.New("things", nil), op, func(context.Context, *struct{}) (*struct{}, error) { return &struct{}{}, nil })
		}()
	}
}
