package standard_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// operation is one of the OpenAPI document.
type operation struct {
	ID, Method, Path string
	Public           bool
}

// apiDocument is what is read of an OpenAPI document.
type apiDocument struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		SecuritySchemes map[string]struct{ Type, In, Name string } `json:"securitySchemes"`
	}
}

func openAPI(t *testing.T, h http.Handler) (doc apiDocument) {
	t.Helper()
	if w := call(t, h, "", http.MethodGet, "/openapi.json", ""); json.Unmarshal(w.Body.Bytes(), &doc) != nil || len(doc.Paths) == 0 {
		t.Fatalf("the document: %d", w.Code)
	}
	return doc
}

// operations are all of the document.
func operations(t *testing.T, h http.Handler) (all []operation) {
	t.Helper()
	for path, methods := range openAPI(t, h).Paths {
		for method, raw := range methods {
			var op struct {
				OperationID string `json:"operationId"`
				Security    []map[string][]string
			}
			if err := json.Unmarshal(raw, &op); err != nil || op.OperationID == "" {
				continue // what all methods of a path share
			}
			all = append(all, operation{op.OperationID, strings.ToUpper(method), path, len(op.Security) == 0})
		}
	}
	return all
}

// presentations are the ways in which the document says that a credential is sent.
func presentations(t *testing.T, h http.Handler, credential string) map[string]func(*http.Request) {
	t.Helper()
	ways := map[string]func(*http.Request){
		"bearer token": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+credential) },
		"API key":      func(r *http.Request) { r.Header.Set("X-API-Key", credential) },
	}
	for name, s := range openAPI(t, h).Components.SecuritySchemes {
		if s.Type == "apiKey" && s.In == "cookie" {
			ways["cookie "+name] = func(r *http.Request) { r.AddCookie(&http.Cookie{Name: s.Name, Value: credential}) }
		}
	}
	return ways
}
