package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"

	"github.com/acme/platform"
)

// conn is one connection as database/sql sees it. It keeps prepared
// statements, translates errors, and guards the transaction that the store
// has begun on it: nobody else can end it or go on after SQLite has ended it.
//
// database/sql serializes the calls.
type conn struct {
	raw   rawConn
	stmts *stmts
	open  map[*rows]struct{}

	control  map[string]driver.Stmt
	guard    bool  // only the store may commit
	commits  bool  // the store is committing
	lost     bool  // SQLite has rolled the transaction back
	lostFrom error // the statement's error that came with it, if any
}

// rawConn is what we need of modernc.org/sqlite's connection.
type rawConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.SessionResetter
	driver.Validator
	RegisterCommitHook(sqlite.CommitHookFn)
	RegisterRollbackHook(sqlite.RollbackHookFn)
}

// The statements that the store runs to make transactions.
const (
	begin          = "BEGIN"
	beginImmediate = "BEGIN IMMEDIATE"
	commit         = "COMMIT"
	rollback       = "ROLLBACK"
	savepoint      = "SAVEPOINT member"
	release        = "RELEASE member"
	rollbackTo     = "ROLLBACK TO member"
)

func newConn(raw driver.Conn, writer bool, pragmas []string) (_ *conn, err error) {
	r, ok := raw.(rawConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("unexpected driver %T", raw), raw.Close())
	}
	c := &conn{raw: r, open: make(map[*rows]struct{}), control: make(map[string]driver.Stmt)}
	c.stmts = newStmts(r)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	for _, p := range pragmas {
		if _, err := c.ExecContext(context.Background(), "PRAGMA "+p, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	texts := []string{begin, commit, rollback}
	if writer {
		texts = []string{beginImmediate, commit, rollback, savepoint, release, rollbackTo}
		r.RegisterCommitHook(func() int32 {
			if c.commits {
				return 0
			}
			return 1
		})
		r.RegisterRollbackHook(func() { c.lost = true })
	}
	for _, text := range texts {
		if c.control[text], err = r.Prepare(text); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
	}
	return c, nil
}

// run runs one of the store's own statements.
func (c *conn) run(text string) error {
	c.commits = text == commit
	_, err := c.control[text].(driver.StmtExecContext).ExecContext(context.Background(), nil)
	c.commits = false
	return translate(err)
}

// errLost is the error of a statement in a transaction that SQLite has ended.
func (c *conn) errLost() error {
	e := platform.Errorf(platform.KindUnavailable, "store_unavailable", "the transaction was rolled back")
	if c.lostFrom != nil {
		var p *platform.Error
		if errors.As(c.lostFrom, &p) {
			return p
		}
		return e.Because(c.lostFrom)
	}
	return e
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
	result, err := s.ExecContext(ctx, args)
	if err != nil {
		return nil, c.failed(err)
	}
	return result, nil
}

// QueryContext implements [driver.QueryerContext].
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	found, err := s.QueryContext(ctx, args)
	if err != nil {
		c.stmts.put(s)
		return nil, c.failed(err)
	}
	r := &rows{rawRows: found.(rawRows), conn: c, stmt: s}
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
	s, err := c.stmts.get(query)
	if err != nil {
		return nil, c.failed(err)
	}
	return s, nil
}

// Prepare implements [driver.Conn].
func (c *conn) Prepare(query string) (driver.Stmt, error) { return c.raw.Prepare(query) }

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
	c.closeRows()
	c.stmts.close()
	for _, s := range c.control {
		_ = s.Close()
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
	conn *conn
	stmt *stmt
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
	err := r.rawRows.Next(dest)
	if err == nil || err == io.EOF {
		return err
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

// spaces are trimmed before a text is prepared: the driver parses a text with
// a tail again on every run.
func trim(query string) string { return strings.TrimSpace(query) }
