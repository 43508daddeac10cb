package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

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
				platform.WriteProblem(w, r, log, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// admit lets requests pass whose principal the route's access admits: its level,
// the permission, and last how recent the sign-in is, so that nobody signs in
// again only to be refused.
func admit(r platform.Route, a Authorizer, now func() time.Time, log *slog.Logger) func(http.Handler) http.Handler {
	permission, maxAge := r.Access.Permission(), r.Access.MaxAge()
	check := func(ctx context.Context) error {
		p, err := platform.CallerFrom(ctx)
		if err != nil {
			return err
		}
		if err := r.Access.Admits(p, r.Operation); err != nil || isVouched(ctx) {
			return err
		}
		if permission != "" {
			if err := a.Authorize(ctx, p, permission); err != nil {
				return err
			}
		}
		if maxAge > 0 && !p.SignedInWithin(maxAge, now()) {
			return platform.Reauthenticate(maxAge)
		}
		return nil
	}
	refusals, ok := a.(Refusals)
	ok = ok && (changes(r.Method) || r.Access.Level() == platform.Operator().Level())
	return func(next http.Handler) http.Handler {
		checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := check(r.Context()); err != nil {
				platform.WriteProblem(w, r, log, err)
				return
			}
			next.ServeHTTP(w, r)
		})
		if !ok {
			return checked
		}
		return tellRefusals(refusals, r.Operation, checked)
	}
}

// tellRefusals tells of answers with status 403.
func tellRefusals(refusals Refusals, operation string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw := watcher(w)
		if rw == nil {
			rw = watch(w)
			w = rw
		}
		next.ServeHTTP(w, r)
		if rw.status != http.StatusForbidden {
			return
		}
		if p, err := platform.CallerFrom(r.Context()); err == nil {
			refusals.Refused(r.Context(), p, operation)
		}
	})
}

// authorized tells the handler that the layers before it have checked who may
// call the operation.
func authorized(operation string) func(http.Handler) http.Handler {
	checked := checkedFor(operation)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(checked(r.Context(), r)))
		})
	}
}

// checkedFor adds to a context that the caller was checked for the operation:
// handlers refuse without it (see [platform.CheckAccess]). It also hands on the
// trace that the caller names.
func checkedFor(operation string) func(context.Context, *http.Request) context.Context {
	return func(ctx context.Context, r *http.Request) context.Context {
		ctx = platform.WithAccess(ctx, operation)
		if trace := r.Header["Traceparent"]; len(trace) == 1 {
			ctx = platform.WithTraceParent(ctx, trace[0])
		}
		return ctx
	}
}

// tellPrincipal tells the access log who calls.
func tellPrincipal(w http.ResponseWriter, p platform.Principal) {
	if rw := watcher(w); rw != nil {
		rw.tenant, rw.subject = p.Tenant, p.Subject
	}
}
