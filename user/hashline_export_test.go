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
	return HashLines{newHashLines(concurrency, queue)}
}

// Acquire waits for a turn.
func (h HashLines) Acquire(ctx context.Context, account string) error {
	return h.l.acquire(ctx, account)
}

// Release ends a turn.
func (h HashLines) Release() { h.l.release() }

// Await returns once so many wait.
func (h HashLines) Await(n int) {
	for h.l.waiting() != n {
		runtime.Gosched()
	}
}
