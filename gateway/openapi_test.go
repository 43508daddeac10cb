package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/internal/rest"
)

// document is what the tests look at.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Title   string `json:"title"`
		Version string `json:"version"`
	} `json:"info"`
	Servers []struct {
		URL string `json:"url"`
	} `json:"servers"`
	Tags []struct {
		Name string `json:"name"`
	} `json:"tags"`
	Paths map[string]map[string]struct {
		OperationID string           `json:"operationId"`
		Tags        []string         `json:"tags"`
		Summary     string           `json:"summary"`
		Security    []map[string]any `json:"security"`
		Permission  string           `json:"x-permission"`
		Parameters  []struct {
			Name     string `json:"name"`
			In       string `json:"in"`
			Required bool   `json:"required"`
		} `json:"parameters"`
		RequestBody map[string]any `json:"requestBody"`
		Responses   map[string]any `json:"responses"`
	} `json:"paths"`
	Components map[string]map[string]any `json:"components"`
}

func documentOf(t *testing.T, g http.Handler) (document, string) {
	t.Helper()
	w := call(g, "GET", "/openapi.json")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	var d document
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return d, w.Body.String()
}

type item struct {
	ID string `json:"id"`
}

// restModule describes itself as the services do.
type restModule struct {
	*rest.API
	name string
}

func (m restModule) Name() string { return m.name }

func newRestModule(name string) restModule {
	api := rest.New(name, nil)
	api.HandleHTTP(rest.Operation{
		ID: name + ".items.list", Method: "GET", Path: "/v1/" + name + "/{id}/items", Access: platform.Require(name + ".read"), Summary: "List",
	}, rest.Description{
		Params:   []rest.Param{{Name: "limit", In: "query"}},
		Response: []rest.Media{{Type: "application/json", Value: item{}}},
	}, func(http.ResponseWriter, *http.Request) error { return nil })
	api.HandleHTTP(rest.Operation{ID: name + ".items.create", Method: "POST", Retry: platform.RetryFreely, Path: "/v1/" + name + "/{id}/items", Access: platform.Public()},
		rest.Description{}, func(http.ResponseWriter, *http.Request) error { return nil })
	return restModule{api, name}
}

