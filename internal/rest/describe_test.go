package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type partWire struct {
	Name string `json:"name"`
}

type wholeInput struct {
	IfMatch string `header:"If-Match"`
	Body    struct {
		Part partWire `json:"part"`
	}
}

type wholeOutput struct {
	Body struct {
		ID   string   `json:"id"`
		Part partWire `json:"part"`
	}
}

// A request has the members that are described and no others; an answer may get
// further ones. What stands in both has a schema for each.
func TestAnswersAreOpen(t *testing.T) {
	a := rest.New("things", nil)
	rest.Handle(a, rest.Operation{
		ID: "things.replace", Method: http.MethodPut, Path: "/v1/things/{id}", Access: platform.Require("things.write"),
		Also: []int{http.StatusCreated, http.StatusNotModified}, Errors: []int{http.StatusConflict},
	}, func(context.Context, *wholeInput) (*wholeOutput, error) { return &wholeOutput{}, nil })
	raw, err := a.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Ref        string            `json:"$ref"`
		Additional any               `json:"additionalProperties"`
		Properties map[string]schema `json:"properties"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Ref     string `json:"$ref"`
				Content map[string]struct{ Schema schema }
				Headers map[string]any
			}
		}
		Components struct {
			Schemas   map[string]schema
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc.Components.Schemas
	for name, want := range map[string]any{
		"ThingsPart": false, "ThingsWholeInputBody": false, "ThingsPartAnswer": nil, "ThingsWholeOutputBody": nil, "Problem": nil,
	} {
		if s, ok := schemas[name]; !ok || s.Additional != want {
			t.Errorf("%s: there is one: %t, additionalProperties %v, want %v", name, ok, s.Additional, want)
		}
	}
	if got := schemas["ThingsWholeOutputBody"].Properties["part"].Ref; got != "#/components/schemas/ThingsPartAnswer" {
		t.Errorf("the part of an answer is %q", got)
	}
	if got := schemas["ThingsWholeInputBody"].Properties["part"].Ref; got != "#/components/schemas/ThingsPart" {
		t.Errorf("the part of a request is %q", got)
	}
	responses := doc.Paths["/v1/things/{id}"]["put"].Responses
	for _, status := range []string{"400", "401", "403", "404", "409", "412", "413", "415", "422", "429", "default"} {
		if responses[status].Ref == "" {
			t.Errorf("%s is not described", status)
		}
	}
	if len(responses["200"].Content) != 1 || len(responses["201"].Content) != 1 || responses["201"].Headers["Location"] == nil || len(responses["304"].Content) != 0 {
		t.Errorf("the successes are %+v", responses)
	}
}
