// Package rest registers a service's HTTP operations and describes them in
// OpenAPI 3.1. It wraps huma so that nothing of it shows: errors are problems
// of package problem, no rejected value is ever sent back, and no global of
// huma's is touched.
package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

// Operation is one HTTP operation of a service.
type Operation struct {
	ID          string // "data.records.create"
	Method      string
	Path        string // "/v1/data/collections/{collection}"
	Summary     string
	Description string
	Access      platform.Access
	Retry       platform.Retry // of a POST, which must declare it
	Status      int            // of success; zero is 200
	MaxBody     int64          // bytes; zero is 1 MiB, negative is no limit
	Stream      bool           // see platform.Route
	Live        bool           // see platform.Route
	Cacheable   bool           // see platform.Route
	// OpenQuery ignores parameters of the query that are not declared, where a
	// standard says so: OAuth (RFC 6749, section 3.1) and SCIM. Everywhere else
	// they are refused.
	OpenQuery bool
	// Also are further answers that are no errors: 304 without a body, or another
	// success with the body of Status, such as 200 where a repeated command finds
	// what it made.
	Also []int
	// Errors are the statuses of errors that do not follow from the form of the
	// operation, such as 404 and 409; see statuses.
	Errors []int
}

// API collects the operations of one service. It is filled while the service
// is made and only read afterwards.
type API struct {
	service string
	log     *slog.Logger
	huma    huma.API
	routes  []platform.Route
	current Operation // the one being registered, for the adapter
	ops     []Operation
	gzips   sync.Pool // of *gzip.Reader
	finish  sync.Once // completes the description
}

// New returns an API for the service of that name, such as "data"; schemas get
// the name as a prefix. A nil logger is silence.
func New(service string, log *slog.Logger) *API {
	a := &API{service: service, log: problem.Sampled(log)}
	registry := huma.NewMapRegistry("#/components/schemas/", a.schemaName)
	// Errors come in three shapes on their way out, of which only ours leaves.
	redact := func(ctx huma.Context, _ string, v any) (any, error) {
		if e, ok := v.(*huma.ErrorModel); ok {
			if b, ok := ctx.(*bodyContext); ok && b.problem != nil && e.Status == http.StatusInternalServerError {
				return b.problem, nil
			}
			return fromHuma(ctx.Context(), e), nil
		}
		return v, nil
	}
	a.huma = huma.NewAPI(huma.Config{
		OpenAPI: &huma.OpenAPI{
			Info: &huma.Info{Title: service, Version: "1"},
			Components: &huma.Components{
				Schemas: registry,
			},
		},
		Formats:       formats(),
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{redact},
	}, adapter{a})
	return a
}

// Describe says in the document what the operations of the service are for.
func (a *API) Describe(text string) {
	a.huma.OpenAPI().Tags = []*huma.Tag{{Name: a.service, Description: text}}
}

// schemaName begins with the service's name, so that the descriptions of all
// services can be put together; problems are the same in each. The services
// mark the types of their wire form, which here all are.
func (a *API) schemaName(t reflect.Type, hint string) string {
	name := strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "Wire", "")
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	prefix := strings.ToUpper(a.service[:1]) + a.service[1:]
	if t == reflect.TypeFor[platform.Problem]() || t == reflect.TypeFor[platform.ProblemField]() {
		prefix = "Problem"
	}
	if strings.HasPrefix(name, prefix) {
		return name
	}
	return prefix + name
}

// formats are JSON and the JSON dialects that routes take.
func formats() map[string]huma.Format {
	f := huma.Format{
		Marshal: func(w io.Writer, v any) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(v)
		},
		Unmarshal: unmarshal,
	}
	return map[string]huma.Format{"application/json": f, "json": f}
}

