package background

import (
	"context"
	"time"
)

// Sleep waits for d or until ctx is done.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// sweepPause lets other writers have their turns between two steps of a sweep.
const sweepPause = 20 * time.Millisecond

// Sweep keeps house until ctx is done: it calls step until that has no more to
// do, with short pauses, and then again after every. A step that failed returns
// false, so that it is tried in the next round and not at once.
func Sweep(ctx context.Context, every time.Duration, step func(ctx context.Context) (more bool)) {
	for ctx.Err() == nil {
		pause := every
		if step(ctx) {
			pause = sweepPause
		}
		Sleep(ctx, pause)
	}
}

// Signal wakes one loop that waits. It is made by [NewSignal]. A signal that is
// set while the loop is busy is kept until its next Wait, so that none is lost
// between a look for work and the wait; any number of them are one.
type Signal chan struct{}

// NewSignal returns a signal that is not set.
func NewSignal() Signal { return make(Signal, 1) }

// Set wakes the loop. It never blocks and may be called by many goroutines.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// Wait waits for the signal, which it clears, for d, or until ctx is done, and
// reports whether it was the signal.
func (s Signal) Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// Backoff is how long to wait after failures: a bound that doubles from Min to
// Max, and jitter, so that many who failed together do not come back together
// (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
type Backoff struct {
	Min, Max time.Duration
	// Rand returns numbers evenly from [0, 1).
	Rand func() float64
}

// Bound is the longest pause after the n-th failure in a row, from 1.
func (b Backoff) Bound(n int) time.Duration {
	// Max is shifted and not Min, which could overflow.
	if shift := max(n-1, 0); shift < 63 && b.Min <= b.Max>>shift {
		return b.Min << shift
	}
	return b.Max
}

// Pause is between half and all of Bound: "equal jitter", for a loop that is
// alone with its store and should not come back at once.
func (b Backoff) Pause(n int) time.Duration {
	half := b.Bound(n) / 2
	return half + time.Duration(b.Rand()*float64(half))
}
