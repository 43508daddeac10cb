package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform/store/internal/sqltx"
)

// The bounds of a group: one that is full or old commits although others
// wait, so that its first member is acknowledged soon.
const (
	groupSize = 64
	groupAge  = 5 * time.Millisecond
)

// writer runs writing transactions, one after the other, in groups that share
// a commit. Whoever has the turn uses the connection; it goes to those who
// wait in the order of their calls, with the open group if there is one. Who
// got the turn must pass it on, whatever happens to its own transaction.
type writer struct {
	db   *DB
	pool *pool

	mu      sync.Mutex
	held    bool // somebody has the turn
	queue   []*waiter
	closed  bool // refuses new transactions
	drained bool // the last holder was drain

	conn *session // the holder's; nil after it broke

	wal   walGuard
	space *space

	commits atomic.Int64 // how many groups were committed
}

type waiter struct {
	turn chan *group // one is sent, at most: the open group, or nil for none
}

// group is the members of one transaction of SQLite.
type group struct {
	began   time.Time
	size    int // members that ran, also those that failed
	members []*member
	done    chan struct{} // closed when err is decided and callbacks have run
	err     error
}

// member is one caller's transaction that succeeded as far as its group does.
type member struct {
	tx       *sqltx.Tx
	joined   bool // it runs in a savepoint of a group that others began
	panicked any  // what a callback panicked with
}

func newWriter(db *DB, p *pool) *writer {
	return &writer{db: db, pool: p, space: newSpace(db.path, p.options)}
}

func (w *writer) connect() error {
	s, err := w.pool.open(true)
	if err != nil {
		return err
	}
	var mode string
	if err := s.sql.QueryRowContext(s.life, "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		return errors.Join(fmt.Errorf("the file system allows no write-ahead log (journal mode %q)", mode), err, s.close())
	}
	w.conn = s
	return nil
}

// acquire waits for the turn. The group is nil where none is open.
func (w *writer) acquire(ctx context.Context) (*group, error) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil, errClosed()
	}
	if !w.held {
		w.held = true
		w.mu.Unlock()
		return nil, nil
	}
	me := &waiter{turn: make(chan *group, 1)}
	w.queue = append(w.queue, me)
	w.mu.Unlock()

	select {
	case g := <-me.turn:
		if err := ctx.Err(); err != nil {
			w.pass(g)
			return nil, fmt.Errorf("sqlite: waiting for the writer: %w", err)
		}
		return g, nil
	case <-ctx.Done():
	}
	w.leave(me)
	return nil, fmt.Errorf("sqlite: waiting for the writer: %w", ctx.Err())
}

// leave takes a waiter out of the queue.
func (w *writer) leave(me *waiter) {
	w.mu.Lock()
	i := slices.Index(w.queue, me)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	w.mu.Unlock()
	if i < 0 { // the turn is on its way
		w.pass(<-me.turn)
	}
}

// pass gives the turn on, with the group if it may grow; else it commits the
// group first.
func (w *writer) pass(g *group) {
	if g != nil && w.mayGrow(g) && w.hand(g) {
		return
	}
	defer w.release() // also where a callback ends the goroutine
	if g == nil {
		return
	}
	w.finish(g)
	if w.conn != nil {
		w.wal.look(w) // after the members were woken
	}
}

func (w *writer) mayGrow(g *group) bool {
	return len(g.members) > 0 && g.size < groupSize && !w.conn.lost && w.db.now().Sub(g.began) < groupAge
}

// hand gives the turn to the next in the queue, if there is one.
func (w *writer) hand(g *group) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return false
	}
	w.next(g)
	return true
}

// release gives the turn on without a group, or ends it.
func (w *writer) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.held = false
		return
	}
	w.next(nil)
}

// next sends the turn to the head of the queue; w.mu must be held.
func (w *writer) next(g *group) {
	head := w.queue[0]
	w.queue = slices.Delete(w.queue, 0, 1)
	head.turn <- g
}

// begin opens a group.
func (w *writer) begin() (*group, error) {
	if w.conn == nil {
		if err := w.connect(); err != nil {
			return nil, fmt.Errorf("sqlite: connect: %w", err)
		}
	}
	if err := w.do(beginImmediate); err != nil {
		return nil, fmt.Errorf("sqlite: begin: %w", err)
	}
	return &group{began: w.db.now(), done: make(chan struct{})}, nil
}

func (w *writer) do(text string) error {
	return w.conn.do(func(c *conn) error { return c.run(text) })
}

