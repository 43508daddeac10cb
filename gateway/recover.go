package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/acme/platform"
)

// Recover turns a panic into a problem of status 500 and logs it with its
// stack. Once the answer has begun it aborts the connection instead, so that
// the caller does not take a part for the whole. [http.ErrAbortHandler] passes
// through. A nil logger is silence.
func Recover(log *slog.Logger) func(http.Handler) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rw := watch(w)
			defer func() {
				if v := recover(); v != nil {
					recovered(r, log, rw, v)
				}
			}()
			next.ServeHTTP(rw, r)
		})
	}
}

// recovered answers for a handler that panicked with v. It is called while the
// panicking stack is still there to be logged.
func recovered(r *http.Request, log *slog.Logger, w *response, v any) {
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	ctx := r.Context()
	log.ErrorContext(ctx, "handler panicked",
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())),
		slog.String("request_id", platform.RequestIDFrom(ctx)))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	forget(w.Header())
	platform.ProblemFrom(ctx, &platform.Error{}).Write(w)
}

// forget removes what a handler has said about a body that will not come.
func forget(h http.Header) {
	for _, name := range []string{
		"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Range", "Etag",
		"Expires", "Last-Modified", "Location", "Set-Cookie", "Trailer",
	} {
		h.Del(name)
	}
}
