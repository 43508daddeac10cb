package gateway

import "net/http"

// securityHeaders are right for an API; the page of docs sets its own policy.
// The values are shared by all answers, so nothing may change them in place.
var securityHeaders = [...]struct {
	name   string
	values []string
}{
	{"Cache-Control", []string{"no-store"}},
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
}

// SecurityHeaders sets headers that tell browsers to do nothing with an answer
// but give it to the program that asked, and not to keep it. A handler that
// wants something else, such as a Cache-Control, sets it itself.
// Strict-Transport-Security belongs to whoever ends TLS and is not set.
func SecurityHeaders() func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for _, f := range securityHeaders {
				h[f.name] = f.values
			}
			next.ServeHTTP(w, r)
		})
	}
}
