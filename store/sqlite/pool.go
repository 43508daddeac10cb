package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// pool makes connections to the file.
type pool struct {
	base    driver.Connector
	options options
	life    context.Context // of the connections; it does not end
}

func newPool(ctx context.Context, path string, o options) (*pool, error) {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	base, err := sqlite.NewConnector("file://" + (&url.URL{Path: path}).EscapedPath())
	if err != nil {
		return nil, err
	}
	return &pool{base: base, options: o, life: context.WithoutCancel(ctx)}, nil
}

// session is one connection and the handle through which queries reach it.
type session struct {
	*conn
	db  *sql.DB
	sql *sql.Conn
}

// The page caches, in KiB, negative as SQLite wants them. With 16 readers they
// stay below 80 MiB; what does not fit is in the kernel's cache. The driver's
// build (SQLITE_ENABLE_MEMORY_MANAGEMENT) has one pool for all connections of
// the process: their sizes add up to its limit, and a connection that reads a
// lot takes the pages of those that do not.
const (
	readerCache = -4096
	writerCache = -8192
)

// busyTimeout bounds the wait for another program that has the file open.
const busyTimeout = 5 * time.Second

// writerPragmas and readerPragmas set up a connection.
//
// mmap_size stays zero: every connection's mapping counts as resident memory
// once more, and a failing disk would end the process with SIGBUS.
func (p *pool) writerPragmas() []string {
	return []string{
		fmt.Sprintf("busy_timeout = %d", busyTimeout.Milliseconds()),
		"journal_mode = WAL",
		"synchronous = " + string(p.options.synchronous),
		"foreign_keys = ON",
		"temp_store = MEMORY",
		fmt.Sprintf("journal_size_limit = %d", walLimit),
		fmt.Sprintf("cache_size = %d", writerCache),
	}
}

func (p *pool) readerPragmas() []string {
	return []string{
		fmt.Sprintf("busy_timeout = %d", busyTimeout.Milliseconds()),
		"query_only = ON",
		"temp_store = MEMORY",
		fmt.Sprintf("cache_size = %d", readerCache),
	}
}

func (p *pool) open(writer bool) (*session, error) {
	s := &session{}
	s.db = sql.OpenDB(connector{p, writer, &s.conn})
	var err error
	if s.sql, err = s.db.Conn(p.life); err != nil {
		return nil, errors.Join(translate(err), s.db.Close())
	}
	return s, nil
}

// do runs one of the store's own statements under the lock that keeps other
// users of the connection away.
func (s *session) do(f func(*conn) error) error {
	return s.sql.Raw(func(any) error { return f(s.conn) })
}

// close closes the connection itself first: a query that somebody has left
// open would have the handle wait for ever.
func (s *session) close() error {
	return errors.Join(s.Close(), s.db.Close())
}

// connector makes the one connection of a session.
type connector struct {
	pool   *pool
	writer bool
	made   **conn
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := c.pool.base.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pragmas := c.pool.readerPragmas()
	if c.writer {
		pragmas = c.pool.writerPragmas()
	}
	made, err := newConn(c.pool.life, raw, c.writer, pragmas, c.pool.options.now)
	if err != nil {
		return nil, err
	}
	*c.made = made
	return made, nil
}

func (c connector) Driver() driver.Driver { return c.pool.base.Driver() }

// noPool is behind the bun.DB that only builds queries: one that escapes its
// transaction fails. It is closed, so that it has nothing in the background.
func noPool() *sql.DB {
	db := sql.OpenDB(noConnector{})
	_ = db.Close() // of nothing
	return db
}

type noConnector struct{}

func (noConnector) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("sqlite: a query outside of its transaction")
}

func (noConnector) Driver() driver.Driver { return nil }
