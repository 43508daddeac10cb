package platform

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind is the category of an [Error]. The list is closed: every error that a
// service returns has one of these, and one table maps them to HTTP statuses.
type Kind uint8

// The kinds of error. The status in brackets is the one the HTTP layer sends.
const (
	KindInternal        Kind = iota // a fault of ours; the cause is logged, never sent (500)
	KindInvalid                     // the input does not say what it must; Fields name what (422)
	KindMalformed                   // the input cannot be read at all (400)
	KindUnauthenticated             // no credential, or not a valid one (401)
	KindForbidden                   // a valid credential that may not do this (403)
	KindNotFound                    // no such thing in this tenant (404)
	KindConflict                    // it exists already, or changed meanwhile (409)
	KindStale                       // the caller's version is not the current one (412)
	KindTooLarge                    // more than the limit allows (413)
	KindUnsupported                 // a media type or method that is not served (415)
	KindLimited                     // too many calls; RetryAfter says when to come back (429)
	KindUnavailable                 // a dependency is away for now (503)
	KindTimeout                     // the answer would come too late (504)
	KindNoTenant                    // a call without a valid tenant; always a bug of the caller (500)
)

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// kindNames are the default codes, in the order of the constants.
var kindNames = [...]string{
	"internal", "invalid", "malformed", "unauthenticated", "forbidden", "not_found", "conflict",
	"stale", "too_large", "unsupported", "limited", "unavailable", "timeout", "no_tenant",
}

// Field says what is wrong with one part of the input.
type Field struct {
	// Path names the part: a JSON pointer into the body ("/email"), or
	// "query.limit", "header.If-Match", "path.id".
	Path string
	// Code is stable and for programs: "required", "format", "unknown".
	Code string
	// Detail is for people and says what would be right. It never repeats
	// the value that was sent.
	Detail string
}

// Error is an error with two sides: Kind, Code, Message and Fields are safe to
// show to the caller; the cause is for logs and [errors.Is] only.
type Error struct {
	Kind Kind
	// Code is stable, for programs, in snake case ("email_taken"). Empty
	// means the name of the kind.
	Code string
	// Message is for people. It holds no secret, no value that was sent, and
	// nothing about another tenant.
	Message string
	// Fields name the parts of the input that are wrong.
	Fields []Field
	// RetryAfter is how long to wait before the same call can succeed; zero
	// is unknown. It matters for KindLimited and KindUnavailable.
	RetryAfter time.Duration
	// MaxAge is how recent the sign-in must be, for KindUnauthenticated; zero
	// is that its age does not matter. See [Reauthenticate].
	MaxAge time.Duration

	cause error
}

// Errorf returns an error of the given kind whose message is safe to show.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Invalid returns an error of [KindInvalid] that names the given fields.
func Invalid(fields ...Field) *Error {
	return &Error{Kind: KindInvalid, Message: "the input is not valid", Fields: fields}
}

// NotFound returns an error of [KindNotFound] for a noun such as "record". It
// is the same for a thing that never was and for another tenant's.
func NotFound(noun string) *Error {
	return &Error{Kind: KindNotFound, Message: "no such " + noun}
}

// Because returns a copy of e with the given cause. The cause is never shown
// to a caller; [errors.Is] and [errors.As] see it.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error returns the message with its fields and cause, for logs.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.CodeOrKind())
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "; %s: %s", f.Path, f.Detail)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an *Error of the same kind, and of the same
// code where target has one.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && (t.Code == "" || t.Code == e.CodeOrKind())
}

// CodeOrKind returns Code, or the name of the kind where Code is empty.
func (e *Error) CodeOrKind() string {
	if e.Code != "" {
		return e.Code
	}
	return e.Kind.String()
}

// Sentinels for [errors.Is]: each matches every [*Error] of its kind.
var (
	ErrInvalid         error = &Error{Kind: KindInvalid}
	ErrMalformed       error = &Error{Kind: KindMalformed}
	ErrUnauthenticated error = &Error{Kind: KindUnauthenticated}
	ErrForbidden       error = &Error{Kind: KindForbidden}
	ErrNotFound        error = &Error{Kind: KindNotFound}
	ErrConflict        error = &Error{Kind: KindConflict}
	ErrStale           error = &Error{Kind: KindStale}
	ErrTooLarge        error = &Error{Kind: KindTooLarge}
	ErrUnsupported     error = &Error{Kind: KindUnsupported}
	ErrLimited         error = &Error{Kind: KindLimited}
	ErrUnavailable     error = &Error{Kind: KindUnavailable}
	ErrNoTenant        error = &Error{Kind: KindNoTenant}
)

// KindOf returns the kind of the first [*Error] in err's tree, and
// [KindInternal] where there is none. It must not be called with nil.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
