package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/acme/platform"
)

// endpoint is a route with the layers before it.
type endpoint struct {
	platform.Route
	base    string
	handler http.Handler
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rw := watch(w)
	rw.endpoint, rw.base = e, e.base
	e.handler.ServeHTTP(rw, r)
}

// router finds the endpoint of a request. It is a ServeMux of which nothing
// shows: its answers in plain text and HTML and its redirects, which know
// nothing of a prefix, are replaced by problems.
type router struct {
	mux     *http.ServeMux
	added   []*endpoint
	methods []string // of all endpoints, sorted
	// subtrees is whether a pattern takes everything below it. Only then does
	// the mux redirect a clean path, to one with a slash at the end.
	subtrees bool
}

func newRouter() *router {
	rt := &router{mux: http.NewServeMux()}
	rt.mux.Handle("/", http.HandlerFunc(rt.unknown))
	return rt
}

// add mounts an endpoint that passed checkRoutes. The error names both
// operations where two patterns meet.
func (rt *router) add(e *endpoint) error {
	if !mount(http.NewServeMux(), e) {
		return fmt.Errorf("gateway: %s has a pattern that is not valid: %s", e.Operation, e.Path)
	}
	if !mount(rt.mux, e) {
		var meets []string
		for _, other := range rt.added {
			if mux := http.NewServeMux(); mount(mux, other) && !mount(mux, e) {
				meets = append(meets, fmt.Sprintf("%s (%s %s)", other.Operation, other.Method, other.Path))
			}
		}
		return fmt.Errorf("gateway: %s (%s %s) serves requests of %s",
			e.Operation, e.Method, e.Path, strings.Join(meets, ", "))
	}
	rt.added = append(rt.added, e)
	if !slices.Contains(rt.methods, e.Method) {
		rt.methods = append(rt.methods, e.Method)
		slices.Sort(rt.methods)
	}
	rt.subtrees = rt.subtrees || strings.HasSuffix(e.Path, "/") || strings.HasSuffix(e.Path, "...}")
	return nil
}

// separate keeps the methods of one path apart from those of another whose
// pattern takes it too: beside "/things/{id}", the path "/things/query" has the
// methods that are described for it, and "GET /things/query" is not the thing
// with that id (OpenAPI 3.1, section 4.8.8.2: the concrete path wins).
func (rt *router) separate() {
	served := make(map[string][]string)
	for _, e := range rt.added {
		served[e.Path] = append(served[e.Path], e.Method)
	}
	for _, e := range slices.Clone(rt.added) {
		sample := wildcard.ReplaceAllString(strings.TrimSuffix(e.Path, "{$}"), "-")
		for _, method := range rt.methods {
			if slices.Contains(served[e.Path], method) || method == http.MethodHead && slices.Contains(served[e.Path], http.MethodGet) {
				continue
			}
			r := &http.Request{Method: method, URL: &url.URL{Path: sample}}
			if h, _ := rt.mux.Handler(r); !isEndpoint(h) {
				continue
			}
			served[e.Path] = append(served[e.Path], method)
			tryHandle(rt.mux, method+" "+e.Path, http.HandlerFunc(rt.unknown))
		}
	}
}

// mount reports whether the mux took the endpoint's pattern.
func mount(mux *http.ServeMux, e *endpoint) bool {
	return tryHandle(mux, e.Method+" "+e.Path, e)
}

func tryHandle(mux *http.ServeMux, pattern string, h http.Handler) (ok bool) {
	defer func() { ok = recover() == nil }() // ServeMux panics on a pattern it refuses
	mux.Handle(pattern, h)
	return true
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refuseTarget(w, r) {
		return
	}
	path := r.URL.EscapedPath()
	if !clean(path) || hasDots(r.URL.Path) || rt.redirects(r, path) {
		rt.unknown(w, r)
		return
	}
	rt.mux.ServeHTTP(w, r)
}

