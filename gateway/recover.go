package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
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
				v := recover()
				if v == nil {
					return
				}
				if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(http.ErrAbortHandler)
				}
				log.ErrorContext(r.Context(), "handler panicked",
					slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())),
					slog.String("request_id", platform.RequestIDFrom(r.Context())))
				if rw.status != 0 {
					panic(http.ErrAbortHandler)
				}
				forget(rw.Header())
				problem.From(r.Context(), &platform.Error{}).Write(rw)
			}()
			next.ServeHTTP(rw, r)
		})
	}
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