func (w *writer) run(ctx context.Context, fn sqltx.Func, reserved bool) (err error) {
	g, err := w.acquire(ctx)
	if err != nil {
		return err
	}
	joined := g != nil
	if !joined {
		w.space.look(w.freePages)
	}
	if !reserved && w.space.low.Load() {
		w.pass(g)
		return errFull()
	}
	if !joined {
		if g, err = w.begin(); err != nil {
			w.release()
			return err
		}
	} else if err := w.do(savepoint); err != nil {
		w.pass(g)
		return fmt.Errorf("sqlite: begin: %w", err)
	}
	g.size++
	m := &member{joined: joined, tx: sqltx.New(sqltx.Config{
		DB: w.db.bun, Conn: w.conn.sql, Tenant: fn.Scope(), Detach: true, Now: w.db.now,
	})}
	returned := false
	// Deferred, because the group must go on when fn panics or ends its
	// goroutine with runtime.Goexit, and neither is ours to catch.
	defer func() {
		keep := returned && err == nil
		if kept := w.end(g, m, keep); keep {
			err = kept
		}
		w.pass(g)
		if !keep || err != nil {
			return
		}
		<-g.done
		err = g.err
		if m.panicked != nil {
			panic(m.panicked)
		}
	}()
	err = fn.Call(w.db.inside(ctx), m.tx)
	returned = true
	return err
}

// end makes the transaction of m part of the group, or undoes it.
func (w *writer) end(g *group, m *member, keep bool) error {
	m.tx.End()
	err := w.conn.do(func(c *conn) error {
		c.closeRows()
		switch {
		case c.lost:
			return c.errLost()
		case keep && m.joined:
			return c.run(release)
		case keep:
			return nil
		case m.joined:
			return errors.Join(c.run(rollbackTo), c.run(release))
		}
		return c.run(rollback)
	})
	if err != nil {
		// What the transaction holds now is not known, so nobody gets it.
		w.abandon(err)
		return fmt.Errorf("sqlite: %w", err)
	}
	if keep {
		g.members = append(g.members, m)
	}
	return nil
}

// abandon rolls the transaction back, whatever state it is in. Every member
// of the group is told of cause.
func (w *writer) abandon(cause error) {
	if isFull(cause) {
		w.space.refused.Store(w.db.now().UnixNano())
	}
	w.conn.lostFrom = cause
	if !w.conn.lost {
		_ = w.do(rollback)
	}
	w.conn.lost = true
}

// finish commits the group and wakes its members.
func (w *writer) finish(g *group) {
	defer close(g.done)
	defer w.renew()
	if len(g.members) == 0 {
		return // each undid what it had done
	}
	var held sqltx.Held
	for _, m := range g.members {
		held = append(held, m.tx.Held()...)
	}
	g.err = w.conn.do(func(c *conn) error {
		if c.lost {
			return c.errLost()
		}
		if err := c.insertHeld(held); err != nil {
			return err
		}
		return c.run(commit)
	})
	if g.err != nil {
		w.abandon(g.err)
		g.err = fmt.Errorf("sqlite: commit: %w", g.err)
		return
	}
	w.commits.Add(1)
	if len(held) > 0 {
		w.db.emit.Notify()
	}
	for _, m := range g.members {
		m.callBack()
	}
}

// renew makes the connection ready for the next group. One that lost its
// transaction is replaced: after an error of the disk it is the surest way to
// a known state, and it is rare.
func (w *writer) renew() {
	if w.conn.lost && w.conn.lostFrom != nil {
		_ = w.conn.close()
		w.conn = nil
		return
	}
	w.conn.reset()
}

// callBack runs what was given to AfterCommit. A panic is kept for the
// goroutine of the member, since this one is another's.
func (m *member) callBack() {
	defer func() { m.panicked = recover() }()
	for _, f := range m.tx.Callbacks() {
		f()
	}
}

// refuse has new transactions fail. It may be called again.
func (w *writer) refuse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// drain, after refuse, waits for the queue and takes the turn for good. It
// may be called again after ctx has ended it, by one goroutine at a time.
func (w *writer) drain(ctx context.Context) error {
	w.mu.Lock()
	if w.drained {
		w.mu.Unlock()
		return nil
	}
	if !w.held {
		w.held, w.drained = true, true
		w.mu.Unlock()
		return nil
	}
	me := &waiter{turn: make(chan *group, 1)}
	w.queue = append(w.queue, me)
	w.mu.Unlock()
	select {
	case g := <-me.turn:
		if g != nil {
			w.finish(g)
		}
		w.drained = true
		return nil
	case <-ctx.Done():
		w.leave(me)
		return ctx.Err()
	}
}

// disconnect, after drain, moves the write-ahead log into the file and closes
// the connection. Where that fails the log stays, and the state that says so.
func (w *writer) disconnect() error {
	if w.conn == nil {
		return nil
	}
	busy, err := w.conn.checkpoint()
	if err == nil && !busy && w.db.begun {
		// In this order: a log that is gone while the state says running is
		// one that was lost.
		if err = w.db.end(); err == nil {
			err = w.conn.keepLog(false)
		}
	}
	err = errors.Join(err, w.conn.close())
	w.conn = nil
	return err
}

// setLevel sets the durability of the commits from now on.
func (w *writer) setLevel(l Level) error {
	_, err := w.conn.sql.ExecContext(w.conn.life, "PRAGMA synchronous = "+string(l))
	return translate(err)
}
