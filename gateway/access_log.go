package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
)

// statusClientGone is what the access log notes where the caller left before
// the answer began; nginx made the number known.
const statusClientGone = 499

// AccessLog writes one line for each request once it is done: method, route
// and operation, status, bytes of the body, duration, tenant, principal and
// request id. The path and the query are left out, since they hold ids and
// what people search for. A nil logger is silence, a nil now [time.Now].
func AccessLog(log *slog.Logger, now func() time.Time) func(http.Handler) http.Handler {
	if now == nil {
		now = time.Now
	}
	return func(next http.Handler) http.Handler {
		if log == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !log.Enabled(r.Context(), slog.LevelInfo) {
				next.ServeHTTP(w, r)
				return
			}
			rw, start, finished := watch(w), now(), false
			// A panic passes by on its way to Recover, which answers it.
			defer func() { logAccess(log, rw, r, now().Sub(start), finished) }()
			next.ServeHTTP(rw, r)
			finished = true
		})
	}
}

func logAccess(log *slog.Logger, w *response, r *http.Request, took time.Duration, finished bool) {
	status := w.status
	if status == 0 {
		switch {
		case errors.Is(r.Context().Err(), context.Canceled):
			status = statusClientGone
		case finished:
			status = http.StatusOK
		default:
			status = http.StatusInternalServerError
		}
	}
	var route, operation string
	if w.endpoint != nil {
		route, operation = w.endpoint.Path, w.endpoint.Operation
	}
	attrs := [...]slog.Attr{
		slog.String("method", r.Method),
		slog.String("route", route),
		slog.String("operation", operation),
		slog.Int("status", status),
		slog.Int64("bytes", w.bytes),
		slog.Duration("duration", took),
		slog.String("tenant", string(w.tenant)),
		slog.String("principal", w.subject),
		slog.String("request_id", platform.RequestIDFrom(r.Context())),
		slog.Bool("aborted", true),
	}
	n := len(attrs)
	if finished {
		n--
	}
	log.LogAttrs(r.Context(), slog.LevelInfo, "request", attrs[:n]...)
}
