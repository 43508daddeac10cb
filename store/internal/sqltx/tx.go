package sqltx

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// ErrReadOnly is the cause of the error of a write in a read-only transaction.
var ErrReadOnly = errors.New("sqltx: the transaction is read-only")

// Config describes one transaction to [New].
type Config struct {
	// DB builds the queries; it decides the dialect and the query hooks.
	DB *bun.DB
	// Conn is the connection on which the driver has begun the transaction.
	Conn bun.IConn
	// Tenant is "" for a transaction across tenants.
	Tenant platform.TenantID
	// ReadOnly refuses Emit and Once; the driver refuses the rest.
	ReadOnly bool
	// Joined says that the transaction is a host's, which commits it.
	Joined bool
	// Detach hides the end of the caller's context from database/sql, which
	// starts a goroutine for each query whose context can end. A context that
	// is done already still stops a statement before it begins; a driver that
	// wants to stop a running one finds the context with [Caller].
	Detach bool
	// Rebind rewrites the placeholders of a text for the dialect; nil where
	// that is "?". It is called for every statement, so it should remember.
	Rebind func(query string) string
	// Lock takes the name for the transaction; nil where there is one writer.
	Lock func(ctx context.Context, t *Tx, name string) error
	// Now is the clock of the inbox.
	Now func() time.Time
}

// Tx is a transaction in progress on a connection. It has what both kinds of
// transaction can do; [Func.Call] hands it out as a [store.Tx] or as a
// [store.CrossTx], of which each has a method that the other lacks.
type Tx struct {
	cfg   Config
	conn  conn
	by    store.Crossing // of a transaction across tenants
	held  Held
	after []func()
}

var _ store.Queries = (*Tx)(nil)

// New returns a transaction that lives until [Tx.End].
func New(cfg Config) *Tx {
	t := &Tx{cfg: cfg}
	t.conn = conn{inner: cfg.Conn, detach: cfg.Detach}
	return t
}

// End makes every further statement fail with [sql.ErrTxDone].
func (t *Tx) End() { t.conn.ended = true }

// Callbacks returns what was given to AfterCommit, in order.
func (t *Tx) Callbacks() []func() { return t.after }

// NewSelect implements [store.Queries].
func (t *Tx) NewSelect() *bun.SelectQuery { return bun.NewSelectQuery(t.cfg.DB).Conn(&t.conn) }

// NewInsert implements [store.Queries].
func (t *Tx) NewInsert() *bun.InsertQuery { return bun.NewInsertQuery(t.cfg.DB).Conn(&t.conn) }

// NewUpdate implements [store.Queries].
func (t *Tx) NewUpdate() *bun.UpdateQuery { return bun.NewUpdateQuery(t.cfg.DB).Conn(&t.conn) }

// NewDelete implements [store.Queries].
func (t *Tx) NewDelete() *bun.DeleteQuery { return bun.NewDeleteQuery(t.cfg.DB).Conn(&t.conn) }

// NewRaw implements [store.Queries].
func (t *Tx) NewRaw(query string, args ...any) *bun.RawQuery {
	return bun.NewRawQuery(t.cfg.DB, query, args...).Conn(&t.conn)
}

// Exec implements [store.Queries].
func (t *Tx) Exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.conn.ExecContext(ctx, t.bind(query), args...)
}

// Query implements [store.Queries].
func (t *Tx) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.conn.QueryContext(ctx, t.bind(query), args...)
}

// QueryRow implements [store.Queries].
func (t *Tx) QueryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.conn.QueryRowContext(ctx, t.bind(query), args...)
}

func (t *Tx) bind(query string) string {
	if t.cfg.Rebind == nil {
		return query
	}
	return t.cfg.Rebind(query)
}

// Joined implements what [store.Joined] asks for.
func (t *Tx) Joined() bool { return t.cfg.Joined }

// Scope is the tenant that the transaction is bound to, "" across tenants.
func (t *Tx) Scope() platform.TenantID { return t.cfg.Tenant }

// Lock implements [store.Tx] and [store.CrossTx].
func (t *Tx) Lock(ctx context.Context, name string) error {
	switch {
	case t.cfg.ReadOnly:
		return fmt.Errorf("lock: %w", ErrReadOnly)
	case t.cfg.Lock == nil:
		return ctx.Err()
	}
	return t.cfg.Lock(ctx, t, name)
}

// AfterCommit implements [store.Tx] and [store.CrossTx].
func (t *Tx) AfterCommit(f func()) { t.after = append(t.after, f) }

// conn is the transaction's connection as bun and the Tx see it: it knows when
// the transaction has ended and keeps cancellation away from running
// statements where the driver wants that.
type conn struct {
	inner  bun.IConn
	detach bool
	ended  bool
}

func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.inner.ExecContext(c.context(ctx), query, args...)
}

func (c *conn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.inner.QueryContext(c.context(ctx), query, args...)
}

func (c *conn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.inner.QueryRowContext(c.context(ctx), query, args...)
}

// context returns the context for one statement. What may not run gets a
// context that is done, since that is the only way to an *sql.Row with an
// error in it.
func (c *conn) context(ctx context.Context) context.Context {
	switch {
	case c.ended:
		return endedContext{ctx}
	case c.detach && ctx.Err() == nil:
		return detached{ctx}
	}
	return ctx
}

// detached is a context that never ends and knows the one that may.
type detached struct{ caller context.Context }

func (detached) Deadline() (time.Time, bool) { return time.Time{}, false }
func (detached) Done() <-chan struct{}       { return nil }
func (detached) Err() error                  { return nil }
func (d detached) Value(key any) any         { return d.caller.Value(key) }

// Caller returns the context that a caller gave to a statement, for a driver
// that was handed ctx by a transaction with Config.Detach.
func Caller(ctx context.Context) context.Context {
	if d, ok := ctx.(detached); ok {
		return d.caller
	}
	return ctx
}

// endedContext is done, because of [sql.ErrTxDone].
type endedContext struct{ context.Context }

func (endedContext) Done() <-chan struct{} { return closed }
func (endedContext) Err() error            { return sql.ErrTxDone }

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
