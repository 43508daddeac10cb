package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/query"
)

// object is a JSON object.
type object = map[string]any

// openAPI is the document, with its fields in the order of the standard.
type openAPI struct {
	OpenAPI    string   `json:"openapi"`
	Info       object   `json:"info"`
	Servers    []any    `json:"servers"`
	Tags       []object `json:"tags"`
	Paths      object   `json:"paths"`
	Components object   `json:"components"`

	tags map[string]string // descriptions by name
}

// describe makes one OpenAPI 3.1 document of all sources. Every route is in it,
// and nothing else is. The same routes give the same bytes.
func describe(cfg Config, sources []*source) ([]byte, error) {
	server := cfg.BasePath
	if server == "" {
		server = "/"
	}
	schemes := securitySchemes(cfg.Authenticators)
	doc := openAPI{
		OpenAPI: "3.1.0",
		Info: object{
			"title": cfg.Title, "version": cfg.Version,
			"description": "Errors are problems (RFC 9457) with a stable code. Members and parameters that an operation does not describe " +
				"are refused; answers may get further members. Bodies of requests may be in gzip.",
		},
		Servers:    []any{object{"url": server}},
		Paths:      object{},
		tags:       make(map[string]string),
		Components: object{"securitySchemes": schemes},
	}
	var errs []error
	for _, s := range sources {
		if err := doc.merge(s); err != nil {
			errs = append(errs, fmt.Errorf("gateway: the description of %s: %w", s.name, err))
		}
		doc.addTag(s.name)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortFunc(doc.Tags, func(a, b object) int { return strings.Compare(tagName(a), tagName(b)) })
	doc.ensureProblem()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("gateway: OpenAPI: %w", err)
	}
	return b.Bytes(), nil
}

// addTag adds the tag of a source, with what its own description says of it.
func (d *openAPI) addTag(name string) {
	if slices.ContainsFunc(d.Tags, func(t object) bool { return tagName(t) == name }) {
		return
	}
	tag := object{"name": name, "description": "The operations of " + name}
	if text := d.tags[name]; text != "" {
		tag["description"] = text
	}
	d.Tags = append(d.Tags, tag)
}

func tagName(tag object) string {
	name, _ := tag["name"].(string)
	return name
}

