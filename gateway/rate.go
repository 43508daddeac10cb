package gateway

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ulule/limiter/v3"

	"github.com/acme/platform"
)

// Rate is how many requests pass in a period.
type Rate struct {
	Requests int64
	Period   time.Duration // at least a millisecond
}

// NoLimit is the Rate that lets everything pass.
var NoLimit = Rate{Requests: -1}

func (r Rate) valid() bool {
	return r == NoLimit || r.Requests > 0 && r.Period >= time.Millisecond
}

// counter is the part of a [store.Cache] that limits need.
type counter interface {
	Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error)
}

// windows is a limiter.Store over a counter: fixed windows that begin with a
// key's first request. A key is the tenant, a colon, and the rest; no tenant
// has a colon.
type windows struct {
	counter counter
	now     func() time.Time
}

var _ limiter.Store = windows{}

func (w windows) Get(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	return w.Increment(ctx, key, 1, rate)
}

func (w windows) Peek(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	return w.Increment(ctx, key, 0, rate)
}

func (w windows) Increment(ctx context.Context, key string, n int64, rate limiter.Rate) (limiter.Context, error) {
	tenant, rest, _ := strings.Cut(key, ":")
	count, left, err := w.counter.Increment(ctx, platform.TenantID(tenant), rest, n, rate.Period)
	if err != nil {
		return limiter.Context{}, err
	}
	return limiter.Context{
		Limit:     rate.Limit,
		Remaining: max(rate.Limit-count, 0),
		Reset:     w.now().Add(left + time.Second - 1).Unix(), // rounded up
		Reached:   count > rate.Limit,
	}, nil
}

// Reset takes away what was counted, as far as that is known.
func (w windows) Reset(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	now, err := w.Peek(ctx, key, rate)
	if err != nil {
		return limiter.Context{}, err
	}
	return w.Increment(ctx, key, now.Remaining-rate.Limit, rate)
}

// limits counts in a shared cache, and by itself while that does not answer.
type limits struct {
	shared, local *limiter.Limiter
	away          atomic.Bool
	log           *slog.Logger
}

func newLimits(shared counter, rate Rate, now func() time.Time, log *slog.Logger) *limits {
	r := limiter.Rate{Period: rate.Period, Limit: rate.Requests}
	return &limits{
		shared: limiter.New(windows{shared, now}, r),
		local:  limiter.New(windows{newLocalCounter(now), now}, r),
		log:    log,
	}
}

// spend takes one request from the key's window.
func (l *limits) spend(ctx context.Context, key string) limiter.Context {
	c, err := l.shared.Get(ctx, key)
	switch {
	case err == nil:
		if l.away.Load() && l.away.CompareAndSwap(true, false) {
			l.log.InfoContext(ctx, "rate limits are shared again")
		}
		return c
	case ctx.Err() == nil && l.away.CompareAndSwap(false, true):
		l.log.ErrorContext(ctx, "rate limits are counted by this process alone: the cache fails", slog.Any("error", err))
	}
	c, _ = l.local.Get(ctx, key) // a localCounter never fails
	return c
}
