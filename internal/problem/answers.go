package problem

import "net/http"

// NameOf, DescriptionOf and HeadersOf are how a document describes the problems
// of a status, in one place for all who describe; zero is any other status.

// NameOf returns the name among components.responses.
func NameOf(status int) string {
	if a, ok := answers[status]; ok {
		return a.name
	}
	return answers[0].name
}

// DescriptionOf returns what it means.
func DescriptionOf(status int) string { return answers[status].description }

// HeadersOf returns the headers that go with it.
func HeadersOf(status int) []string { return answers[status].headers }

var answers = map[int]struct {
	name, description string
	headers           []string
}{
	0:                                {"Problem", "Any other problem (RFC 9457), such as one of ours", nil},
	http.StatusBadRequest:            {"Malformed", "The request cannot be read, or contradicts itself", nil},
	http.StatusUnauthorized:          {"Unauthenticated", "The credential is missing or not valid", []string{"WWW-Authenticate"}},
	http.StatusForbidden:             {"Forbidden", "The caller may not do this", nil},
	http.StatusNotFound:              {"NotFound", "There is no such thing in this organization", nil},
	http.StatusNotAcceptable:         {"NotAcceptable", "There is no answer in a media type that Accept names", nil},
	http.StatusConflict:              {"Conflict", "What is there does not allow it", nil},
	http.StatusPreconditionFailed:    {"Stale", "What is there is not what the condition names", nil},
	http.StatusRequestEntityTooLarge: {"TooLarge", "The body is larger than this operation takes", nil},
	http.StatusUnsupportedMediaType:  {"Unsupported", "The body has a media type or a coding that is not taken", []string{"Accept", "Accept-Encoding"}},
	http.StatusUnprocessableEntity:   {"Invalid", "A part of the input is not valid", nil},
	http.StatusTooManyRequests:       {"Limited", "A limit of requests or of the plan is reached", []string{"Retry-After"}},
}
