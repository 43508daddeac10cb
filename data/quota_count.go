package data

import (
	"context"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// count is one count of what a tenant keeps.
type count struct {
	done   chan struct{} // closed when it has ended
	urgent chan struct{} // closed when somebody waits for it
	hurry  bool          // whether it is; under the figure's lock
}

// keepFresh has the figure counted in the background when it is old. The first
// writes of a tenant in a process wait for a moment, in which most are counted.
func (q *quotas) keepFresh(ctx context.Context, tenant platform.TenantID, f *figure) {
	f.mu.Lock()
	known := f.counts > 0
	if known && (f.running != nil || q.now().Sub(f.counted) < max(figureAge, figureShare*f.took)) {
		f.mu.Unlock()
		return
	}
	c := q.begin(ctx, tenant, f, !known)
	f.mu.Unlock()
	if known || c == nil {
		return
	}
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// begin returns the running count, a new one if there is none, and nil after
// stop. f.mu is held. One that is urgent does not wait for those of other
// tenants.
func (q *quotas) begin(ctx context.Context, tenant platform.TenantID, f *figure, urgent bool) *count {
	if f.running == nil {
		c := &count{done: make(chan struct{}), urgent: make(chan struct{})}
		ctx = context.WithoutCancel(ctx)
		if !q.start(func(stop context.Context) { //nolint:contextcheck // a count outlives the call that began it
			ctx, cancel := context.WithTimeout(ctx, countTime)
			defer cancel()
			defer context.AfterFunc(stop, cancel)()
			defer close(c.done)
			q.count(ctx, tenant, f, c)
		}) {
			return nil
		}
		f.running, f.since = c, store.Size{}
	}
	if c := f.running; urgent && !c.hurry {
		c.hurry = true
		close(c.urgent)
	}
	return f.running
}

// count asks the store.
func (q *quotas) count(ctx context.Context, tenant platform.TenantID, f *figure, c *count) {
	var size store.Size
	var err error
	select {
	case <-c.urgent:
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		err = ctx.Err()
	}
	start := time.Now() // how long it takes is no matter of the host's clock
	if err == nil {
		size, err = q.sizer.Size(ctx, tenant)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = nil
	if err != nil {
		if ctx.Err() == nil {
			q.log.WarnContext(ctx, "what a tenant keeps cannot be counted", slog.String("tenant", string(tenant)), slog.Any("error", err))
		}
		return
	}
	f.counts++
	f.counted, f.took = q.now(), time.Since(start)
	f.size = store.Size{Documents: size.Documents + f.since.Documents, Bytes: size.Bytes + f.since.Bytes}
}

// countAgain counts the figure now, unless that was done a moment ago. An error
// means that it is not known: what an old figure would refuse is neither refused
// as too much nor taken.
func (q *quotas) countAgain(ctx context.Context, tenant platform.TenantID, f *figure) error {
	f.mu.Lock()
	counts := f.counts
	if counts > 0 && q.now().Sub(f.counted) < max(recount, recountShare*f.took) {
		f.mu.Unlock()
		return nil
	}
	c := q.begin(ctx, tenant, f, true)
	f.mu.Unlock()
	if c != nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		f.mu.Lock()
		counted := f.counts != counts
		f.mu.Unlock()
		if counted {
			return nil
		}
	}
	return platform.Errorf(platform.KindUnavailable, "usage_unknown", "what the organization keeps cannot be counted now")
}

// start runs f in the background, unless stop was called.
func (q *quotas) start(f func(stop context.Context)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return false
	}
	q.loops.Go(f)
	return true
}

// stop ends the counts and waits for them.
func (q *quotas) stop(ctx context.Context) error {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	return q.loops.Stop(ctx)
}
