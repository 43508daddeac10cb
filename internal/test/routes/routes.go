// Package routes mounts operations for tests of a service without a gateway.
// Only test files import it.
package routes

import (
	"net/http"

	"github.com/acme/platform"
)

// Mux serves the routes as if every caller had been checked for every operation,
// so that what is refused is refused by the service.
func Mux(routes []platform.Route) *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Method+" "+r.Path, Checked(r))
	}
	return mux
}

// Checked is the handler of a route whose access check has passed.
func Checked(r platform.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Handler.ServeHTTP(w, req.WithContext(platform.WithAccess(req.Context(), r.Operation)))
	})
}
