package rest

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/acme/platform"
)

// humaProblem is a problem as huma wants an error that brings its own body.
type humaProblem struct{ *platform.Problem } //nolint:errname // RFC 9457 calls it a problem

// GetStatus returns the HTTP status.
func (p humaProblem) GetStatus() int { return p.Status }

// ContentType returns the media type.
func (humaProblem) ContentType(string) string { return platform.ProblemContentType }

// GetHeaders returns the headers that go with the problem.
func (p humaProblem) GetHeaders() http.Header { return p.Header() }

// fromHuma turns an error that huma found itself, before our handler ran, into
// a problem. The rejected values stay behind: one may be a password.
func fromHuma(ctx context.Context, e *huma.ErrorModel) *platform.Problem {
	code, detail := "malformed", "the request cannot be read"
	if e.Status == http.StatusBadRequest && e.Detail == "request body is required" {
		code, detail = "body_required", "this operation needs a body"
	}
	switch e.Status {
	case http.StatusUnprocessableEntity:
		code, detail = "invalid", "the input is not valid"
	case http.StatusRequestEntityTooLarge:
		code, detail = "body_too_large", "the body is larger than this operation takes"
	case http.StatusUnsupportedMediaType:
		code, detail = "unsupported", "this operation does not take that media type"
	case http.StatusRequestTimeout:
		code, detail = "body_timeout", "the body took too long to arrive"
	case http.StatusNotAcceptable:
		code, detail = "not_acceptable", "no answer in that media type; application/json is served"
	case http.StatusInternalServerError:
		code, detail = "internal", "something went wrong on our side"
	}
	p := platform.NewProblem(ctx, e.Status, code, detail)
	if e.Status >= http.StatusInternalServerError {
		return p
	}
	for _, d := range e.Errors {
		f := platform.ProblemField{Path: pointer(d.Location) + missing(d.Message), Code: fieldCode(d.Message), Detail: d.Message}
		if ours, ok := fieldOf(d.Message); ok {
			f = ours
		}
		if f.Path == "" { // the body as a whole: the decoder's text may quote it
			f.Path, f.Detail = "/", "the body must be valid JSON of the documented shape"
		}
		p.Errors = append(p.Errors, f)
	}
	return p
}

// pointer turns "body.items[0].name" into "/items/0/name" and leaves
// "query.limit" as it is.
func pointer(location string) string {
	rest, ok := strings.CutPrefix(location, "body")
	if !ok {
		return location
	}
	rest = strings.NewReplacer("[", ".", "]", "").Replace(rest)
	return strings.ReplaceAll(rest, ".", "/")
}

// missing returns "/name" where the message says that the property is missing:
// its location is that of the object around it.
func missing(message string) string {
	name, ok := strings.CutPrefix(message, "expected required property ")
	if !ok {
		return ""
	}
	name, ok = strings.CutSuffix(name, " to be present")
	if !ok {
		return ""
	}
	return "/" + name
}

// fieldCode names the rule by the start of huma's message, whose texts are
// constants of its validation package.
func fieldCode(message string) string {
	switch {
	case strings.HasPrefix(message, "expected required"):
		return "required"
	case strings.HasPrefix(message, "unexpected property"):
		return "unknown"
	default:
		return "invalid"
	}
}
