package gateway

import (
	"log/slog"
	"net/http"

	"github.com/acme/platform"
)

// BodyLimit refuses request bodies of more than limit bytes with a problem of
// status 413: at once where the length is declared, and otherwise by an
// [*http.MaxBytesError] for the handler that reads on. The server then closes
// the connection rather than read much more of it. A negative limit is no limit.
func BodyLimit(limit int64, log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if limit < 0 {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
				next.ServeHTTP(w, r)
				return
			}
			if r.ContentLength > limit {
				platform.WriteProblem(w, r, log, platform.Errorf(platform.KindTooLarge, "body_too_large",
					"the body is larger than the %d bytes that this operation takes", limit))
				return
			}
			limited := *r
			limited.Body = http.MaxBytesReader(innermost(w), r.Body, limit)
			next.ServeHTTP(w, &limited)
		})
	}
}
