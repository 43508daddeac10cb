package gateway

import "net/http"

// securityHeaders are right for an API; the page of docs sets its own policy.
// The values are shared by all answers, so nothing may change them in place.
var securityHeaders = http.Header{
	"Cache-Control":                {"no-store"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"},
}

// SecurityHeaders sets headers that tell browsers to do nothing with an answer
// but give it to the program that asked, and not to keep it. A handler that
// wants something else, such as a Cache-Control, sets it itself.
// Strict-Transport-Security belongs to whoever ends TLS and is not set.
func SecurityHeaders() func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			for name, values := range securityHeaders {
				h[name] = values
			}
			next.ServeHTTP(w, r)
		})
	}
}
