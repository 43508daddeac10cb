package platform

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// ProblemContentType is the media type of a [Problem].
const ProblemContentType = "application/problem+json"

// problemType makes a problem's type from its code. RFC 9457 asks for a URI that
// need not be fetchable; a tag URI (RFC 4151) promises no page.
const problemType = "tag:github.com/acme/platform,2026:problem:"

// Problem is the body of every answer that is an error, after RFC 9457. It is an
// error itself, so that a handler can return one for a status that no [Kind] has.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type      string         `json:"type" doc:"Stable URI of the kind of problem" example:"tag:github.com/acme/platform,2026:problem:not_found"`
	Title     string         `json:"title" doc:"The HTTP status in words"`
	Status    int            `json:"status" doc:"The HTTP status"`
	Code      string         `json:"code" doc:"Stable code, for programs" example:"not_found"`
	Detail    string         `json:"detail,omitempty" doc:"What went wrong, for people"`
	RequestID string         `json:"request_id,omitempty" doc:"The id to name when asking for help"`
	Errors    []ProblemField `json:"errors,omitempty" nullable:"false" doc:"Which parts of the input are wrong"`

	retryAfter, maxAge time.Duration
}

// ProblemField is a [Field] in the body of a [Problem].
type ProblemField struct {
	Path   string `json:"path" doc:"JSON pointer into the body, or query.NAME, header.NAME, path.NAME"`
	Code   string `json:"code" doc:"Stable code, for programs"`
	Detail string `json:"detail" doc:"What would be right"`
}

// Status returns the HTTP status of a kind. An unknown kind is [KindInternal].
func (k Kind) Status() int {
	if int(k) < len(kindStatuses) {
		return kindStatuses[k]
	}
	return http.StatusInternalServerError
}

// kindStatuses are the statuses, in the order of the constants.
var kindStatuses = [...]int{
	KindInternal:        http.StatusInternalServerError,
	KindInvalid:         http.StatusUnprocessableEntity,
	KindMalformed:       http.StatusBadRequest,
	KindUnauthenticated: http.StatusUnauthorized,
	KindForbidden:       http.StatusForbidden,
	KindNotFound:        http.StatusNotFound,
	KindConflict:        http.StatusConflict,
	KindStale:           http.StatusPreconditionFailed,
	KindTooLarge:        http.StatusRequestEntityTooLarge,
	KindUnsupported:     http.StatusUnsupportedMediaType,
	KindLimited:         http.StatusTooManyRequests,
	KindUnavailable:     http.StatusServiceUnavailable,
	KindTimeout:         http.StatusGatewayTimeout,
	KindNoTenant:        http.StatusInternalServerError,
}

// WriteProblem answers a request with err as a [Problem], the way every route of
// the platform does, and logs what the caller is not told. A handler of the
// host's calls it for each error and returns:
//
//	if err != nil {
//		platform.WriteProblem(w, r, log, err)
//		return
//	}
//
// An [*Error] shows its code, message and fields, with the status of its kind. Any
// other error, and one of [KindInternal] or [KindNoTenant], is 500 with a text
// that says nothing of it. A nil logger is silence. The handler must not have
// written before.
func WriteProblem(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	p := ProblemFrom(r.Context(), err)
	LogProblem(r.Context(), log, p.Status, err)
	p.Write(w)
}

// ProblemFrom makes a problem of err, or returns the one that err is.
func ProblemFrom(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var e *Error
	if !errors.As(err, &e) {
		e = classify(err)
	}
	status := e.Kind.Status()
	if status == http.StatusInternalServerError {
		return NewProblem(ctx, status, "internal", "something went wrong on our side")
	}
	p = NewProblem(ctx, status, e.CodeOrKind(), e.Message)
	p.retryAfter, p.maxAge = e.RetryAfter, e.MaxAge
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, ProblemField(f))
	}
	return p
}

// classify gives errors of the standard library their kind.
func classify(err error) *Error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return Errorf(KindTooLarge, "body_too_large", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(KindTimeout, "", "the answer took too long")
	case errors.Is(err, context.Canceled):
		return Errorf(KindUnavailable, "canceled", "the request was given up")
	}
	return &Error{}
}

// NewProblem makes a problem with a status that no [Kind] has, such as 405. The
// code is stable, for programs; the detail is for people and repeats nothing that
// was sent.
func NewProblem(ctx context.Context, status int, code, detail string) *Problem {
	return &Problem{
		Type: problemType + code, Title: http.StatusText(status), Status: status,
		Code: code, Detail: detail, RequestID: RequestIDFrom(ctx),
	}
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// Header returns the headers that go with the problem.
func (p *Problem) Header() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	if p.retryAfter > 0 {
		seconds := int64((p.retryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", p.challenge())
	}
	return h
}

// challenge is after RFC 6750, and RFC 9470 where a sign-in is too old.
func (p *Problem) challenge() string {
	if p.maxAge == 0 {
		return "Bearer"
	}
	return `Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="` +
		strconv.FormatInt(int64(p.maxAge/time.Second), 10) + `"`
}

// Write sends the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and ints always marshal
		panic(err)
	}
	body = append(body, '\n') // as all answers end, for those who read them in a terminal
	for k, v := range p.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", ProblemContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller is gone if this fails
}

// The messages of [LogProblem]. Package internal/problem tells its lines by them.
const (
	msgFailed  = "request failed"
	msgRefused = "request refused"
)

// LogProblem records an error of ours that was answered with the status, as
// [WriteProblem] does; those of the caller are not worth a line. A call that was
// refused so that others are served is a warning, since nothing is broken.
func LogProblem(ctx context.Context, log *slog.Logger, status int, err error) {
	if log == nil || status < http.StatusInternalServerError || errors.Is(err, context.Canceled) {
		return
	}
	attrs := [...]slog.Attr{
		slog.Int("status", status), slog.String("code", problemCode(err)), slog.Any("error", err),
		slog.String("request_id", RequestIDFrom(ctx)),
	}
	if sheds(err) {
		log.LogAttrs(ctx, slog.LevelWarn, msgRefused, attrs[:]...)
		return
	}
	log.LogAttrs(ctx, slog.LevelError, msgFailed, attrs[:]...)
}

// sheds reports whether err is the choice of a service that is there: it has no
// cause, other than that of a service which misses one that it needs.
func sheds(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == KindUnavailable && e.Unwrap() == nil
}

func problemCode(err error) string {
	var p *Problem
	var e *Error
	switch {
	case errors.As(err, &p):
		return p.Code
	case errors.As(err, &e):
		return e.CodeOrKind()
	}
	return ""
}
