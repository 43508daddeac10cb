package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/test/routes"
)

// A body that cannot be read is the caller's fault, and says which.
func TestBodyThatCannotBeRead(t *testing.T) {
	type input struct {
		Body struct {
			Name string `json:"name"`
		}
	}
	a := rest.New("things", nil)
	rest.Handle(a, rest.Operation{ID: "things.create", Method: "POST", Retry: platform.RetryFreely, Path: "/v1/things", Access: platform.Public(), Summary: "Create"},
		func(context.Context, *input) (*struct{}, error) { return &struct{}{}, nil })
	h := routes.Mux(a.Routes())
	outer := platform.NewProblem(t.Context(), http.StatusRequestTimeout, "body_timeout", "late")
	for name, c := range map[string]struct {
		err    error
		status int
		code   string
	}{
		"breaks off":     {io.ErrUnexpectedEOF, 400, "malformed_body"},
		"wrong chunk":    {errors.New("malformed chunked encoding"), 400, "malformed_body"},
		"late":           {os.ErrDeadlineExceeded, 408, "body_timeout"},
		"late, outside":  {outer, 408, "body_timeout"},
		"larger outside": {&http.MaxBytesError{Limit: 7}, 413, "body_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/things", io.MultiReader(strings.NewReader(`{"name":`), iotest.ErrReader(c.err)))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			var p platform.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != c.status || p.Status != c.status || p.Code != c.code {
				t.Errorf("got %d %s, %v", w.Code, w.Body, err)
			}
		})
	}
}
