package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

// Timeout gives the request's context a deadline. It does not interrupt a
// handler that ignores its context, and answers with a problem of status 504
// only where the handler returned late without an answer of its own. It panics
// where d is not positive.
func Timeout(d time.Duration, log *slog.Logger) func(http.Handler) http.Handler {
	return timeout(d, log, nil)
}

// timeout is [Timeout]; where also is not nil, what it adds to the context comes
// with the same copy of the request.
func timeout(d time.Duration, log *slog.Logger, also func(context.Context, *http.Request) context.Context) func(http.Handler) http.Handler {
	if d <= 0 {
		panic("gateway: Timeout needs a positive duration")
	}
	log = problem.Sampled(log)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			if also != nil {
				ctx = also(ctx, r)
			}
			rw := watch(w)
			next.ServeHTTP(rw, r.WithContext(ctx))
			if rw.status == 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
				platform.WriteProblem(rw, r, log, platform.Errorf(platform.KindTimeout, "", "the answer took too long"))
			}
		})
	}
}
