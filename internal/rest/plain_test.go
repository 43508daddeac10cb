package rest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// A plain operation is described like one of huma's.
func TestDescription(t *testing.T) {
	a := rest.New("data", nil)
	a.HandleHTTP(rest.Operation{
		ID: "data.things.create", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/v1/things/{id}", Access: platform.Public(), Status: http.StatusCreated,
	}, rest.Description{
		Params: []rest.Param{
			{Name: "id", In: "path", Description: "which"},
			{Name: "limit", In: "query", Description: "how many", Value: 0},
			{Name: "sort", In: "query", Description: "how"},
		},
		Request: []rest.Media{{Type: "text/csv", Example: "a,b\n"}},
	}, func(http.ResponseWriter, *http.Request) error { return nil })
	raw, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In, Description string
				Required              bool
				Schema                struct{ Type string }
			}
			RequestBody struct {
				Content map[string]struct{ Example string }
			}
			Responses map[string]struct{ Headers map[string]any }
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	op := doc.Paths["/v1/things/{id}"]["post"]
	if len(op.Parameters) != 4 {
		t.Fatalf("the parameters are %+v", op.Parameters)
	}
	for i, want := range []struct{ in, description, typ string }{
		{"path", "which", "string"}, {"query", "how many", "integer"}, {"query", "how", "string"},
	} {
		p := op.Parameters[i]
		if p.In != want.in || p.Description != want.description || p.Schema.Type != want.typ || p.Required != (p.In == "path") {
			t.Errorf("%s is described as %+v, want %v", p.Name, p, want)
		}
	}
	if got := op.RequestBody.Content["text/csv"].Example; got != "a,b\n" {
		t.Errorf("the example is %q", got)
	}
	if op.Responses["201"].Headers["Location"] == nil {
		t.Error("nothing is said of Location")
	}
}
