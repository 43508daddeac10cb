// Package problem turns errors into HTTP answers: application/problem+json
// after RFC 9457, with a stable type and the request's id. It is the one place
// that maps a platform.Kind to a status.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/acme/platform"
)

// ContentType is the media type of a problem.
const ContentType = "application/problem+json"

// typePrefix makes a problem's type from its code. RFC 9457 asks for a URI
// that need not be fetchable; a tag URI (RFC 4151) promises no page.
const typePrefix = "tag:github.com/acme/platform,2026:problem:"

// Problem is the body of every answer that is an error.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type      string  `json:"type" doc:"Stable URI of the kind of problem" example:"tag:github.com/acme/platform,2026:problem:not_found"`
	Title     string  `json:"title" doc:"The HTTP status in words"`
	Status    int     `json:"status" doc:"The HTTP status"`
	Code      string  `json:"code" doc:"Stable code, for programs" example:"not_found"`
	Detail    string  `json:"detail,omitempty" doc:"What went wrong, for people"`
	RequestID string  `json:"request_id,omitempty" doc:"The id to name when asking for help"`
	Errors    []Field `json:"errors,omitempty" nullable:"false" doc:"Which parts of the input are wrong"`

	retryAfter time.Duration
}

// Field is one wrong part of the input.
type Field struct {
	Path   string `json:"path" doc:"JSON pointer into the body, or query.NAME, header.NAME, path.NAME"`
	Code   string `json:"code" doc:"Stable code, for programs"`
	Detail string `json:"detail" doc:"What would be right"`
}

// Status returns the HTTP status of a kind.
func Status(k platform.Kind) int {
	switch k {
	case platform.KindInvalid:
		return http.StatusUnprocessableEntity
	case platform.KindMalformed:
		return http.StatusBadRequest
	case platform.KindUnauthenticated:
		return http.StatusUnauthorized
	case platform.KindForbidden:
		return http.StatusForbidden
	case platform.KindNotFound:
		return http.StatusNotFound
	case platform.KindConflict:
		return http.StatusConflict
	case platform.KindStale:
		return http.StatusPreconditionFailed
	case platform.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case platform.KindUnsupported:
		return http.StatusUnsupportedMediaType
	case platform.KindLimited:
		return http.StatusTooManyRequests
	case platform.KindUnavailable:
		return http.StatusServiceUnavailable
	case platform.KindTimeout:
		return http.StatusGatewayTimeout
	case platform.KindInternal, platform.KindNoTenant:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// From makes a problem of err, or returns the one that err is. The text of an error that is not a
// [*platform.Error], or is one of an internal kind, is not shown.
func From(ctx context.Context, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var e *platform.Error
	if !errors.As(err, &e) {
		e = classify(err)
	}
	status := Status(e.Kind)
	p = New(ctx, status, e.CodeOrKind(), e.Message)
	if status == http.StatusInternalServerError {
		p.Code, p.Type, p.Detail = "internal", typePrefix+"internal", "something went wrong on our side"
		return p
	}
	p.retryAfter = e.RetryAfter
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, Field(f))
	}
	return p
}

// classify gives errors of the standard library their kind.
func classify(err error) *platform.Error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return platform.Errorf(platform.KindTooLarge, "body_too_large", "the body is larger than %d bytes", tooLarge.Limit)
	case errors.Is(err, context.DeadlineExceeded):
		return platform.Errorf(platform.KindTimeout, "", "the answer took too long")
	case errors.Is(err, context.Canceled):
		return platform.Errorf(platform.KindUnavailable, "canceled", "the request was given up")
	}
	return &platform.Error{}
}

// New makes a problem that has no [platform.Error], such as a wrong method.
func New(ctx context.Context, status int, code, detail string) *Problem {
	return &Problem{
		Type: typePrefix + code, Title: http.StatusText(status), Status: status,
		Code: code, Detail: detail, RequestID: platform.RequestIDFrom(ctx),
	}
}

// Body makes the problem of a request body that could not be read to its end:
// 408 where it came too late, 413 where it was too large, and else 400, since it
// broke off or its framing is wrong.
func Body(ctx context.Context, err error) *Problem {
	var p *Problem
	var tooLarge *http.MaxBytesError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLarge):
		return From(ctx, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return New(ctx, http.StatusRequestTimeout, "body_timeout", "the body took too long to arrive")
	}
	return New(ctx, http.StatusBadRequest, "malformed_body", "the body broke off, or its framing is wrong")
}

// Error makes a problem usable as an error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus returns the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type, for huma.
func (p *Problem) ContentType(string) string { return ContentType }

// GetHeaders returns the headers that go with the problem, for huma.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}}
	if p.retryAfter > 0 {
		seconds := int64((p.retryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

// Write sends err as a problem, and logs what the caller is not told. A nil
// logger is silence.
func Write(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	p := From(r.Context(), err)
	Log(r.Context(), log, p.Status, err)
	p.Write(w)
}

// Log records an error of ours; those of the caller are not worth a line. A call
// that was refused so that others are served is a warning, since nothing is
// broken; see [Sampled].
func Log(ctx context.Context, log *slog.Logger, status int, err error) {
	if log == nil || status < http.StatusInternalServerError || errors.Is(err, context.Canceled) {
		return
	}
	attrs := [...]slog.Attr{
		slog.Int("status", status), slog.String("code", codeOf(err)), slog.Any("error", err),
		slog.String("request_id", platform.RequestIDFrom(ctx)),
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
	var e *platform.Error
	return errors.As(err, &e) && e.Kind == platform.KindUnavailable && e.Unwrap() == nil
}

func codeOf(err error) string {
	var p *Problem
	var e *platform.Error
	switch {
	case errors.As(err, &p):
		return p.Code
	case errors.As(err, &e):
		return e.CodeOrKind()
	}
	return ""
}

// Write sends the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and ints always marshal
		panic(err)
	}
	body = append(body, '\n') // as all answers end, for those who read them in a terminal
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller is gone if this fails
}
