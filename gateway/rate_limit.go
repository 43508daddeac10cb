package gateway

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// RateLimitConfig configures [RateLimit].
type RateLimitConfig struct {
	// Name is the policy's, a word of letters, digits, '_' and '-'. Limits
	// with one name, rate and cache count together.
	Name string
	// Rate is what passes; [NoLimit] lets all pass.
	Rate Rate
	// Cache holds the counters; replicas that share it share the limit.
	Cache store.Cache
	// ByClient counts by client address also where there is a principal.
	ByClient bool
	// Client tells the address; nil is [ClientAddress] without proxies.
	Client func(*http.Request) netip.Addr
	// Logger is told when the cache fails; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// RateLimit lets a number of requests pass in each period, for each subject of
// each tenant, and for each client address (the /64 of IPv6) where the request
// carries no principal; one of no tenant is counted by subject alone. Each answer has RateLimit and RateLimit-Policy fields
// after draft-ietf-httpapi-ratelimit-headers-10; above the limit it is a
// problem of status 429 with Retry-After.
//
// A window begins with a key's first request, so that at its edge up to twice
// the rate can pass within a short time. Refused requests count. While the
// cache fails each process counts by itself: the limit is then that of each
// replica, never none.
//
// It panics where Name, Rate or Cache are not valid.
func RateLimit(cfg RateLimitConfig) func(http.Handler) http.Handler {
	if cfg.Rate == NoLimit {
		return func(next http.Handler) http.Handler { return next }
	}
	if !saneRequestID(cfg.Name) || !cfg.Rate.valid() || cfg.Cache == nil {
		panic("gateway: RateLimit needs a Name, a Rate and a Cache")
	}
	if cfg.Client == nil {
		cfg.Client = ClientAddress()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	limits := newLimits(cfg.Cache, cfg.Rate, cfg.Now, cfg.Logger)
	requests, period := strconv.FormatInt(cfg.Rate.Requests, 10), cfg.Rate.Period
	// The rate is part of the key: a counter of another rate has another end.
	infix := ":rate:" + cfg.Name + ":" + requests + ":" + period.String() + ":"
	quoted := `"` + cfg.Name + `"`
	policy := []string{quoted + ";q=" + requests + ";w=" + strconv.FormatInt(int64((period+time.Second-1)/time.Second), 10)}

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var key string
			if p, err := platform.CallerFrom(r.Context()); err == nil && !cfg.ByClient {
				key = string(p.Tenant) + infix + "s:" + subjectKey(p)
			} else {
				key = string(platform.NoTenant) + infix + "c:" + clientKey(cfg.Client(r))
			}
			c := limits.spend(r.Context(), key)
			reset := max(c.Reset-cfg.Now().Unix(), 1)

			var buf [64]byte
			field := append(buf[:0], quoted...)
			field = strconv.AppendInt(append(field, ";r="...), c.Remaining, 10)
			field = strconv.AppendInt(append(field, ";t="...), reset, 10)
			h := w.Header()
			told := make([]string, 1, 2) // TenantRateLimit adds to it
			told[0] = string(field)
			h["Ratelimit"], h["Ratelimit-Policy"] = told, policy
			if c.Reached {
				platform.WriteProblem(w, r, cfg.Logger, &platform.Error{
					Kind: platform.KindLimited, Message: "too many requests; come back later",
					RetryAfter: time.Duration(reset) * time.Second,
				})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// subjectKey is whom a limit is for. A user's API keys share the user's: more
// keys are not more requests.
func subjectKey(p platform.Principal) string {
	if p.Subject == "" {
		return string(p.Kind) + ":" + p.Credential
	}
	return p.Subject
}