// merge adds the operations and components of one source.
func (d *openAPI) merge(s *source) error {
	var given struct {
		OpenAPI    string            `json:"openapi"`
		Paths      map[string]object `json:"paths"`
		Components map[string]object `json:"components"`
		Tags       []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"tags"`
	}
	if s.openAPI != nil {
		dec := json.NewDecoder(bytes.NewReader(s.openAPI))
		dec.UseNumber() // limits of schemas may be larger than a float64 holds
		if err := dec.Decode(&given); err != nil {
			return err
		}
		if !strings.HasPrefix(given.OpenAPI, "3.1.") {
			return fmt.Errorf("it is not OpenAPI 3.1 but %q", given.OpenAPI)
		}
	}
	for _, tag := range given.Tags {
		if tag.Name == s.name {
			d.tags[tag.Name] = tag.Description
		}
	}
	var errs []error
	for _, r := range s.routes {
		path, method := openAPIPath(r.Path), strings.ToLower(r.Method)
		var op object
		if s.openAPI == nil {
			op = minimal(r)
		} else if op = takeOperation(given.Paths[path], method); op == nil {
			errs = append(errs, fmt.Errorf("%s (%s %s) is missing", r.Operation, r.Method, path))
			continue
		}
		if id := op["operationId"]; id != r.Operation {
			errs = append(errs, fmt.Errorf("%s %s has the operationId %v and the route %s", r.Method, path, id, r.Operation))
		}
		if s.openAPI != nil {
			s.describesQuery(r.Operation, op)
		}
		complete(op, r, s.name, d.schemes())
		if s.name == gatewayName && s.proxy == nil {
			d.describeErrors(op, r)
		}
		item, _ := d.Paths[path].(object)
		if item == nil {
			item = object{}
			d.Paths[path] = item
		}
		item[method] = op
	}
	for _, path := range slices.Sorted(maps.Keys(given.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(given.Paths[path])) {
			if slices.Contains(methods, strings.ToUpper(method)) {
				errs = append(errs, fmt.Errorf("%s %s is no route", strings.ToUpper(method), path))
			}
		}
	}
	return errors.Join(append(errs, d.mergeComponents(given.Components))...)
}

// describesQuery notes which parameters of the query an operation has. One that
// is a reference says nothing of itself here, and then nothing is noted; nor is
// it where others are ignored.
func (s *source) describesQuery(operation string, op object) {
	if op[openQueryExtension] == true {
		return
	}
	declared := []query.Param{}
	params, _ := op["parameters"].([]any)
	for _, p := range params {
		param, _ := p.(object)
		name, ok := param["name"].(string)
		if !ok {
			return
		}
		if param["in"] == "query" {
			schema, _ := param["schema"].(object)
			declared = append(declared, query.Param{Name: name, Repeats: schema["type"] == "array"})
		}
	}
	if s.queries == nil {
		s.queries = make(map[string][]query.Param)
	}
	s.queries[operation] = declared
}

// openQueryExtension marks an operation that ignores parameters of the query
// which it does not declare, since a standard says so.
const openQueryExtension = "x-ignores-unknown-parameters"

// takeOperation removes the operation from its path item. Parameters of the
// item become the operation's.
func takeOperation(item object, method string) object {
	op, _ := item[method].(object)
	if op == nil {
		return nil
	}
	delete(item, method)
	if shared, ok := item["parameters"].([]any); ok {
		own, _ := op["parameters"].([]any)
		op["parameters"] = append(slices.Clone(shared), own...)
	}
	return op
}

// complete adds what the route knows.
func complete(op object, r platform.Route, tag string, schemes object) {
	if _, ok := op["tags"]; !ok {
		op["tags"] = []any{tag}
	}
	if _, ok := op["summary"]; !ok && r.Summary != "" {
		op["summary"] = r.Summary
	}
	op["security"] = []any{} // said, so that no reader takes it for forgotten
	if !r.Access.Public() {
		if op["security"] = security(r, schemes); len(schemes) == 0 {
			delete(op, "security") // the host's own is nowhere to be described
		}
	}
	delete(op, "x-retry")
	if r.Retry != 0 {
		op["x-retry"] = r.Retry.String()
	}
	op["x-access"] = r.Access.Level()
	delete(op, "x-max-age")
	if age := r.Access.MaxAge(); age > 0 {
		op["x-max-age"] = int64(age / time.Second)
	}
	delete(op, "x-permission")
	if p := r.Access.Permission(); p != "" {
		op["x-permission"] = p
	}
}

// mergeComponents refuses two different things of one name.
func (d *openAPI) mergeComponents(given map[string]object) error {
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(given)) {
		all, _ := d.Components[kind].(object)
		if all == nil {
			all = object{}
			d.Components[kind] = all
		}
		for _, name := range slices.Sorted(maps.Keys(given[kind])) {
			if other, ok := all[name]; ok && !reflect.DeepEqual(other, given[kind][name]) {
				errs = append(errs, fmt.Errorf("components.%s.%s differs from that of another module", kind, name))
				continue
			}
			all[name] = given[kind][name]
		}
	}
	return errors.Join(errs...)
}

// ensureProblem describes errors where no module did.
func (d *openAPI) ensureProblem() {
	schemas, _ := d.Components["schemas"].(object)
	if schemas == nil || schemas["Problem"] != nil {
		return
	}
	text := object{"type": "string"}
	schemas["Problem"] = object{
		"type": "object", "description": "An error, after RFC 9457",
		"required": []any{"type", "title", "status", "code"},
		"properties": object{
			"type": text, "title": text, "status": object{"type": "integer"}, "code": text, "detail": text, "request_id": text,
			"errors": object{"type": "array", "items": object{
				"type": "object", "required": []any{"path", "code", "detail"},
				"properties": object{"path": text, "code": text, "detail": text},
			}},
		},
	}
}

// minimal describes a route of a source that does not.
func minimal(r platform.Route) object {
	op := object{
		"operationId": r.Operation,
		"responses": object{"default": object{
			"description": "The answer, or a problem (RFC 9457)",
			"content": object{platform.ProblemContentType: object{
				"schema": object{"$ref": "#/components/schemas/Problem"},
			}},
		}},
	}
	var params []any
	for _, m := range wildcard.FindAllStringSubmatch(r.Path, -1) {
		params = append(params, object{
			"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"},
		})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		op["requestBody"] = object{"content": object{"application/json": object{"schema": object{}}}} // perhaps
	}
	return op
}

var wildcard = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

// openAPIPath turns a pattern of ServeMux into a path template.
func openAPIPath(pattern string) string {
	return wildcard.ReplaceAllString(strings.TrimSuffix(pattern, "{$}"), "{$1}")
}