// Every mounted route is in the document, and nothing else is.
func TestOpenAPI(t *testing.T) {
	cfg := config()
	_, cfg.AssertionKey = keys()
	cfg.Title, cfg.Version, cfg.BasePath = "Things <API>", "7", "/api"
	cfg.Upstreams = []gateway.Upstream{remote("http://a.test")}
	data, user := newRestModule("data"), newRestModule("user")
	plain := module{"things", thingRoutes()}
	g, err := gateway.New(cfg, data, user, plain)
	if err != nil {
		t.Fatal(err)
	}
	d, text := documentOf(t, g)
	if d.OpenAPI != "3.1.0" || d.Info.Title != "Things <API>" || d.Info.Version != "7" || len(d.Servers) != 1 || d.Servers[0].URL != "/api" {
		t.Errorf("head: %.300s", text)
	}
	routes := map[string]platform.Route{}
	for _, list := range [][]platform.Route{data.Routes(), user.Routes(), plain.routes, cfg.Upstreams[0].Routes} {
		for _, r := range list {
			routes[r.Operation] = r
		}
	}
	for id, path := range map[string]string{
		"health.live": "/livez", "health.ready": "/readyz", "openapi": "/openapi.json", "docs": "/docs", "docs.asset": "/docs/{file}",
	} {
		routes[id] = platform.Route{Operation: id, Method: "GET", Path: path, Access: platform.Public()}
	}
	routes["usage.get"] = platform.Route{Operation: "usage.get", Method: "GET", Path: "/v1/usage", Access: platform.Authenticated()}
	tags := map[string]bool{}
	for _, tag := range d.Tags {
		tags[tag.Name] = true
	}
	found := 0
	template := regexp.MustCompile(`\{(\w+)\}`)
	for path, ops := range d.Paths {
		for method, op := range ops {
			found++
			r, ok := routes[op.OperationID]
			if !ok {
				t.Errorf("%s %s (%q) is no route", method, path, op.OperationID)
				continue
			}
			if strings.ToLower(r.Method) != method || strings.ReplaceAll(r.Path, "...}", "}") != path {
				t.Errorf("%s is %s %s, described as %s %s", r.Operation, r.Method, r.Path, method, path)
			}
			if op.Permission != r.Access.Permission() || (len(op.Security) == 2) == r.Access.Public() {
				t.Errorf("%s: permission %q, security %v", r.Operation, op.Permission, op.Security)
			}
			if len(op.Responses) == 0 || len(op.Tags) != 1 || !tags[op.Tags[0]] {
				t.Errorf("%s: responses %v, tags %v", r.Operation, op.Responses, op.Tags)
			}
			if op.Tags[0] == "things" && (method == "post") != (op.RequestBody != nil) {
				t.Errorf("%s: the body is %v", r.Operation, op.RequestBody)
			}
			names := map[string]bool{}
			for _, p := range op.Parameters {
				if p.In == "path" && p.Required {
					names[p.Name] = true
				}
			}
			for _, m := range template.FindAllStringSubmatch(path, -1) {
				if !names[m[1]] {
					t.Errorf("%s: the parameter %s is not described", r.Operation, m[1])
				}
				delete(names, m[1])
			}
			if len(names) > 0 {
				t.Errorf("%s: %v are not in the path", r.Operation, names)
			}
		}
	}
	if found != len(routes) {
		t.Errorf("%d operations for %d routes", found, len(routes))
	}
	for _, m := range regexp.MustCompile(`"\$ref":"#/components/(\w+)/([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if d.Components[m[1]][m[2]] == nil {
			t.Errorf("%s leads nowhere", m[0])
		}
	}
	for _, name := range []string{"bearer", "apiKey"} {
		if d.Components["securitySchemes"][name] == nil {
			t.Errorf("no security scheme %s", name)
		}
	}

	again, err := gateway.New(cfg, newRestModule("data"), newRestModule("user"), plain)
	if err != nil {
		t.Fatal(err)
	}
	if _, other := documentOf(t, again); other != text {
		t.Error("the same routes gave another document")
	}
	etag := call(g, "GET", "/openapi.json").Header().Get("ETag")
	if w := call(g, "GET", "/openapi.json", "If-None-Match: "+etag); w.Code != 304 || w.Header().Get("ETag") != etag || w.Body.Len() > 0 {
		t.Errorf("with %s: %d", etag, w.Code)
	}
}

func TestOpenAPIRefused(t *testing.T) {
	a := route("a.get", "GET", "/a", platform.Public(), say(""))
	doc := func(version, path, id, schema string) string {
		return fmt.Sprintf(`{"openapi":%q,"paths":{%q:{"get":{"operationId":%q,"responses":{"200":{"description":""}}}}},
			"components":{"schemas":{"Thing":%s}}}`, version, path, id, schema)
	}
	const object, text = `{"type":"object"}`, `{"type":"string"}`
	for name, c := range map[string]struct {
		modules []platform.Router
		want    string
	}{
		"missing":       {[]platform.Router{described{module{"a", []platform.Route{a}}, doc("3.1.0", "/b", "a.get", object)}}, "a.get (GET /a) is missing"},
		"too much":      {[]platform.Router{described{module{"a", nil}, doc("3.1.0", "/b", "b.get", object)}}, "GET /b is no route"},
		"other id":      {[]platform.Router{described{module{"a", []platform.Route{a}}, doc("3.1.0", "/a", "x", object)}}, "GET /a has the operationId x and the route a.get"},
		"other version": {[]platform.Router{described{module{"a", []platform.Route{a}}, doc("3.0.3", "/a", "a.get", object)}}, `not OpenAPI 3.1 but "3.0.3"`},
		"no JSON":       {[]platform.Router{described{module{"a", []platform.Route{a}}, "<xml>"}}, "the description of a"},
		"two of a name": {[]platform.Router{
			described{module{"a", []platform.Route{a}}, doc("3.1.0", "/a", "a.get", object)},
			described{module{"b", []platform.Route{route("b.get", "GET", "/b", platform.Public(), say(""))}}, doc("3.1.0", "/b", "b.get", text)},
		}, "of b: components.schemas.Thing differs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gateway.New(config(), c.modules...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Numbers come through whole.
func TestOpenAPINumbers(t *testing.T) {
	g, err := gateway.New(config(), described{
		module{"a", nil},
		`{"openapi":"3.1.0","components":{"schemas":{"N":{"maximum":9007199254740993}}}}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, text := documentOf(t, g); !strings.Contains(text, "9007199254740993") {
		t.Error("a large number lost its end")
	}
}

// The page works without any other host, and under a prefix.
func TestDocs(t *testing.T) {
	g := newGateway(t, config())
	for path, mediaType := range map[string]string{
		"/docs": "text/html; charset=utf-8", "/docs/app.js": "text/javascript; charset=utf-8", "/docs/style.css": "text/css; charset=utf-8", "/docs/icon.svg": "image/svg+xml",
	} {
		w := call(g, "GET", path)
		if w.Code != 200 || w.Header().Get("Content-Type") != mediaType || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if w := call(g, "GET", path, "If-None-Match: "+w.Header().Get("ETag")); w.Code != 304 {
			t.Errorf("%s again: %d", path, w.Code)
		}
	}
	err := fs.WalkDir(os.DirFS("docs"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile("docs/" + path)
		if path == "icon.svg" { // a name, which nothing fetches
			b = bytes.Replace(b, []byte(`xmlns="http://www.w3.org/2000/svg"`), nil, 1)
		}
		if m := regexp.MustCompile(`(?i)\w+://|["'(]//\w|(src|href)="/|(?-i:[ :]url\()|innerHTML|localStorage|sessionStorage|document\.cookie|style=`).Find(b); m != nil {
			t.Errorf("%s has %q", path, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
