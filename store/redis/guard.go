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

// guard keeps callers from waiting for a server that does not answer. No
// caller pays for finding out that it is back: a goroutine asks.
type guard struct {
	ping           func(ctx context.Context) error
	timeout, retry time.Duration
	log            *slog.Logger
	tasks          *background.Group

	failures atomic.Int32
	away     atomic.Bool
}

// open reports whether calls are not to be made.
func (g *guard) open() bool { return g.away.Load() }

// report tells how a call went.
func (g *guard) report(err error) {
	if !outage(err) {
		// A caller who left says nothing, and most calls need not write.
		if !errors.Is(err, context.Canceled) && g.failures.Load() != 0 {
			g.failures.Store(0)
		}
		return
	}
	if g.failures.Add(1) >= failuresToTrip && g.away.CompareAndSwap(false, true) {
		g.log.Error("redis does not answer: calls fail at once until it does", slog.Any("error", err))
		g.tasks.Go(g.watch)
	}
}

// watch asks until there is an answer.
func (g *guard) watch(ctx context.Context) {
	for ctx.Err() == nil {
		asked, cancel := context.WithTimeout(ctx, g.timeout)
		err := g.ping(asked)
		cancel()
		if err == nil {
			g.failures.Store(0)
			g.away.Store(false)
			g.log.InfoContext(ctx, "redis answers again")
			return
		}
		background.Sleep(ctx, g.retry)
	}
}
