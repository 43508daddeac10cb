package data

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/acme/platform"
)

func compileText(t *testing.T, text string) (*schema, error) {
	t.Helper()
	raw, err := compactSchema(json.RawMessage(text))
	if err != nil {
		return nil, err
	}
	return compileSchema(raw)
}

func TestSchemaRefused(t *testing.T) {
	for name, c := range map[string]struct{ schema, path string }{
		"not an object":         {`true`, "/schema"},
		"a wrong type":          {`{"properties":{"a":{"type":"strnig"}}}`, "/schema/properties/a/type"},
		"a wrong keyword":       {`{"minLength":-1}`, "/schema/minLength"},
		"a remote reference":    {`{"$ref":"http://127.0.0.1:1/x"}`, "/schema/$ref"},
		"a file":                {`{"items":{"$ref":"file:///etc/passwd"}}`, "/schema/items/$ref"},
		"another document":      {`{"properties":{"a":{"$ref":"other.json"}}}`, "/schema/properties/a/$ref"},
		"a dynamic reference":   {`{"$dynamicRef":"https://example.com/x#y"}`, "/schema/$dynamicRef"},
		"a reference by id":     {`{"$id":"http://127.0.0.1:1/","$ref":"x"}`, "/schema/$ref"},
		"a broken reference":    {`{"$ref":"#/nowhere"}`, "/schema"},
		"another dialect":       {`{"$schema":"http://json-schema.org/draft-07/schema#"}`, "/schema/$schema"},
		"another meta schema":   {`{"$schema":"http://127.0.0.1:1/meta"}`, "/schema/$schema"},
		"a broken pattern":      {`{"properties":{"a":{"pattern":"("}}}`, "/schema/properties/a/pattern"},
		"a heavy pattern":       {`{"pattern":"(a{1,100}){1,9}b{1,200}"}`, "/schema/pattern"},
		"a long pattern":        {`{"pattern":"` + strings.Repeat("a", 600) + `"}`, "/schema/pattern"},
		"a number beyond":       {`{"minimum":1e1000000}`, "/schema/minimum"},
		"too large":             {`{"description":"` + strings.Repeat("a", maxSchema) + `"}`, "/schema"},
		"too deep":              {strings.Repeat(`{"not":`, 70) + `{}` + strings.Repeat(`}`, 70), "/schema" + strings.Repeat("/not", 64)},
		"an infinite schema":    {`{"$ref":"#"}`, ""},
		"an unknown vocabulary": {`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"nothing"}`, "/schema/type"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := compileText(t, c.schema)
			if c.path == "" { // it compiles; what matters is that checking ends
				if err == nil {
					err = s.validate(json.RawMessage(`{}`), "/data")
				}
				if !errors.Is(err, platform.ErrInvalid) {
					t.Errorf("got %v", err)
				}
				return
			}
			var e *platform.Error
			if !errors.As(err, &e) || e.Kind != platform.KindInvalid || e.Fields[0].Path != c.path {
				t.Errorf("got %v, want %s", err, c.path)
			}
		})
	}
	for name, text := range map[string]string{
		"a member called $ref": `{"properties":{"$ref":{"type":"string"}}}`,
		"values":               `{"enum":[{"$ref":"http://x"}],"default":{"$schema":"y"}}`,
		"a local reference":    `{"$defs":{"a":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/a"}}}`,
		"the dialect":          `{"$schema":"https://json-schema.org/draft/2020-12/schema"}`,
	} {
		if _, err := compileText(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	const text = `{
		"type": "object", "required": ["title", "year"], "additionalProperties": false,
		"properties": {
			"title": {"type": "string", "minLength": 2, "maxLength": 5},
			"year": {"type": "integer", "minimum": 1900, "maximum": 2100},
			"mail": {"type": "string", "format": "email"},
			"code": {"type": "string", "pattern": "^[a-z]+$"},
			"kind": {"enum": ["a", "b"]}, "one": {"const": 1},
			"list": {"type": "array", "uniqueItems": true, "maxItems": 3, "items": {"type": "number", "multipleOf": 0.5}}
		}
	}`
	s, err := compileText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.validate(json.RawMessage(`{"title":"abc","year":2000.0,"list":[1,1.5]}`), "/data"); err != nil {
		t.Errorf("valid: %v", err)
	}
	const canary = "hunter2"
	for data, want := range map[string]string{
		`{}`:                                           "/data/title required",
		`{"title":"abc","year":"hunter2"}`:             "/data/year type",
		`{"title":"hunter2","year":2000}`:              "/data/title max_length",
		`{"title":"a","year":2000}`:                    "/data/title min_length",
		`{"title":"abc","year":1}`:                     "/data/year minimum",
		`{"title":"abc","year":9999}`:                  "/data/year maximum",
		`{"title":"abc","year":2000,"x/y":1}`:          "/data/x~1y unknown",
		`{"title":"abc","year":2000,"mail":"hunter2"}`: "/data/mail format",
		`{"title":"abc","year":2000,"code":"hunter2"}`: "/data/code pattern",
		`{"title":"abc","year":2000,"kind":"hunter2"}`: "/data/kind enum",
		`{"title":"abc","year":2000,"one":"hunter2"}`:  "/data/one const",
		`{"title":"abc","year":2000,"list":[1,1.0]}`:   "/data/list unique_items",
		`{"title":"abc","year":2000,"list":[1,0.7]}`:   "/data/list/1 multiple_of",
		`{"title":"abc","year":2000,"list":[1,2,3,4]}`: "/data/list max_items",
	} {
		err := s.validate(json.RawMessage(data), "/data")
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.KindInvalid {
			t.Errorf("%s: got %v", data, err)
			continue
		}
		if got := e.Fields[0].Path + " " + e.Fields[0].Code; got != want {
			t.Errorf("%s: got %s, want %s", data, got, want)
		}
		if strings.Contains(e.Error(), canary) {
			t.Errorf("%s: the value is told: %v", data, e)
		}
	}
}
