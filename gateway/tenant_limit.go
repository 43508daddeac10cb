package gateway

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
	"github.com/acme/platform/store"
)

// The names of the limits that a gateway counts.
const (
	limitRequests = "requests"
	limitStreams  = "streams"
)

// TenantRateLimitConfig configures [TenantRateLimit].
type TenantRateLimitConfig struct {
	// Limits tells [platform.Limits].RequestsPerMinute and the share that it
	// is for; nil is the default for every tenant.
	Limits platform.LimitsFunc
	// Cache holds the counters that replicas share.
	Cache store.Cache
	// Logger is told when the cache fails; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// TenantRateLimit lets a number of requests a minute pass for all principals of
// a share together, which is a tenant, or several that one user created. It
// stands behind [RateLimit], so that what one principal sends beyond its own
// limit costs the others nothing, and adds a policy "organization" to the
// RateLimit fields. Above the limit the answer is a problem of status 429 with
// Retry-After; what is refused does not count.
//
// Each process counts in its memory, which is bounded, and tells the cache a
// hundredth of the limit at a time: between processes the limit may be exceeded
// by that much each. While the cache fails each process counts by itself.
//
// Requests without a principal, or with one of no tenant, pass. It panics on a nil Cache.
func TenantRateLimit(cfg TenantRateLimitConfig) func(http.Handler) http.Handler {
	if cfg.Cache == nil {
		panic("gateway: TenantRateLimit needs a Cache")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return tenantRateLimit(newPlans(cfg.Limits), newShareCounter(cfg.Cache, cfg.Now, cfg.Logger), problem.Sampled(cfg.Logger))
}

// plans tell what the gateway bounds.
type plans struct {
	of       platform.LimitsFunc
	standard platform.Limits
}

func newPlans(of platform.LimitsFunc) plans { return plans{of, platform.DefaultLimits()} }

// bounds are the part of [platform.Limits] that the gateway counts.
type bounds struct {
	share             string
	requests, streams int64
}

// bounds is [platform.LimitsFunc.Of] for the gateway's own limits: it is asked
// for each request, and the whole would have to be allocated.
//
// Callers of no tenant share nothing: each has the default for itself.
func (p plans) bounds(ctx context.Context, who platform.Principal) (bounds, error) {
	var l platform.Limits
	tenant := who.Tenant
	if tenant == platform.NoTenant {
		return bounds{"person:" + subjectKey(who), p.standard.RequestsPerMinute, p.standard.Streams}, nil
	}
	if p.of != nil {
		var err error
		if l, err = p.of(ctx, tenant); err != nil {
			return bounds{}, fmt.Errorf("gateway: the limits of the tenant: %w", err)
		}
	}
	return bounds{
		share:    cmp.Or(l.Share, string(tenant)),
		requests: cmp.Or(l.RequestsPerMinute, p.standard.RequestsPerMinute),
		streams:  cmp.Or(l.Streams, p.standard.Streams),
	}, nil
}

func tenantRateLimit(plans plans, requests *shareCounter, log *slog.Logger) func(http.Handler) http.Handler {
	told := &policies{}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := platform.PrincipalFrom(r.Context())
			if err != nil {
				next.ServeHTTP(w, r)
				return
			}
			b, err := plans.bounds(r.Context(), p)
			if err != nil {
				platform.WriteProblem(w, r, log, err)
				return
			}
			if b.requests < 0 {
				next.ServeHTTP(w, r)
				return
			}
			used, left := requests.spend(r.Context(), b.share, b.requests)
			told.tell(w.Header(), b.requests, max(b.requests-used, 0), left)
			if used > b.requests {
				platform.WriteProblem(w, r, log, platform.OverRate(limitRequests, b.requests, max(left, time.Second)))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// policies writes the RateLimit fields of answers. Mostly the limit is the same
// as the one before, and so is the field that tells of it.
type policies struct{ last atomic.Pointer[policy] }

type policy struct {
	limit int64
	first string   // of the limits before this one
	field []string // shared by answers, so nothing may change it in place
}

// tell adds the limit to those that the answer tells of already.
func (p *policies) tell(h http.Header, limit, remaining int64, left time.Duration) {
	before, first := h["Ratelimit-Policy"], ""
	if len(before) > 0 {
		first = before[0]
	}
	last := p.last.Load()
	if last == nil || last.limit != limit || last.first != first {
		own := `"organization";q=` + strconv.FormatInt(limit, 10) + ";w=60"
		last = &policy{limit, first, append(slices.Clip(before), own)}
		p.last.Store(last)
	}
	h["Ratelimit-Policy"] = last.field

	var buf [64]byte
	b := append(buf[:0], `"organization";r=`...)
	b = strconv.AppendInt(b, remaining, 10)
	b = strconv.AppendInt(append(b, ";t="...), max(int64((left+time.Second-1)/time.Second), 1), 10)
	h["Ratelimit"] = append(h["Ratelimit"], string(b))
}
