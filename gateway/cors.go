package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform/internal/setting"
)

// CORS says which pages of other origins may call, by the Fetch standard
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
type CORS struct {
	// Origins are compared exactly: "https://app.example.com". A single "*"
	// is every origin, and not possible with Credentials.
	Origins []string
	// Credentials lets browsers send cookies and other credentials of their
	// own. Tokens in a header do not need it.
	Credentials bool
	// Headers are the request headers that may be sent; nil is Authorization,
	// Content-Type, Idempotency-Key, If-Match, If-None-Match, X-API-Key and
	// X-Request-Id.
	Headers []string
	// Expose are the headers of answers that pages may read; nil is ETag,
	// Location, RateLimit, RateLimit-Policy, Retry-After and X-Request-Id.
	Expose []string
	// MaxAge is how long a browser may remember the answer to a preflight;
	// zero is 10 minutes.
	MaxAge time.Duration
}

func (c *CORS) check(s *setting.Check) {
	s.Need(len(c.Origins) > 0, "CORS.Origins", "must not be empty")
	s.Need(c.MaxAge >= 0, "CORS.MaxAge", "must not be negative")
	for _, o := range c.Origins {
		if o == "*" {
			s.Need(!c.Credentials && len(c.Origins) == 1, "CORS.Origins", `must not hold "*" with other origins or with Credentials`)
			continue
		}
		u, err := url.Parse(o)
		s.Need(err == nil && u.Scheme != "" && u.Host != "" && o == u.Scheme+"://"+u.Host, "CORS.Origins",
			`must hold origins such as "https://app.example.com", without a path`)
	}
}

// AllowOrigins answers preflight requests and marks answers for the origins of
// cfg. It panics on a cfg that [New] would refuse.
func AllowOrigins(cfg CORS) func(http.Handler) http.Handler {
	s := setting.For("gateway")
	if cfg.check(s); s.Err() != nil {
		panic(s.Err().Error())
	}
	if cfg.Headers == nil {
		cfg.Headers = []string{
			"Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-API-Key", headerRequestID,
		}
	}
	if cfg.Expose == nil {
		cfg.Expose = []string{"ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", headerRequestID}
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 10 * time.Minute
	}
	every := cfg.Origins[0] == "*"
	origins := slices.Clone(cfg.Origins)
	headers, expose := strings.Join(cfg.Headers, ", "), strings.Join(cfg.Expose, ", ")
	maxAge := strconv.FormatInt(int64(cfg.MaxAge/time.Second), 10)

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			if !every {
				h.Add("Vary", "Origin")
			}
			origin := r.Header.Get("Origin")
			if origin == "" || !every && !slices.Contains(origins, origin) {
				next.ServeHTTP(w, r)
				return
			}
			if every {
				origin = "*"
			}
			h.Set("Access-Control-Allow-Origin", origin)
			if cfg.Credentials {
				h.Set("Access-Control-Allow-Credentials", "true")
			}
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
				h.Set("Access-Control-Allow-Headers", headers)
				h.Set("Access-Control-Max-Age", maxAge)
				w.WriteHeader(http.StatusNoContent)
				return
			}
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
			h.Set("Access-Control-Expose-Headers", expose)
			next.ServeHTTP(w, r)
		})
	}
}
