package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/acme/platform/internal/background"
)

// failuresToTrip is how many calls in a row get no answer before further ones
// are not made. One is often a single broken connection.
const failuresToTrip = 3

// breaker keeps callers from waiting for a server that does not answer. No
// caller pays for finding out that it is back: a goroutine asks.
type breaker struct {
	ping           func(ctx context.Context) error
	timeout, retry time.Duration
	log            *slog.Logger
	tasks          *background.Group

	failures atomic.Int32
	isOpen   atomic.Bool
}

// open reports whether calls are not to be made.
func (b *breaker) open() bool { return b.isOpen.Load() }

// report tells how a call went.
func (b *breaker) report(err error) {
	if !outage(err) {
		// A caller who left says nothing, and most calls need not write.
		if !errors.Is(err, context.Canceled) && b.failures.Load() != 0 {
			b.failures.Store(0)
		}
		return
	}
	if b.failures.Add(1) >= failuresToTrip && b.isOpen.CompareAndSwap(false, true) {
		b.log.Error("redis does not answer: calls fail at once until it does", slog.Any("error", err))
		b.tasks.Go(b.watch)
	}
}

// watch asks until there is an answer.
func (b *breaker) watch(ctx context.Context) {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, b.timeout)
		err := b.ping(asked)
		cancel()
		if err == nil {
			b.failures.Store(0)
			b.isOpen.Store(false)
			b.log.InfoContext(ctx, "redis answers again")
			return
		}
		background.Sleep(ctx, b.retry)
	}
}
