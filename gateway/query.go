package gateway

import (
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/query"
)

// declaredQuery refuses parameters of the query that the operation's description
// does not have. A handler that ignores one answers another question than was
// asked.
func declaredQuery(declared []query.Param) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				if err := query.Check(r.URL.RawQuery, declared); err != nil {
					platform.WriteProblem(w, r, nil, err)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// names returns nil for nil: the cache tells it from none.
func names(declared []query.Param) []string {
	if declared == nil {
		return nil
	}
	all := make([]string, len(declared))
	for i, p := range declared {
		all[i] = p.Name
	}
	return all
}
