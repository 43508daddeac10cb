package gateway

import (
	"net/http"

	"github.com/acme/platform"
)

// headerRequestID in its canonical form, so that setting it needs no work.
const headerRequestID = "X-Request-Id"

// RequestID gives each request an id: the one that its context carries
// already, else a well-formed X-Request-Id of the caller (at most 128 letters,
// digits and "-_.:"), else a new one with the prefix "req". The id goes into
// the context ([platform.RequestIDFrom]) and into the answer's X-Request-Id.
// It is for finding log lines and proves nothing. A nil newID is
// [platform.NewID].
func RequestID(newID func(prefix string) string) func(http.Handler) http.Handler {
	if newID == nil {
		newID = platform.NewID
	}
	return requestContext(newID, nil, nil)
}

// requestContext is [RequestID], and [Client] where client is not nil, with one
// copy of the request.
func requestContext(newID func(prefix string) string, client clientFunc, scheme func(*http.Request) string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if client != nil {
				ctx = withScheme(withClient(ctx, r, client), r, scheme)
			}
			id := platform.RequestIDFrom(ctx)
			if id == "" {
				if id = r.Header.Get(headerRequestID); !saneRequestID(id) {
					id = newID("req")
				}
				ctx = platform.WithRequestID(ctx, id)
			}
			if ctx != r.Context() {
				r = r.WithContext(ctx)
			}
			w.Header()[headerRequestID] = []string{id}
			next.ServeHTTP(w, r)
		})
	}
}

func saneRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}
