package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/acme/platform"
	"github.com/acme/platform/store/internal/sqltx"
)

// conn is one connection as database/sql sees it. It keeps prepared
// statements, translates errors, and guards the transaction that the store
// has begun on it: nobody else can end it or go on after SQLite has ended it.
//
// database/sql serializes the calls.
type conn struct {
	raw    rawConn
	writer bool
	stmts  *stmts
	open   map[*rows]struct{}
	life   context.Context // of the connection; it does not end
	now    func() time.Time

	control  map[string]driver.StmtExecContext
	commits  bool  // the store is committing
	lost     bool  // SQLite has rolled the transaction back
	lostFrom error // the statement's error that came with it, if any
	closed   bool
}

// rawConn is what we need of modernc.org/sqlite's connection.
type rawConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.SessionResetter
	driver.Validator
	FileControlPersistWAL(dbName string, mode int) (int, error)
	RegisterCommitHook(hook sqlite.CommitHookFn)
	RegisterRollbackHook(hook sqlite.RollbackHookFn)
}

// The statements that the store runs to make transactions.
const (
	begin          = "BEGIN"
	beginImmediate = "BEGIN IMMEDIATE"
	commit         = "COMMIT"
	rollback       = "ROLLBACK"
	savepoint      = "SAVEPOINT store_member"
	release        = "RELEASE store_member"
	rollbackTo     = "ROLLBACK TO store_member"
)

