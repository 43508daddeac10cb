// Package fairshare hands out a bounded number of slots to many shares, so
// that none of them keeps the others waiting: each share has its own line, and
// a slot that becomes free goes to the share that has the least.
package fairshare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrFull is the error of a caller whose share has a full line.
var ErrFull = errors.New("fairshare: too many callers of the share wait already")

// Slots are what the shares have between them. It is made by [New]; its
// methods are safe for concurrent use.
type Slots struct {
	line int

	mu     sync.Mutex
	free   int
	clock  uint64
	shares map[string]*share // those that run or wait
}

// share is what one share has and waits for.
type share struct {
	limit   int // negative is no limit
	running int
	waiting []*waiter
	// since is when the share began to wait or last took or gave back a slot.
	since uint64
}

type waiter struct {
	granted chan struct{} // closed, under the lock, when it has a slot
}

// New returns that many slots, for which up to line callers of each share wait.
func New(slots, line int) *Slots {
	if slots < 1 || line < 0 {
		panic("fairshare: there must be a slot, and a line is not negative")
	}
	return &Slots{line: line, free: slots, shares: make(map[string]*share)}
}

// Acquire waits for a slot of which the share has fewer than limit; a negative
// limit is none. The callers of one share are served in their order; of several
// shares that wait, the one with the fewest slots comes first, then the one that
// has waited for the longest time. The error is [ErrFull], or the context's.
//
// The caller must call release, which may be called again. It gives the slot
// to the next one before it returns.
func (s *Slots) Acquire(ctx context.Context, name string, limit int) (release func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("fairshare: %w", err)
	}
	if limit == 0 {
		return nil, ErrFull
	}
	w, err := s.enter(name, limit)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.granted:
	case <-ctx.Done():
		s.leave(name, w)
		return nil, fmt.Errorf("fairshare: waiting for a slot: %w", context.Cause(ctx))
	}
	return sync.OnceFunc(func() { s.release(name) }), nil
}

// enter puts a caller in the line of the share, and grants what can be.
func (s *Slots) enter(name string, limit int) (*waiter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shares[name]
	if sh == nil {
		sh = &share{}
		s.shares[name] = sh
	}
	sh.limit = limit // a plan may have changed
	w := &waiter{granted: make(chan struct{})}
	if len(sh.waiting) == 0 {
		s.clock++
		sh.since = s.clock
	}
	sh.waiting = append(sh.waiting, w)
	s.grant()
	if len(sh.waiting) > s.line { // then w is the last of them
		sh.waiting = sh.waiting[:len(sh.waiting)-1]
		s.forget(name, sh)
		return nil, ErrFull
	}
	return w, nil
}

// leave takes a caller out that waits no more.
func (s *Slots) leave(name string, w *waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.shares[name]
	if i := slices.Index(sh.waiting, w); i >= 0 {
		sh.waiting = slices.Delete(sh.waiting, i, i+1)
		s.forget(name, sh)
		return
	}
	s.put(name, sh) // it was granted at the same moment
}

func (s *Slots) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(name, s.shares[name])
}

// put takes a slot back and grants it to the next one.
func (s *Slots) put(name string, sh *share) {
	s.free++
	sh.running--
	s.clock++
	sh.since = s.clock
	s.grant()
	s.forget(name, sh)
}

func (s *Slots) forget(name string, sh *share) {
	if sh.running == 0 && len(sh.waiting) == 0 {
		delete(s.shares, name)
	}
}

// grant gives free slots to those who wait.
func (s *Slots) grant() {
	for s.free > 0 {
		next := s.next()
		if next == nil {
			return
		}
		s.free--
		s.clock++
		next.since = s.clock
		next.running++
		close(next.waiting[0].granted)
		next.waiting = slices.Delete(next.waiting, 0, 1)
	}
}

// next returns the share whose turn it is. Only shares that run or wait are
// looked at, and a slot is held for milliseconds and more.
func (s *Slots) next() (next *share) {
	for _, sh := range s.shares {
		switch {
		case len(sh.waiting) == 0 || sh.limit >= 0 && sh.running >= sh.limit:
		case next == nil, sh.running < next.running, sh.running == next.running && sh.since < next.since:
			next = sh
		}
	}
	return next
}

// Wanted reports whether another share waits for a slot.
func (s *Slots) Wanted(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, sh := range s.shares {
		if other != name && len(sh.waiting) > 0 {
			return true
		}
	}
	return false
}

// Running returns how many slots the share has.
func (s *Slots) Running(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shares[name]; sh != nil {
		return sh.running
	}
	return 0
}

// Waiting returns how many callers of the share wait.
func (s *Slots) Waiting(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shares[name]; sh != nil {
		return len(sh.waiting)
	}
	return 0
}
