package queue

import (
	"errors"
	"time"

	"github.com/acme/platform"
)

// ErrLeaseLost is the error of [Finish], and the cause of a handler's ended
// context, when the job is no longer this run's: its lease ended and another
// worker may have it. The handler must not have any further effect.
var ErrLeaseLost error = &platform.Error{
	Kind: platform.KindConflict, Code: "lease_lost", Message: "the job belongs to another run by now",
}

// ErrStopping is the cause of a handler's ended context when the queue stops.
// The job is put back and the attempt is not counted.
var ErrStopping = errors.New("queue: stopping")

// ErrSuspended is the cause of a handler's ended context when its tenant is
// suspended. The job is put back and the attempt is not counted; it runs once the
// tenant is no longer suspended.
var ErrSuspended = errors.New("queue: the tenant is suspended")

// Discard returns an error for a [Handler] that says that no further attempt
// can help: the job is a dead job at once, with err as the cause.
func Discard(err error) error { return &discardError{err} }

type discardError struct{ err error }

func (e *discardError) Error() string { return e.err.Error() }
func (e *discardError) Unwrap() error { return e.err }

// RetryAfter returns an error for a [Handler] that says when the next attempt
// may succeed, such as the Retry-After of an HTTP answer. It replaces the pause
// that the queue would draw; the attempt counts as any other. A pause that is
// not positive is none.
func RetryAfter(err error, pause time.Duration) error { return &retryError{err, max(pause, 0)} }

type retryError struct {
	err   error
	pause time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }
