package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/acme/platform"
)

// BodyTimeout ends the reading of a request body that did not arrive within d:
// the handler's next read fails with an error that is a problem of status 408
// and the code "body_timeout". A body that breaks off or whose framing is wrong
// fails with one of status 400, "malformed_body". Without it a caller who
// announces a body and never sends it keeps the connection for ever, also where
// the answer does not depend on the body: the server waits for the rest of it
// before it answers. A server with a ReadTimeout of its own keeps that. It
// panics where d is not positive.
func BodyTimeout(d time.Duration) func(http.Handler) http.Handler {
	if d <= 0 {
		panic("gateway: BodyTimeout needs a positive duration")
	}
	return bodyTimeout(d, false)
}

// bodyTimeout gives the whole body d, or each part of it where a long body is
// what the operation is for.
func bodyTimeout(d time.Duration, eachPart bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
				next.ServeHTTP(w, r)
				return
			}
			b := &timedBody{ReadCloser: r.Body, ctx: r.Context(), conn: http.NewResponseController(w)}
			switch {
			case hasReadTimeout(r):
				b.end()
			case !b.within(d): // a writer without a connection
				b.end()
			case eachPart:
				b.part = d
			}
			defer b.end()
			timed := *r
			timed.Body = b
			next.ServeHTTP(w, &timed)
		})
	}
}

func hasReadTimeout(r *http.Request) bool {
	s, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	return ok && s.ReadTimeout > 0
}

// timedBody is a body whose connection has a deadline for reading.
type timedBody struct {
	io.ReadCloser
	ctx  context.Context //nolint:containedctx // of the request, for its id
	conn *http.ResponseController
	part time.Duration // for each read; zero is none

	mu    sync.Mutex
	ended bool // whether the deadline is left alone
}

// within sets the deadline. It is that of a connection, so it follows the
// clock of the machine; the server lifts it when the body is complete. After
// the handler has returned it does nothing: a proxy may still read then, when
// the connection is another request's.
func (b *timedBody) within(d time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.ended && b.conn.SetReadDeadline(time.Now().Add(d)) == nil
}

func (b *timedBody) end() {
	b.mu.Lock()
	b.ended = true
	b.mu.Unlock()
}

func (b *timedBody) Read(p []byte) (int, error) {
	if b.part > 0 {
		b.within(b.part)
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, b.explain(err)
}

// explain gives an error of the server's its answer. One that has an answer
// already, of a layer further out, keeps it.
func (b *timedBody) explain(err error) error {
	var told *bodyError
	var tooLarge *http.MaxBytesError
	if errors.As(err, &told) || errors.As(err, &tooLarge) || errors.Is(err, http.ErrBodyReadAfterClose) {
		return err
	}
	return &bodyError{problem: platform.BodyProblem(b.ctx, err), cause: err}
}

// bodyError is a request body that could not be read to its end. One that came
// too slowly is a net.Error, by which others know a timeout.
type bodyError struct {
	problem *platform.Problem
	cause   error
}

func (e *bodyError) Error() string   { return "gateway: read body: " + e.cause.Error() }
func (e *bodyError) Unwrap() []error { return []error{e.problem, e.cause} }
func (e *bodyError) Timeout() bool   { return e.problem.Status == http.StatusRequestTimeout }
func (e *bodyError) Temporary() bool { return false }
