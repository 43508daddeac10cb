package gateway

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
)

const (
	// sharePeriod is the minute of [platform.Limits].RequestsPerMinute.
	sharePeriod = time.Minute
	// shareBatch is the part of a limit that a process counts by itself before
	// it tells the others: a hundredth.
	shareBatch = 100
	// Shares wait for each other only within a shard.
	shareShards = 64
	shareKeys   = 1024 // of a generation of a shard
)

// shareCounter counts the requests of shares, in windows that all processes
// have in common. A request costs no round trip: each process counts in its
// memory and adds a hundredth of the limit at a time to the shared counter,
// whose answer is what all have counted. So up to a hundredth of the limit for
// each process can pass beyond it. It is bounded, and forgets the shares that
// were not seen for longest.
type shareCounter struct {
	shared counter
	now    func() time.Time
	log    *slog.Logger
	away   atomic.Bool
	seed   maphash.Seed
	shards [shareShards]shareShard
}

type shareShard struct {
	mu      sync.Mutex
	windows generations[string, *shareWindow]
}

type shareWindow struct {
	count  int64 // of all processes, as far as this one knows
	unsent int64 // what of it the others do not know
	ends   time.Time
}

func newShareCounter(shared counter, now func() time.Time, log *slog.Logger) *shareCounter {
	c := &shareCounter{shared: shared, now: now, log: log, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].windows = newGenerations[string, *shareWindow](shareKeys)
	}
	return c
}

func (c *shareCounter) shard(share string) *shareShard {
	return &c.shards[maphash.String(c.seed, share)%shareShards]
}

// spend takes one request from the share. It returns how many were taken in
// the window, more than limit where this one must not pass, and the time that
// is left of it. What does not pass is not counted.
func (c *shareCounter) spend(ctx context.Context, share string, limit int64) (used int64, left time.Duration) {
	now := c.now()
	s := c.shard(share)
	s.mu.Lock()
	w, ok := s.windows.get(share)
	if !ok || !now.Before(w.ends) {
		w = &shareWindow{ends: now.Add(sharePeriod)}
		s.windows.put(share, w)
	}
	if w.count >= limit {
		left = w.ends.Sub(now)
		s.mu.Unlock()
		return limit + 1, left
	}
	w.count++
	w.unsent++
	used, left = w.count, w.ends.Sub(now)
	var batch int64
	if w.unsent*shareBatch >= limit {
		batch, w.unsent = w.unsent, 0
	}
	s.mu.Unlock()
	if batch == 0 {
		return used, left
	}
	return c.tell(ctx, s, w, share, batch, used, left)
}

// tell adds to the shared counter and takes over what it says. While it does
// not answer the process counts alone.
func (c *shareCounter) tell(ctx context.Context, s *shareShard, w *shareWindow, share string, batch, used int64, left time.Duration) (int64, time.Duration) {
	// The batch is of many callers, so none of them can make it lost.
	total, rest, err := c.shared.Increment(context.WithoutCancel(ctx), platform.NoTenant, "rate:share:"+share, batch, sharePeriod)
	if err != nil {
		if c.away.CompareAndSwap(false, true) {
			c.log.ErrorContext(ctx, "rate limits of organizations are counted by this process alone: the cache fails", slog.Any("error", err))
		}
		return used, left
	}
	if c.away.Load() && c.away.CompareAndSwap(true, false) {
		c.log.InfoContext(ctx, "rate limits of organizations are shared again")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends := c.now().Add(rest)
	if known := total + w.unsent; ends.Sub(w.ends) > sharePeriod/2 {
		w.count = known // the others have begun a new window
	} else {
		w.count = max(w.count, known) // an answer may be overtaken by a later one
	}
	w.ends = ends
	return total, rest
}

// used returns what spend has counted in the present window, without counting.
func (c *shareCounter) used(share string) (count int64, ends time.Time) {
	now := c.now()
	s := c.shard(share)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.windows.get(share); ok && now.Before(w.ends) {
		return w.count, w.ends
	}
	return 0, now.Add(sharePeriod)
}
