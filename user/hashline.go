package user

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform"
)

// hashLines hand out the turns to hash a password. Strangers wait in one line,
// and who signs in from a known device, or is signed in, in another; the two
// take turns where both wait. So those who guess, or sign up, as fast as they
// can do not take the turns of the users that there are.
//
// A turn is one of so many, and has its share of the memory that all of them may
// take together: a hash from elsewhere that needs more than one of ours waits
// until there is room for it, and those behind it wait too.
type hashLines struct {
	mu    sync.Mutex
	free  int   // turns
	room  int64 // KiB
	queue int   // most that wait in each line
	lines [2][]*hashWaiter
	next  int            // the line whose turn it is
	known map[string]int // of the line of users: how many wait, by account
	begun int64          // turns so far
}

// The lines.
const (
	lineStrangers = iota
	lineUsers
)

// waitingByAccount bounds what one account has in the line of users, so that one
// with an account of their own does not fill it.
const waitingByAccount = 8

type hashWaiter struct {
	account string
	memory  int64         // KiB
	turn    chan struct{} // closed when it has come
}

func newHashLines(concurrency, queue int, room int64) *hashLines {
	return &hashLines{free: concurrency, room: room, queue: queue, known: make(map[string]int)}
}

func errBusy() error {
	return &platform.Error{
		Kind: platform.KindUnavailable, Code: "busy", Message: "too many logins at once", RetryAfter: time.Second,
	}
}

// acquire waits for a turn with so much memory, in KiB; account is the id of a user whose device is known,
// "" for a stranger. It gives up at once when the line is full: an answer that
// comes after the client has left helps nobody.
func (l *hashLines) acquire(ctx context.Context, account string, memory int64) error {
	l.mu.Lock()
	if l.fits(memory) && len(l.lines[lineStrangers])+len(l.lines[lineUsers]) == 0 {
		l.take(memory)
		l.mu.Unlock()
		return nil
	}
	line := lineStrangers
	if account != "" {
		line = lineUsers
	}
	if len(l.lines[line]) >= l.queue || account != "" && l.known[account] >= waitingByAccount {
		l.mu.Unlock()
		return errBusy()
	}
	w := &hashWaiter{account: account, memory: memory, turn: make(chan struct{})}
	l.lines[line] = append(l.lines[line], w)
	if account != "" {
		l.known[account]++
	}
	l.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
		l.leave(line, w)
		return ctx.Err()
	}
}

// fits reports whether a turn is free that has so much memory. The lock is held,
// as in what follows.
func (l *hashLines) fits(memory int64) bool { return l.free > 0 && memory <= l.room }

func (l *hashLines) take(memory int64) {
	l.free--
	l.room -= memory
	l.begun++
}

// leave takes a waiter out of its line, or passes on the turn that has come
// meanwhile.
func (l *hashLines) leave(line int, w *hashWaiter) {
	l.mu.Lock()
	i := slices.Index(l.lines[line], w)
	if i >= 0 {
		l.lines[line] = slices.Delete(l.lines[line], i, i+1)
		l.forget(w)
		l.begin() // those behind a large one may fit
	}
	l.mu.Unlock()
	if i < 0 {
		l.release(w.memory)
	}
}

// release ends a turn that had so much memory, and begins the next ones.
func (l *hashLines) release(memory int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free++
	l.room += memory
	l.begin()
}

// begin begins turns while the next in line fits.
func (l *hashLines) begin() {
	for {
		line := l.next
		if len(l.lines[line]) == 0 {
			line = 1 - line
		}
		if len(l.lines[line]) == 0 || !l.fits(l.lines[line][0].memory) {
			return
		}
		w := l.lines[line][0]
		l.lines[line] = slices.Delete(l.lines[line], 0, 1)
		l.forget(w)
		l.next = 1 - line
		l.take(w.memory)
		close(w.turn)
	}
}

// forget counts a waiter no more.
func (l *hashLines) forget(w *hashWaiter) {
	if w.account == "" {
		return
	}
	if l.known[w.account]--; l.known[w.account] == 0 {
		delete(l.known, w.account)
	}
}

// waiting is how many wait in both lines.
func (l *hashLines) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines[lineStrangers]) + len(l.lines[lineUsers])
}
