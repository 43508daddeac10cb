package user

import (
	"context"
	"runtime"
)

// WaitingByAccount is for tests.
const WaitingByAccount = waitingByAccount

// HashLines are the lines before the hasher.
type HashLines struct{ l *hashLines }

// NewHashLines returns free ones.
func NewHashLines(concurrency, queue int) HashLines {
	return HashLines{newHashLines(concurrency, queue, 1<<20)}
}

// Acquire waits for a turn.
func (h HashLines) Acquire(ctx context.Context, account string) error {
	return h.l.acquire(ctx, account, 1)
}

// Release ends a turn.
func (h HashLines) Release() { h.l.release(1) }

// Await returns once so many wait.
func (h HashLines) Await(n int) {
	for h.l.waiting() != n {
		runtime.Gosched()
	}
}

// NewHashLinesWithin returns free ones with so much memory in KiB.
func NewHashLinesWithin(concurrency, queue int, room int64) HashLines {
	return HashLines{newHashLines(concurrency, queue, room)}
}

// AcquireWithin waits for a turn with so much memory.
func (h HashLines) AcquireWithin(ctx context.Context, account string, memory int64) error {
	return h.l.acquire(ctx, account, memory)
}

// ReleaseWithin ends a turn that had so much memory.
func (h HashLines) ReleaseWithin(memory int64) { h.l.release(memory) }
