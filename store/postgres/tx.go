package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// InTenant implements [store.Relational].
func (db *DB) InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	if err := tenant.Validate(); err != nil {
		return err
	}
	return db.run(ctx, sqltx.InTenant(tenant, fn), store.NewTxOptions(opts))
}

// AcrossTenants implements [store.Relational].
func (db *DB) AcrossTenants(ctx context.Context, by store.Crossing, fn func(context.Context, store.CrossTx) error, opts ...store.TxOption) error {
	if err := db.crossings.Check(by); err != nil {
		return err
	}
	return db.run(ctx, sqltx.AcrossTenants(by, fn), store.NewTxOptions(opts))
}

// Crossings implements [store.Relational].
func (db *DB) Crossings() *store.Crossings { return &db.crossings }

// crossings are the tokens for what the store itself does across tenants.
type crossings struct{ migrate, verify, check store.Crossing }

func newCrossings(of *store.Crossings) crossings {
	return crossings{
		migrate: of.Grant("postgres.migrate", "brings the tables of all tenants to their newest form"),
		verify:  of.Grant("postgres.verify", "checks the row-level security of all tables"),
		check:   of.Grant("postgres.check", "asks whether the server answers and the outbox is served"),
	}
}

// insideKey marks the context inside a transaction of the DB.
type insideKey struct{ db *DB }

// errSilent is why a transaction ends whose server does not answer.
var errSilent = errors.New("postgres: no answer in time")

// maxRuns is how often a function is run that others keep getting in the way of.
const maxRuns = 10

// run runs fn as the runtime role for a tenant, and as the system role for none.
func (db *DB) run(ctx context.Context, fn sqltx.Func, o store.TxOptions) error {
	if ctx.Value(insideKey{db}) != nil {
		return ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.running.Done()
	pool := db.pools.runtime
	if fn.Scope() == "" {
		pool = db.pools.system
	}
	ctx, cancel := context.WithTimeoutCause(ctx, db.cfg.Timeout, errSilent)
	defer cancel()
	pause := background.Backoff{Min: 2 * time.Millisecond, Max: 200 * time.Millisecond, Rand: db.cfg.Rand}
	for n := 1; ; n++ {
		err := db.once(ctx, pool, db.opening(fn.Scope(), o), sqltx.Config{Tenant: fn.Scope(), ReadOnly: o.ReadOnly}, fn)
		if err == nil || n == maxRuns || ctx.Err() != nil || !again(err) {
			return err
		}
		background.Sleep(ctx, pause.Pause(n))
	}
}

// once runs fn in one transaction that the text begins; cfg says whose it is.
func (db *DB) once(ctx context.Context, pool *sql.DB, text string, cfg sqltx.Config, fn sqltx.Func) error {
	c, err := db.begin(ctx, pool, text)
	if err != nil {
		return err
	}
	cfg.DB, cfg.Conn, cfg.Rebind, cfg.Lock, cfg.Now = db.bun, &conn{c}, db.binder.bind, db.lock, db.cfg.Now
	tx := sqltx.New(cfg)
	committed := false
	defer func() { // also where fn panics
		tx.End()
		if !committed {
			rollback(c)
		}
		_ = c.Close() // gives it back
	}()
	if err := fn.Call(context.WithValue(ctx, insideKey{db}, true), tx); err != nil {
		return translate(ctx, err)
	}
	tx.End()
	if err := db.commit(ctx, c, tx); err != nil {
		return err
	}
	committed = true
	if len(tx.Held()) > 0 {
		db.emit.Notify()
	}
	for _, f := range tx.Callbacks() {
		f()
	}
	return nil
}

// opening is the text that begins a transaction and names its tenant. A tenant's
// id has no quotes in it.
func (db *DB) opening(tenant platform.TenantID, o store.TxOptions) string {
	begin := "BEGIN"
	if o.ReadOnly {
		begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	}
	if db.cfg.URL == "" { // a pool of the host looks elsewhere
		begin += "; SET LOCAL search_path = " + db.cfg.Schema
	}
	if o.Long { // the other cores are for short ones
		begin += "; SET LOCAL max_parallel_workers_per_gather = 0"
	}
	if tenant == "" {
		return begin
	}
	return begin + "; SET LOCAL app.tenant = '" + string(tenant) + "'"
}

// begin takes a connection and opens a transaction on it. A connection that was
// lost while nobody used it is replaced: nothing has happened on it yet.
func (db *DB) begin(ctx context.Context, pool *sql.DB, text string) (*sql.Conn, error) {
	for tries := 0; ; tries++ {
		c, err := pool.Conn(ctx)
		if err != nil {
			return nil, translate(ctx, err)
		}
		lost := false
		err = raw(c, func(p *pgx.Conn) error {
			err := script(ctx, p, text)
			if err != nil && p.IsClosed() {
				lost = true
				return errors.Join(driver.ErrBadConn, err)
			}
			return err
		})
		if err == nil {
			return c, nil
		}
		_ = c.Close()
		if lost && tries < 2 && ctx.Err() == nil {
			continue
		}
		return nil, translate(ctx, err)
	}
}

// rollbackTime bounds a rollback, whose caller's context may have ended.
const rollbackTime = 2 * time.Second

func rollback(c *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTime)
	defer cancel()
	_ = raw(c, func(p *pgx.Conn) error {
		if p.IsClosed() {
			return driver.ErrBadConn
		}
		if err := script(ctx, p, "ROLLBACK"); err != nil {
			return errors.Join(driver.ErrBadConn, err) // closes it
		}
		return nil
	})
}

// lock takes an advisory lock until the transaction ends. Two names with the
// same hash wait for each other, which is harmless.
func (db *DB) lock(ctx context.Context, t *sqltx.Tx, name string) error {
	sum := sha256.Sum256([]byte(db.cfg.Schema + "\x00" + string(t.Scope()) + "\x00" + name))
	key := int64(binary.BigEndian.Uint64(sum[:8]))
	if _, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock(?)", key); err != nil {
		return fmt.Errorf("postgres: lock: %w", err)
	}
	return nil
}

// conn is a connection as bun and the Tx use it. A text with parameters is one of
// the constant ones of a hot path and prepared once. bun's are complete, each one
// different: they go by the simple protocol, which prepares nothing.
type conn struct{ bun.IConn }

func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return c.IConn.ExecContext(ctx, query, mode(args)...)
}

func (c *conn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return c.IConn.QueryContext(ctx, query, mode(args)...)
}

func (c *conn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return c.IConn.QueryRowContext(ctx, query, mode(args)...)
}

func mode(args []any) []any {
	if len(args) == 0 {
		return []any{pgx.QueryExecModeSimpleProtocol}
	}
	return append(append(make([]any, 0, len(args)+1), pgx.QueryExecModeCacheStatement), args...)
}
