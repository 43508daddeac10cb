package sqlevents

import (
	"context"
	"log/slog"
	"time"
)

// pause returns how long to wait after the n-th failure in a row: between half
// and all of a bound that doubles, so that it grows and yet spreads.
func (e *Events) pause(n int) time.Duration {
	bound := e.cfg.MaxBackoff
	if shift := n - 1; shift < 20 {
		bound = min(bound, e.cfg.MinBackoff<<shift)
	}
	return bound/2 + time.Duration(e.cfg.Rand()*float64(bound/2))
}

// sleep waits for d or until ctx is done.
func (e *Events) sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait is sleep that a new event ends.
func (c *consumer) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.wake:
	case <-ctx.Done():
	}
}

// trouble logs that something fails when it begins to and when it ends, and not
// at every try between.
type trouble struct {
	log         *slog.Logger
	what, group string
	on          bool
}

func (t *trouble) begin(ctx context.Context, err error) {
	if t.on || ctx.Err() != nil {
		return
	}
	t.on = true
	t.log.WarnContext(ctx, t.what, slog.String("group", t.group), slog.Any("error", err))
}

func (t *trouble) end(ctx context.Context) {
	if !t.on {
		return
	}
	t.on = false
	t.log.InfoContext(ctx, t.what+" no more", slog.String("group", t.group))
}
