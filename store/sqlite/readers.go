package sqlite

import (
	"context"
	"fmt"
	"sync"

	"github.com/acme/platform/store/internal/sqltx"
)

// readers runs read-only transactions on a bounded number of connections. The
// one used last is used first, so that an idle store has one warm cache and
// not many.
type readers struct {
	db    *DB
	pool  *pool
	slots chan struct{}

	closing chan struct{} // closed by refuse
	taken   int           // slots that close has taken for good

	mu   sync.Mutex
	idle []*session
}

func newReaders(db *DB, p *pool, n int) *readers {
	return &readers{db: db, pool: p, slots: make(chan struct{}, n), closing: make(chan struct{})}
}

func (r *readers) get(ctx context.Context) (*session, error) {
	select {
	case <-r.closing:
		return nil, errClosed()
	default:
	}
	select {
	case r.slots <- struct{}{}:
	case <-r.closing:
		return nil, errClosed()
	case <-ctx.Done():
		return nil, fmt.Errorf("sqlite: waiting for a reader: %w", ctx.Err())
	}
	r.mu.Lock()
	var s *session
	if n := len(r.idle); n > 0 {
		s, r.idle = r.idle[n-1], r.idle[:n-1]
	}
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := r.pool.open(false)
	if err != nil {
		<-r.slots
		return nil, fmt.Errorf("sqlite: connect: %w", err)
	}
	return s, nil
}

func (r *readers) put(s *session) {
	r.mu.Lock()
	r.idle = append(r.idle, s)
	r.mu.Unlock()
	<-r.slots
}

// drop is put for a connection that cannot be used again.
func (r *readers) drop(s *session) {
	_ = s.close()
	<-r.slots
}

func (r *readers) run(ctx context.Context, fn sqltx.Func) error {
	callbacks, err := r.read(ctx, fn)
	for _, f := range callbacks {
		f()
	}
	return err
}

// read runs fn and returns what is to be called when it has succeeded.
func (r *readers) read(ctx context.Context, fn sqltx.Func) ([]func(), error) {
	s, err := r.get(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.do(func(c *conn) error { return c.run(begin) }); err != nil {
		r.drop(s)
		return nil, fmt.Errorf("sqlite: begin: %w", err)
	}
	tx := sqltx.New(sqltx.Config{DB: r.db.bun, Conn: s.sql, Tenant: fn.Scope(), ReadOnly: true, Detach: true, Now: r.db.now})
	// Deferred, for a panic or runtime.Goexit in fn.
	defer func() {
		tx.End()
		err := s.do(func(c *conn) error {
			c.closeRows()
			c.reset()
			return c.run(commit)
		})
		if err != nil {
			r.drop(s)
			return
		}
		r.put(s)
	}()
	if err := fn.Call(r.db.inside(ctx), tx); err != nil {
		return nil, err
	}
	return tx.Callbacks(), nil
}

// refuse has new transactions fail. It may be called again.
func (r *readers) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.closing:
	default:
		close(r.closing)
	}
}

// close, after refuse, waits for the transactions that run and closes the
// connections. It may be called again after ctx has ended it, by one goroutine
// at a time.
func (r *readers) close(ctx context.Context) error {
	for r.taken < cap(r.slots) {
		select {
		case r.slots <- struct{}{}:
			r.taken++
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, s := range r.idle {
		_ = s.close()
	}
	r.idle = nil
	return nil
}
