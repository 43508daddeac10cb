package rest

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

// OpenQueryExtension marks an operation whose unknown parameters are ignored.
const OpenQueryExtension = "x-ignores-unknown-parameters"

// complete makes of what the registrations left the description that leaves.
func (a *API) complete() {
	doc := a.huma.OpenAPI()
	schemas := doc.Components.Schemas.Map()
	// Huma registers its own error types with every operation; none is sent.
	for _, t := range []reflect.Type{reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[huma.ErrorDetail]()} {
		delete(schemas, a.schemaName(t, ""))
	}
	if doc.Components.Responses == nil {
		doc.Components.Responses = make(map[string]*huma.Response)
	}
	for _, op := range a.ops {
		described := operationOf(doc, op)
		a.completeAnswers(doc, op, described)
	}
	openAnswers(doc)
}

func operationOf(doc *huma.OpenAPI, op Operation) *huma.Operation {
	item := doc.Paths[op.Path]
	switch op.Method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	panic("rest: " + op.ID + " has a method that is not described: " + op.Method)
}

// completeAnswers adds further successes, and the errors that the operation can
// end in, each by name.
func (a *API) completeAnswers(doc *huma.OpenAPI, op Operation, described *huma.Operation) {
	main := described.Responses[strconv.Itoa(op.Status)]
	for _, status := range op.Also {
		answer := &huma.Response{Description: http.StatusText(status)}
		if status < http.StatusMultipleChoices {
			answer.Content = main.Content
			answer.Headers = maps.Clone(main.Headers)
			delete(answer.Headers, "Location")
			if status == http.StatusCreated {
				answer.Headers = map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: huma.TypeString}}}
			}
		}
		described.Responses[strconv.Itoa(status)] = answer
	}
	for _, status := range statuses(op, described) {
		name := problem.NameOf(status)
		if doc.Components.Responses[name] == nil {
			doc.Components.Responses[name] = answerOf(status)
		}
		described.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + name}
	}
	described.Responses["default"] = &huma.Response{Ref: "#/components/responses/" + problem.NameOf(0)}
	doc.Components.Responses[problem.NameOf(0)] = answerOf(0)
}

// statuses are the errors of an operation behind a gateway: those that its form
// has, and those that it declares.
func statuses(op Operation, described *huma.Operation) []int {
	// A query that cannot be read, and a parameter that is unknown.
	all := []int{http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusTooManyRequests}
	if !op.Access.Public() {
		all = append(all, http.StatusUnauthorized, http.StatusForbidden)
	}
	if described.RequestBody != nil {
		all = append(all, http.StatusUnsupportedMediaType)
		if op.MaxBody >= 0 {
			all = append(all, http.StatusRequestEntityTooLarge)
		}
	}
	if strings.Contains(op.Path, "{") {
		all = append(all, http.StatusNotFound)
	}
	for _, p := range described.Parameters {
		if p.Name == "If-Match" {
			all = append(all, http.StatusPreconditionFailed)
		}
	}
	if op.Retry == platform.RetryWithKey { // the first call with its key is still running
		all = append(all, http.StatusConflict)
	}
	all = append(all, op.Errors...)
	slices.Sort(all)
	return slices.Compact(all)
}

// answerOf describes the errors of a status; zero is any other.
func answerOf(status int) *huma.Response {
	r := &huma.Response{
		Description: problem.DescriptionOf(status),
		Content: map[string]*huma.MediaType{platform.ProblemContentType: {
			Schema: &huma.Schema{Ref: "#/components/schemas/Problem"},
		}},
	}
	for _, name := range problem.HeadersOf(status) {
		if r.Headers == nil {
			r.Headers = make(map[string]*huma.Param)
		}
		r.Headers[name] = &huma.Param{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return r
}

// openAnswers lets the schemas of answers have further members, so that a field
// that is added later breaks no client that checks what it gets. Those of
// requests stay closed; a schema that stands in both gets a second, open one,
// whose name ends in Answer.
func openAnswers(doc *huma.OpenAPI) {
	schemas := doc.Components.Schemas.Map()
	asked, answered := make(map[string]bool), make(map[string]bool)
	walk := func(seen map[string]bool, content map[string]*huma.MediaType) {
		for _, m := range content {
			reach(schemas, m.Schema, seen)
		}
	}
	eachOperation(doc, func(op *huma.Operation) {
		if op.RequestBody != nil {
			walk(asked, op.RequestBody.Content)
		}
		for _, r := range op.Responses {
			walk(answered, r.Content)
		}
	})
	for _, r := range doc.Components.Responses {
		walk(answered, r.Content)
	}
	twice := make(map[string]string)
	for name := range answered {
		if asked[name] {
			twice[name] = name + "Answer"
		}
	}
	for name := range answered {
		if asked[name] {
			schemas[twice[name]] = opened(schemas[name], twice)
		} else {
			// Nothing is checked against it: it may be changed.
			schemas[name] = opened(schemas[name], twice)
		}
	}
	open := func(content map[string]*huma.MediaType) {
		for _, m := range content {
			m.Schema = opened(m.Schema, twice)
		}
	}
	eachOperation(doc, func(op *huma.Operation) {
		for _, r := range op.Responses {
			open(r.Content)
		}
	})
}

func eachOperation(doc *huma.OpenAPI, do func(*huma.Operation)) {
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Patch} {
			if op != nil {
				do(op)
			}
		}
	}
}

// inner are the schemas within one.
func inner(s *huma.Schema) []*huma.Schema {
	all := slices.Concat(s.OneOf, s.AnyOf, s.AllOf)
	for _, p := range s.Properties {
		all = append(all, p)
	}
	if s.Items != nil {
		all = append(all, s.Items)
	}
	if more, ok := s.AdditionalProperties.(*huma.Schema); ok {
		all = append(all, more)
	}
	return all
}

const schemaRef = "#/components/schemas/"

// reach notes the names of the schemas that s has.
func reach(schemas map[string]*huma.Schema, s *huma.Schema, seen map[string]bool) {
	if s == nil {
		return
	}
	if name, ok := strings.CutPrefix(s.Ref, schemaRef); ok && !seen[name] {
		seen[name] = true
		reach(schemas, schemas[name], seen)
	}
	for _, one := range inner(s) {
		reach(schemas, one, seen)
	}
}

// opened is a copy of a schema that allows further members, and refers to the
// open ones of others.
func opened(s *huma.Schema, twice map[string]string) *huma.Schema {
	if s == nil {
		return nil
	}
	c := *s
	if name, ok := strings.CutPrefix(s.Ref, schemaRef); ok && twice[name] != "" {
		c.Ref = schemaRef + twice[name]
	}
	if s.AdditionalProperties == false {
		c.AdditionalProperties = nil
	}
	if more, ok := s.AdditionalProperties.(*huma.Schema); ok {
		c.AdditionalProperties = opened(more, twice)
	}
	c.Items = opened(s.Items, twice)
	if s.Properties != nil {
		c.Properties = make(map[string]*huma.Schema, len(s.Properties))
		for name, p := range s.Properties {
			c.Properties[name] = opened(p, twice)
		}
	}
	for _, list := range []*[]*huma.Schema{&c.OneOf, &c.AnyOf, &c.AllOf} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i] = opened((*list)[i], twice)
		}
	}
	return &c
}
