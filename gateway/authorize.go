package gateway

import (
	"log/slog"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

// Authorize lets requests pass whose principal may use the permission. It goes
// behind [Authenticate]; without a principal the answer is a problem of status
// 401, with one that may not it is 403. It panics on a nil Authorizer or an
// empty permission.
func Authorize(a Authorizer, permission string, log *slog.Logger) func(http.Handler) http.Handler {
	if a == nil || permission == "" {
		panic("gateway: Authorize needs an Authorizer and a permission")
	}
	log = problem.Sampled(log)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := platform.PrincipalFrom(r.Context())
			if err == nil {
				err = a.Authorize(r.Context(), p, permission)
			}
			if err != nil {
				problem.Write(w, r, log, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// inScope lets requests pass whose principal may call the operation by its
// scopes: an API key made to read records must not read its owner's inbox only
// because every valid credential may read an inbox.
func inScope(operation string, log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := platform.PrincipalFrom(r.Context())
			if err == nil && !p.InScope(operation) {
				err = platform.Errorf(platform.KindForbidden, "", "the credential's scopes do not reach %s", operation)
			}
			if err != nil {
				problem.Write(w, r, log, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// authorized tells the handler that the layers before it have checked who may
// call the operation: handlers refuse without it (see [platform.CheckAccess]).
func authorized(operation string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(platform.WithAccess(r.Context(), operation)))
		})
	}
}

// tellPrincipal tells the access log who calls.
func tellPrincipal(w http.ResponseWriter, p platform.Principal) {
	if rw := watcher(w); rw != nil {
		rw.tenant, rw.subject = p.Tenant, p.Subject
	}
}
