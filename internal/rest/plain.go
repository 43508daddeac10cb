package rest

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/acme/platform"
)

// Description tells OpenAPI about an operation that is plain net/http.
type Description struct {
	Params   []Param
	Request  []Media // what the body may be; nil is no body
	Optional bool    // the body may be absent
	Response []Media // what a success may be; nil is an empty answer
}

// Param is one parameter of the query, a header or the path. Those of the path
// are found in it; one of this name adds the description.
type Param struct {
	Name        string
	In          string // "query", "header" or "path"
	Description string
	Required    bool
	Enum        []string
	Value       any // of the Go type that it holds; nil is a string
	Min, Max    int // of a number; zero is none
}

// Media is one media type and the Go type whose JSON form it holds; a nil
// value describes it as a string.
type Media struct {
	Type    string
	Value   any
	Example any // a whole body, where the one that follows from Value would not do
}

// OneOf is the Value of a body that has one of several forms.
type OneOf []any

// HandlerFunc is a plain handler that returns its error to be sent as a
// problem. It must not have written when it returns one.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// HandleHTTP registers an operation whose handler reads and writes for itself:
// a hot route or a stream.
func (a *API) HandleHTTP(op Operation, d Description, h HandlerFunc) {
	hop, op := a.begin(op)
	for _, name := range pathParams(op.Path) {
		p := &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
		if i := slices.IndexFunc(d.Params, func(p Param) bool { return p.In == "path" && p.Name == name }); i >= 0 {
			p.Description = d.Params[i].Description
		}
		hop.Parameters = append(hop.Parameters, p)
	}
	for _, p := range d.Params {
		if p.In == "path" {
			continue
		}
		s := &huma.Schema{Type: huma.TypeString}
		if p.Value != nil {
			s = a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(p.Value), true, p.Name)
		}
		if p.Min != 0 {
			least := float64(p.Min)
			s.Minimum = &least
		}
		if p.Max != 0 {
			most := float64(p.Max)
			s.Maximum = &most
		}
		for _, v := range p.Enum {
			s.Enum = append(s.Enum, v)
		}
		hop.Parameters = append(hop.Parameters, &huma.Param{
			Name: p.Name, In: p.In, Description: p.Description, Required: p.Required, Schema: s,
		})
	}
	describeRetry(&hop, op)
	if d.Request != nil {
		hop.RequestBody = &huma.RequestBody{Required: !d.Optional, Content: a.content(op.ID+"Request", d.Request)}
	}
	hop.Responses[strconv.Itoa(op.Status)] = &huma.Response{
		Description: http.StatusText(op.Status), Content: a.content(op.ID+"Response", d.Response),
	}
	if op.Status == http.StatusCreated {
		hop.Responses["201"].Headers = map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	describeReplay(hop, op)
	a.huma.OpenAPI().AddOperation(&hop)
	a.noNullArrays()
	a.route(op, &hop, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			platform.WriteProblem(w, r, a.log, err)
		}
	}))
}

func (a *API) content(hint string, media []Media) map[string]*huma.MediaType {
	if media == nil {
		return nil
	}
	content := make(map[string]*huma.MediaType, len(media))
	for _, m := range media {
		s := &huma.Schema{Type: huma.TypeString}
		if forms, ok := m.Value.(OneOf); ok {
			s = a.oneOf(hint, forms)
		} else if m.Value != nil {
			s = a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(m.Value), true, hint)
			notNullable(s)
		}
		content[m.Type] = &huma.MediaType{Schema: s, Example: m.Example}
	}
	return content
}

// oneOf describes forms under a name of their own, without which generators make
// types of them that lose what they hold.
func (a *API) oneOf(hint string, forms OneOf) *huma.Schema {
	schemas := a.huma.OpenAPI().Components.Schemas
	name := ""
	for word := range strings.SplitSeq(hint, ".") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	s := &huma.Schema{}
	for _, v := range forms {
		s.OneOf = append(s.OneOf, schemas.Schema(reflect.TypeOf(v), true, hint))
	}
	schemas.Map()[name] = s
	return &huma.Schema{Ref: schemaRef + name}
}

// pathParams returns the names in "/a/{b}/{c...}".
func pathParams(path string) []string {
	var names []string
	for i := 0; i < len(path); i++ {
		if path[i] != '{' {
			continue
		}
		j := i + 1
		for j < len(path) && path[j] != '}' && path[j] != '.' {
			j++
		}
		names = append(names, path[i+1:j])
		i = j
	}
	return names
}
