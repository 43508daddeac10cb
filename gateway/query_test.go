package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/internal/rest"
)

// describedModule describes its routes by hand, as a host's module may.
type describedModule struct {
	module
	document string
}

func (m describedModule) OpenAPI() ([]byte, error) { return []byte(m.document), nil }

// Parameters that no description has are refused: of the gateway's own routes,
// and of modules that read their requests by themselves.
func TestUnknownParametersAreRefused(t *testing.T) {
	route := func(operation, path string) platform.Route {
		return platform.Route{Operation: operation, Method: "GET", Path: path, Access: platform.Public(), Handler: say("ok")}
	}
	hosts := describedModule{module{"things", []platform.Route{route("things.list", "/v1/things"), route("things.authorize", "/v1/authorize")}}, `{
		"openapi": "3.1.0", "info": {"title": "things", "version": "1"}, "paths": {
			"/v1/things": {"get": {"operationId": "things.list", "responses": {"200": {"description": "OK"}}, "parameters": [
				{"name": "limit", "in": "query", "schema": {"type": "integer"}}, {"name": "tag", "in": "query", "schema": {"type": "array"}}]}},
			"/v1/authorize": {"get": {"operationId": "things.authorize", "x-ignores-unknown-parameters": true, "responses": {"200": {"description": "OK"}}}}
		}}`}
	silent := module{"silent", []platform.Route{route("silent.list", "/v1/silent")}}
	g, err := gateway.New(config(), hosts, silent)
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]struct {
		status int
		path   string
	}{
		"/v1/things?limit=1&tag=a&tag=b": {200, ""},
		"/v1/things?limits=1":            {422, "query.limits"},
		"/v1/things?limit=1&limit=2":     {422, "query.limit"},
		"/v1/things?limit=%":             {400, ""},
		"/v1/authorize?nonce=1":          {200, ""}, // as its standard says
		"/v1/silent?x=1":                 {200, ""}, // nobody says what it takes
		"/livez?x=1":                     {422, "query.x"},
		"/readyz?verbose":                {422, "query.verbose"},
		"/openapi.json?format=yaml":      {422, "query.format"},
		"/docs?x=1":                      {422, "query.x"},
		"/docs/app.js?v=1":               {422, "query.v"},
	} {
		w := call(g, "GET", target)
		var p struct{ Errors []struct{ Path string } }
		_ = json.Unmarshal(w.Body.Bytes(), &p)
		if w.Code != want.status || want.path != "" && (len(p.Errors) != 1 || p.Errors[0].Path != want.path) {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// A cache does not answer what the route would refuse.
func TestUnknownParametersAreRefusedBeforeTheCache(t *testing.T) {
	api := rest.New("things", nil)
	calls := 0
	api.HandleHTTP(rest.Operation{ID: "things.list", Method: "GET", Path: "/v1/things", Access: platform.Public(), Cacheable: true},
		rest.Description{Response: []rest.Media{{Type: "application/json"}}},
		func(w http.ResponseWriter, _ *http.Request) error {
			calls++
			w.Header().Set("Cache-Control", "public, max-age=60")
			_, err := w.Write([]byte("{}"))
			return err
		})
	g, err := gateway.New(config(), restModule{api, "things"})
	if err != nil {
		t.Fatal(err)
	}
	for target, status := range map[string]int{"/v1/things": 200, "/v1/things?": 200, "/v1/things?x=1": 422} {
		if w := call(g, "GET", target); w.Code != status {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
}

// Beside "/things/{id}" the path "/things/query" has its own methods alone.
func TestLiteralSiblings(t *testing.T) {
	route := func(method, path string) platform.Route {
		return platform.Route{
			Operation: "things." + strings.ToLower(method) + strings.NewReplacer("/v1/things/", "", "{", "", "}", "", "/", "").Replace(path),
			Method:    method, Path: path, Access: platform.Public(), Handler: say(method + " " + path),
		}
	}
	g, err := gateway.New(config(), module{"things", []platform.Route{
		route("GET", "/v1/things/{id}"), route("DELETE", "/v1/things/{id}"), route("PUT", "/v1/things/{id}"),
		route("POST", "/v1/things/query"), route("GET", "/v1/things/export"), route("GET", "/v1/things/{id}/parts/{part}"),
		route("POST", "/v1/things/{id}/parts/retry"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for target, allow := range map[string]string{
		"/v1/things/7":             "DELETE, GET, HEAD, PUT, OPTIONS",
		"/v1/things/query":         "POST, OPTIONS",
		"/v1/things/export":        "GET, HEAD, OPTIONS",
		"/v1/things/7/parts/8":     "GET, HEAD, OPTIONS",
		"/v1/things/7/parts/retry": "POST, OPTIONS",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			w := call(g, method, target)
			status := 405
			if strings.Contains(allow, method) {
				status = 200
			}
			if method == "OPTIONS" {
				status = 204
			}
			if w.Code != status || status != 200 && w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q, want %d, %q", method, target, w.Code, w.Header().Get("Allow"), status, allow)
			}
		}
	}
}
