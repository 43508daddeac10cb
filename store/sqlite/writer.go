package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// The bounds of a group: one that is full or old commits although others
// wait, so that its first member is acknowledged soon.
const (
	groupSize = 64
	groupAge  = 5 * time.Millisecond
)

// writer runs writing transactions, one after the other, in groups that share
// a commit. Whoever holds the baton uses the connection; it goes to those who
// wait in the order of their calls, with the open group if there is one. Who
// got the baton must pass it on, whatever happens to its own transaction.
type writer struct {
	db   *DB
	pool *pool

	mu     sync.Mutex
	held   bool // somebody holds the baton
	queue  []*waiter
	closed bool

	conn *session // the holder's; nil after it broke

	commits atomic.Int64 // for tests: how many groups were committed
}

type waiter struct {
	baton chan *group // one is sent, at most: the open group, or nil for none
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
	panicked any // what a callback panicked with
}

func newWriter(db *DB, p *pool) *writer { return &writer{db: db, pool: p} }

func (w *writer) connect() error {
	s, err := w.pool.open(true)
	if err != nil {
		return err
	}
	w.conn = s
	return nil
}

// acquire waits for the baton. The group is nil where none is open.
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
	me := &waiter{baton: make(chan *group, 1)}
	w.queue = append(w.queue, me)
	w.mu.Unlock()

	select {
	case g := <-me.baton:
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
	if i < 0 { // the baton is on its way
		w.pass(<-me.baton)
	}
}

// pass gives the baton on, with the group if it may grow, or commits the group
// first.
func (w *writer) pass(g *group) {
	if g != nil {
		if w.mayGrow(g) && w.hand(g) {
			return
		}
		w.finish(g)
	}
	w.release()
}

func (w *writer) mayGrow(g *group) bool {
	return len(g.members) > 0 && g.size < groupSize && !w.conn.lost && w.db.now().Sub(g.began) < groupAge
}

// hand gives the baton to the next in the queue, if there is one.
func (w *writer) hand(g *group) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return false
	}
	next := w.queue[0]
	w.queue = slices.Delete(w.queue, 0, 1)
	next.baton <- g
	return true
}

func (w *writer) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.held = false
		return
	}
	next := w.queue[0]
	w.queue = slices.Delete(w.queue, 0, 1)
	next.baton <- nil
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

func (w *writer) run(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error) (err error) {
	g, err := w.acquire(ctx)
	if err != nil {
		return err
	}
	joined := g != nil
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
		DB: w.db.bun, Conn: w.conn.sql, Tenant: tenant, Detach: true, Now: w.db.now,
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
	err = fn(w.db.inside(ctx), m.tx)
	returned = true
	return err
}

// end makes the transaction of m part of the group, or undoes it.
func (w *writer) end(g *group, m *member, keep bool) error {
	m.tx.End()
	return w.conn.do(func(c *conn) error {
		c.closeRows()
		if c.lost {
			return c.errLost()
		}
		var err error
		switch {
		case keep && m.joined:
			err = c.run(release)
		case keep:
		case m.joined:
			err = errors.Join(c.run(rollbackTo), c.run(release))
		default:
			err = c.run(rollback)
		}
		if err != nil {
			// What is in the transaction is not known: nobody gets it.
			c.lostFrom = err
			_ = c.run(rollback)
			c.lost = true
			return fmt.Errorf("sqlite: %w", err)
		}
		if keep {
			g.members = append(g.members, m)
		}
		return nil
	})
}

// finish commits the group and wakes its members.
func (w *writer) finish(g *group) {
	defer close(g.done)
	usable := true
	_ = w.conn.do(func(c *conn) error {
		switch {
		case len(g.members) == 0:
		case c.lost:
			g.err = c.errLost()
		default:
			if g.err = c.run(commit); g.err != nil && !c.lost {
				usable = c.run(rollback) == nil
			}
		}
		c.reset()
		return nil
	})
	if !usable {
		_ = w.conn.close()
		w.conn = nil
	}
	if g.err != nil {
		g.err = fmt.Errorf("sqlite: commit: %w", g.err)
		return
	}
	if len(g.members) == 0 {
		return
	}
	w.commits.Add(1)
	emitted := false
	for _, m := range g.members {
		emitted = emitted || m.tx.Emitted()
		m.callBack()
	}
	if emitted {
		w.db.emit.notify()
	}
}

// callBack runs what was given to AfterCommit. A panic is kept for the
// goroutine of the member, since this one is another's.
func (m *member) callBack() {
	defer func() { m.panicked = recover() }()
	for _, f := range m.tx.Callbacks() {
		f()
	}
}

// close waits for the queue to drain and closes the connection, which moves
// the write-ahead log into the file. It may be called again after ctx has
// ended it.
func (w *writer) close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	if w.held {
		me := &waiter{baton: make(chan *group, 1)}
		w.queue = append(w.queue, me)
		w.mu.Unlock()
		select {
		case g := <-me.baton:
			if g != nil {
				w.finish(g)
			}
		case <-ctx.Done():
			w.leave(me)
			return ctx.Err()
		}
	} else {
		w.held = true
		w.mu.Unlock()
	}
	if w.conn == nil {
		return nil
	}
	err := w.conn.close()
	w.conn = nil
	return err
}