// Handle registers an operation. I is a struct whose fields carry huma's tags
// (path, query, header, Body); O a struct with header fields and a Body, or a
// struct without fields for an empty answer. An error that h returns is sent
// as a problem.
func Handle[I, O any](a *API, op Operation, h func(context.Context, *I) (*O, error)) {
	hop, op := a.begin(op)
	describeRetry(&hop, op)
	huma.Register(a.huma, hop, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			p := platform.ProblemFrom(ctx, err)
			platform.LogProblem(ctx, a.log, p.Status, err)
			return nil, humaProblem{p}
		}
		return out, nil
	})
	describeReplay(hop, op)
	a.noNullArrays()
}

// begin checks the operation, fills its defaults, and turns it into huma's.
func (a *API) begin(op Operation) (huma.Operation, Operation) {
	if !op.Access.Declared() {
		panic(fmt.Sprintf("rest: %s declares no access", op.ID))
	}
	if (op.Method == http.MethodPost) != (op.Retry != 0) {
		panic(fmt.Sprintf("rest: %s: a POST, and nothing else, declares Retry: platform.RetryWithKey or platform.RetryFreely", op.ID))
	}
	if op.Status == 0 {
		op.Status = http.StatusOK
	}
	a.current = op
	a.ops = append(a.ops, op)
	return a.humaOperation(op), op
}

func (a *API) humaOperation(op Operation) huma.Operation {
	hop := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path,
		Summary: op.Summary, Description: op.Description,
		DefaultStatus: op.Status, MaxBodyBytes: op.MaxBody,
		Tags: []string{a.service},
		Responses: map[string]*huma.Response{"default": {
			Description: "A problem (RFC 9457)",
			Content: map[string]*huma.MediaType{platform.ProblemContentType: {
				Schema: a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[platform.Problem](), true, ""),
			}},
		}},
		Extensions: map[string]any{},
	}
	hop.Security = []map[string][]string{} // said, so that no default of a document holds
	if !op.Access.Public() {
		hop.Security = []map[string][]string{{"bearer": {}}, {"apiKey": {}}}
	}
	if op.OpenQuery {
		hop.Extensions[OpenQueryExtension] = true
	}
	if p := op.Access.Permission(); p != "" {
		hop.Extensions["x-permission"] = p
	}
	return hop
}

// noNullArrays undoes huma's default, under which each list of a schema may be
// null; it is a global of huma's that we leave alone.
func (a *API) noNullArrays() {
	for _, s := range a.huma.OpenAPI().Components.Schemas.Map() {
		notNullable(s)
		for _, p := range s.Properties {
			notNullable(p)
		}
	}
}

func notNullable(s *huma.Schema) {
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
}

// Routes returns the operations in the order in which they were registered.
func (a *API) Routes() []platform.Route { return a.routes }

// OpenAPI returns the description of the operations.
func (a *API) OpenAPI() ([]byte, error) {
	a.finish.Do(a.complete)
	return json.Marshal(a.huma.OpenAPI())
}

// route records an operation that is served by h, before which stand two checks:
// that somebody has authorized the request for it, and that the request is one
// that the description has.
func (a *API) route(op Operation, described *huma.Operation, h http.Handler) {
	ad := a.admission(op, described)
	keyed := withKey(a.log, op, h)
	checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := platform.CheckAccess(r.Context(), op.ID); err != nil {
			platform.WriteProblem(w, r, a.log, err)
			return
		}
		admitted, release, err := ad.admit(w, r)
		if err != nil {
			platform.WriteProblem(w, r, a.log, err)
			return
		}
		if release != nil {
			defer release()
		}
		keyed.ServeHTTP(w, admitted)
	})
	a.routes = append(a.routes, platform.Route{
		Operation: op.ID, Method: op.Method, Path: op.Path, Access: op.Access,
		Retry: op.Retry, MaxBody: op.MaxBody, Stream: op.Stream, Live: op.Live, Cacheable: op.Cacheable,
		Summary: op.Summary, Handler: checked,
	})
}

// adapter takes the handlers that huma makes.
type adapter struct{ a *API }

func (ad adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	ad.a.route(ad.a.current, op, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := humago.NewContext(op, r, w)
		if r.ContentLength != 0 {
			ctx = &bodyContext{humaContext: ctx, body: r.Body}
		}
		handler(ctx)
	}))
}

func (adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