// newConn takes over raw, also where it fails.
func newConn(life context.Context, raw driver.Conn, writer bool, pragmas []string, now func() time.Time) (_ *conn, err error) {
	r, ok := raw.(rawConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("unexpected driver %T", raw), raw.Close())
	}
	c := &conn{
		raw: r, writer: writer, life: life, now: now,
		stmts:   newStmts(r),
		open:    make(map[*rows]struct{}),
		control: make(map[string]driver.StmtExecContext),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	for _, p := range pragmas {
		if _, err := c.ExecContext(c.life, "PRAGMA "+p, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	if err := c.keepLog(true); err != nil {
		return nil, err
	}
	texts := []string{begin, commit}
	if writer {
		texts = []string{beginImmediate, commit, rollback, savepoint, release, rollbackTo}
		r.RegisterCommitHook(func() int32 {
			if c.commits {
				return 0
			}
			return 1 // turns the commit into a rollback
		})
		r.RegisterRollbackHook(func() { c.lost = true })
	}
	for _, text := range texts {
		prepared, err := c.stmts.prepare(life, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		c.control[text] = prepared
	}
	return c, nil
}

// keepLog says whether the write-ahead log stays where this is the last
// connection that closes. While the store is open it does: a log that is missing
// tells that somebody has removed it.
func (c *conn) keepLog(keep bool) error {
	mode := 0
	if keep {
		mode = 1
	}
	if _, err := c.raw.FileControlPersistWAL("main", mode); err != nil {
		return fmt.Errorf("keep the write-ahead log: %w", err)
	}
	return nil
}

// run runs one of the store's own statements.
func (c *conn) run(text string) error {
	c.commits = text == commit
	_, err := c.control[text].ExecContext(c.life, nil)
	c.commits = false
	return translate(err)
}

// insertHeld inserts the events of a whole group: rows that go together cost a
// fraction of what each alone does within its member's savepoint.
func (c *conn) insertHeld(held sqltx.Held) error {
	for text, values := range held.Inserts() {
		args := make([]driver.NamedValue, len(values))
		for i, v := range values {
			args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
		}
		if _, err := c.ExecContext(c.life, text, args); err != nil {
			return err
		}
	}
	return nil
}

// errLost is the error of a statement in a transaction that SQLite has ended.
func (c *conn) errLost() error {
	if errors.Is(c.lostFrom, platform.ErrUnavailable) {
		return c.lostFrom
	}
	return platform.Errorf(platform.KindUnavailable, "store_unavailable", "the transaction was rolled back").
		Because(c.lostFrom)
}

// reset makes the connection ready for another transaction.
func (c *conn) reset() { c.lost, c.lostFrom = false, nil }

// closeRows ends the queries that a transaction has left open: they would
// keep its snapshot alive.
func (c *conn) closeRows() {
	for r := range c.open {
		_ = r.Close()
	}
}

func (c *conn) failed(err error) error {
	var e *sqlite.Error
	if !c.writer && errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_READONLY {
		return fmt.Errorf("%w: %w", sqltx.ErrReadOnly, err)
	}
	err = translate(err)
	if c.lost && c.lostFrom == nil {
		c.lostFrom = err
	}
	return err
}

// ExecContext implements [driver.ExecerContext].
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	defer c.stmts.put(s)
	result, err := s.ExecContext(c.life, args)
	if err != nil {
		return nil, c.failed(err)
	}
	return result, nil
}

// slow is how long a query takes to its first row before it is worth being
// interrupted: the driver starts a goroutine for that, at the price of a whole
// look-up by id.
const slow = time.Millisecond

// QueryContext implements [driver.QueryerContext]. In the writer nothing is
// interrupted, because SQLite then rolls back what others did in the same
// transaction. A reader's query is, unless it was quick the last time.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	r := &rows{conn: c, stmt: s}
	running := c.life
	if !c.writer {
		r.caller = sqltx.Caller(ctx)
		if !s.quick {
			running = r.caller
		}
	}
	began := c.now()
	found, err := s.QueryContext(running, args)
	if err != nil {
		c.stmts.put(s)
		return nil, c.failed(err)
	}
	s.quick = c.now().Sub(began) < slow
	r.rawRows = found.(rawRows) //nolint:errcheck // the driver has one kind of rows
	c.open[r] = struct{}{}
	return r, nil
}

func (c *conn) statement(ctx context.Context, query string) (*stmt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.lost {
		return nil, c.errLost()
	}
	s, err := c.stmts.get(ctx, query)
	if err != nil {
		return nil, c.failed(err)
	}
	return s, nil
}

// Prepare implements [driver.Conn].
func (c *conn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("sqlite: statements are prepared by the store")
}

// Begin implements [driver.Conn]. The store begins transactions with run.
func (c *conn) Begin() (driver.Tx, error) {
	return nil, errors.New("sqlite: transactions are begun by the store")
}

// ResetSession implements [driver.SessionResetter].
func (c *conn) ResetSession(ctx context.Context) error { return c.raw.ResetSession(ctx) }

// IsValid implements [driver.Validator].
func (c *conn) IsValid() bool { return c.raw.IsValid() }

// Close implements [driver.Conn].
func (c *conn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	c.closeRows()
	c.stmts.close()
	for _, s := range c.control {
		_ = s.(driver.Stmt).Close() //nolint:errcheck // the cache holds nothing else
	}
	// The driver keeps hooks in a table of the process, by address.
	c.raw.RegisterCommitHook(nil)
	c.raw.RegisterRollbackHook(nil)
	return c.raw.Close()
}

// rows are the rows of a kept statement, which is free again once they are
// closed.
type rows struct {
	rawRows
	conn   *conn
	stmt   *stmt           // nil after Close
	caller context.Context // whose end ends the rows; nil in the writer
	read   uint
}

// rawRows is what modernc.org/sqlite's rows can do beyond driver.Rows.
type rawRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// Next implements [driver.Rows].
func (r *rows) Next(dest []driver.Value) error {
	if r.stmt == nil {
		return errors.New("sqlite: the rows were closed with their transaction")
	}
	if r.read++; r.read%64 == 0 && r.caller != nil {
		if err := r.caller.Err(); err != nil {
			return err
		}
	}
	err := r.rawRows.Next(dest)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if r.caller != nil && r.caller.Err() != nil { // then it was interrupted for that
		return r.caller.Err()
	}
	return r.conn.failed(err)
}

// Close implements [driver.Rows].
func (r *rows) Close() error {
	if r.stmt == nil {
		return nil
	}
	err := r.rawRows.Close()
	r.conn.stmts.put(r.stmt)
	delete(r.conn.open, r)
	r.stmt = nil
	return err
}
