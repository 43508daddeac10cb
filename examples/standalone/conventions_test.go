package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// schema is what the test looks at of a JSON Schema.
type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 any               `json:"type"`
	Format               string            `json:"format"`
	Const                any               `json:"const"`
	Properties           map[string]schema `json:"properties"`
	Items                *schema           `json:"items"`
	AdditionalProperties any               `json:"additionalProperties"`
	OneOf                []schema          `json:"oneOf"`
}

type media map[string]struct {
	Schema schema `json:"schema"`
}

type operation struct {
	ID          string `json:"operationId"`
	Summary     string `json:"summary"`
	Permission  string `json:"x-permission"`
	Security    []any  `json:"security"`
	Parameters  []struct{ Name, In, Description string }
	RequestBody struct{ Content media } `json:"requestBody"`
	Responses   map[string]struct {
		Content media
		Headers map[string]any
	}
}

// What a client that knows one operation may expect of all others.
func TestConventions(t *testing.T) {
	var out, stderr bytes.Buffer
	if code := run(t.Context(), []string{"openapi"}, environment(nil), &out, &stderr); code != 0 {
		t.Fatal(stderr.String())
	}
	var doc struct {
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc.Components.Schemas
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.Summary == "" || strings.HasSuffix(op.Summary, ".") {
				t.Errorf("%s: the summary is %q", op.ID, op.Summary)
			}
			paged := false
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: nothing is said of the parameter %s", op.ID, p.Name)
				}
				if p.In != "header" && !snake.MatchString(p.Name) {
					t.Errorf("%s: the parameter %s is not in snake case", op.ID, p.Name)
				}
				paged = paged || p.Name == "cursor"
			}
			for status, answer := range op.Responses {
				if status[0] != '2' {
					continue
				}
				if (status == "204") != (len(answer.Content) == 0) {
					t.Errorf("%s: %s with %d kinds of body", op.ID, status, len(answer.Content))
				}
				if _, location := answer.Headers["Location"]; location != (status == "201") {
					t.Errorf("%s: %s, Location is described: %t", op.ID, status, location)
				}
				body := resolve(schemas, answer.Content["application/json"].Schema)
				if _, next := body.Properties["next_cursor"]; paged && (!next || body.Properties["data"].Items == nil && !strings.HasSuffix(op.ID, ".verify")) { // a check goes on and lists nothing
					t.Errorf("%s: takes a cursor and has no list data with next_cursor", op.ID)
				}
			}
			_, answers204 := op.Responses["204"]
			if strings.HasPrefix(path, "/v1/") && method == "delete" && !answers204 {
				t.Errorf("%s: a DELETE that does not answer 204", op.ID)
			}
			if method == "get" && len(op.RequestBody.Content) > 0 {
				t.Errorf("%s: a GET with a body", op.ID)
			}
		}
	}
	// Their form is a language of its own, described in words.
	free := []string{"filter", "schema"}
	for name, s := range schemas {
		for property, p := range s.Properties {
			if !snake.MatchString(property) {
				t.Errorf("%s.%s is not in snake case", name, property)
			}
			if p.Format == "date-time" && property != "time" && !strings.HasSuffix(property, "_at") && !strings.HasSuffix(property, "_since") {
				t.Errorf("%s.%s is a time; times end in _at", name, property)
			}
			if p.Type == nil && p.Ref == "" && p.Const == nil && !slices.Contains(free, property) {
				t.Errorf("%s.%s may be anything", name, property)
			}
		}
	}
	for _, s := range slices.Sorted(maps.Keys(schemas)) {
		if len(schemas[s].Properties) == 0 && len(schemas[s].OneOf) == 0 {
			t.Errorf("%s has no members", s)
		}
	}
	// Members that a Go type could have from an embedded one, which the
	// description does not look into.
	for name, property := range map[string]string{"AnalyticsCountSeries": "key", "AnalyticsUserSeries": "key", "NotifySecret": "url"} {
		if _, ok := schemas[name].Properties[property]; !ok {
			t.Errorf("%s.%s is not described", name, property)
		}
	}
}

func resolve(all map[string]schema, s schema) schema {
	if s.Ref != "" {
		return all[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}