// redirects reports whether the mux would answer with a redirect of its own.
func (rt *router) redirects(r *http.Request, path string) bool {
	if !rt.subtrees || strings.HasSuffix(path, "/") {
		return false
	}
	h, pattern := rt.mux.Handler(r)
	_, ours := h.(*endpoint)
	return !ours && pattern != "/"
}

// unknown answers where no endpoint does: 405 or the answer to OPTIONS where
// another method would be served, else 404.
func (rt *router) unknown(w http.ResponseWriter, r *http.Request) {
	allowed := rt.allowed(r)
	switch {
	case allowed == nil:
		platform.WriteProblem(w, r, nil, platform.NotFound("path"))
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		platform.NewProblem(r.Context(), http.StatusMethodNotAllowed, "method_not_allowed",
			"this path does not take that method").Write(w)
	}
}

// allowed returns the methods that the request's path takes.
func (rt *router) allowed(r *http.Request) []string {
	if path := r.URL.EscapedPath(); !clean(path) || hasDots(r.URL.Path) {
		return nil
	}
	var allowed []string
	try := *r
	for _, method := range rt.methods {
		try.Method = method
		if h, _ := rt.mux.Handler(&try); isEndpoint(h) {
			allowed = append(allowed, method)
			if method == http.MethodGet && !slices.Contains(rt.methods, http.MethodHead) {
				allowed = append(allowed, http.MethodHead)
			}
		}
	}
	if allowed != nil {
		allowed = append(allowed, http.MethodOptions)
	}
	return allowed
}

func isEndpoint(h http.Handler) bool {
	_, ok := h.(*endpoint)
	return ok
}

// clean reports whether the mux would take the path as it is.
func clean(path string) bool {
	return path != "" && path[0] == '/' && !strings.Contains(path, "//") && !hasDots(path)
}

// hasDots reports whether a segment is "." or "..". A path that has one only
// after decoding is refused too: an upstream might decode it.
func hasDots(path string) bool {
	for i := strings.Index(path, "/."); i >= 0; {
		rest := strings.TrimPrefix(path[i+2:], ".")
		if rest == "" || rest[0] == '/' {
			return true
		}
		next := strings.Index(rest, "/.")
		if next < 0 {
			return false
		}
		i = len(path) - len(rest) + next
	}
	return false
}

var (
	operationPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)*$`)
	methods          = []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
	}
)

// checkRoutes says what is wrong with routes, all of it.
func checkRoutes(sources []*source, authenticators []string) error {
	var errs []error
	seen := make(map[string]string)
	for _, s := range sources {
		for _, r := range s.routes {
			name := r.Operation
			if name == "" {
				name = r.Method + " " + r.Path
			}
			bad := func(ok bool, what string) {
				if !ok {
					errs = append(errs, fmt.Errorf("gateway: route %s of %s %s", name, s.name, what))
				}
			}
			bad(operationPattern.MatchString(r.Operation), `has no operation of the form "service.noun.verb"`)
			bad(seen[r.Operation] == "", "has the operation of a route of "+seen[r.Operation])
			bad(r.Access.Declared(), "declares no access")
			bad(slices.Contains(methods, r.Method), "has a method that is not served")
			bad(strings.HasPrefix(r.Path, "/") && !strings.ContainsAny(r.Path, " \t"), "has a path that does not begin with a slash, or with spaces")
			bad(r.Handler != nil || s.system, "has no handler")
			bad(!r.Cacheable || r.Method == http.MethodGet, "is cacheable and no GET")
			bad(r.Accept == nil || !r.Access.Public(), "is public and accepts some authenticators")
			bad(r.Accept == nil || len(r.Accept) > 0, "accepts no authenticator")
			for _, name := range r.Accept {
				bad(slices.Contains(authenticators, name), fmt.Sprintf("accepts the authenticator %q, which is not among %q", name, authenticators))
			}
			seen[r.Operation] = s.name
		}
	}
	return errors.Join(errs...)
}
