package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// DB is a PostgreSQL database. It is made by [New] and connected by [DB.Start];
// its methods are safe for concurrent use. Before the start its calls fail with
// an error of [platform.KindUnavailable] and the code "store_not_started".
type DB struct {
	cfg    Config
	log    *slog.Logger
	pools  *pools  // nil before Start
	bun    *bun.DB // builds queries; never runs one
	binder *binder
	emit   sqltx.Notifier
	wake   sqltx.Notifier // what the host asks for

	crossings store.Crossings
	cross     crossings

	lifecycle sync.Mutex // held by Start

	mu      sync.Mutex
	started bool
	since   time.Time // of the start
	stopped bool
	running sync.WaitGroup
}

var (
	_ store.Relational = (*DB)(nil)
	_ store.Emitter    = (*DB)(nil)
	_ store.RowReader  = (*DB)(nil)
	_ store.Joiner     = (*DB)(nil)
	_ platform.Module  = (*DB)(nil)
	_ platform.Starter = (*DB)(nil)
	_ platform.Stopper = (*DB)(nil)
	_ platform.Checker = (*DB)(nil)
)

// New returns a store that connects to nothing before [DB.Start]. It reads the
// files that a URL names, such as the certificate of an authority. No error shows
// a password.
func New(cfg Config) (*DB, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	binder, err := newBinder()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	db := &DB{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "postgres")), binder: binder,
		bun: bun.NewDB(noPool(), pgdialect.New()),
	}
	db.cross = newCrossings(&db.crossings)
	return db, nil
}

// Start connects, makes the schema and the roles where the owner is at hand and
// they are missing, brings the tables of the outbox to their newest form, and
// checks the row-level security of the tables; a hole is a [*WallError]. The
// caller must call [DB.Stop] or [DB.Close] then. A Start that fails leaves no
// connection open and may be repeated; on a store that is started it does
// nothing. A server that does not answer is an error of
// [platform.KindUnavailable]. No error shows a password.
func (db *DB) Start(ctx context.Context) error {
	db.lifecycle.Lock()
	defer db.lifecycle.Unlock()
	db.mu.Lock()
	started, stopped := db.started, db.stopped
	db.mu.Unlock()
	switch {
	case stopped:
		return unavailable("store_closed", "the store is closed")
	case started:
		return nil
	}
	pools, err := db.cfg.connect()
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	db.pools = pools
	if err := db.prepare(context.WithValue(ctx, startingKey{db}, true)); err != nil {
		db.running.Wait()
		db.pools = nil
		return fmt.Errorf("postgres: open: %w", errors.Join(translate(ctx, err), pools.close()))
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.started, db.since = true, db.cfg.Now()
	return nil
}

func (db *DB) prepare(ctx context.Context) error {
	if db.pools.owner != nil {
		if err := db.provision(ctx); err != nil {
			return err
		}
	}
	if err := db.checkRoles(ctx); err != nil {
		return err
	}
	return db.Migrate(ctx, sqltx.Outbox())
}

// Name implements [platform.Module].
func (db *DB) Name() string { return "postgres" }

// Dialect implements [store.Relational].
func (db *DB) Dialect() schema.Dialect { return db.bun.Dialect() }

// Ping implements [store.Relational].
func (db *DB) Ping(ctx context.Context) error {
	return db.AcrossTenants(ctx, db.cross.check, func(ctx context.Context, tx store.CrossTx) error {
		var n int
		return tx.NewRaw("SELECT 1").Scan(ctx, &n)
	}, store.ReadOnly)
}

// Check implements [platform.Checker]. Beside a server that does not answer it is
// an error that events have waited in the outbox for a minute, and no relay of any
// process was heard of for as long: "outbox_unserved".
func (db *DB) Check(ctx context.Context) error {
	return db.AcrossTenants(ctx, db.cross.check, func(ctx context.Context, tx store.CrossTx) error {
		return sqltx.CheckOutbox(ctx, tx, db.cfg.Now(), db.since)
	}, store.ReadOnly)
}

// OnEmit implements [store.Emitter].
func (db *DB) OnEmit(f func()) (remove func()) { return db.emit.Add(f) }

// startingKey marks the context of what Start itself runs.
type startingKey struct{ db *DB }

// enter counts a transaction in.
func (db *DB) enter(ctx context.Context) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.stopped {
		return unavailable("store_closed", "the store is closed")
	}
	if !db.started && ctx.Value(startingKey{db}) == nil {
		return unavailable("store_not_started", "the store is not started: start the platform, or call Start of the store")
	}
	db.running.Add(1)
	return nil
}

// Stop refuses new transactions, waits for those that run, and closes the
// connections that are the store's own. Where ctx ends first the connections
// stay open, and Stop or [DB.Close] may be called again. A store that was never
// started is closed by it as well.
func (db *DB) Stop(ctx context.Context) error {
	db.mu.Lock()
	db.stopped = true
	db.mu.Unlock()
	done := make(chan struct{})
	go func() {
		db.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("postgres: stop: transactions are still running: %w", ctx.Err())
	}
	db.lifecycle.Lock() // a Start that is under way fails soon: its transactions are refused
	defer db.lifecycle.Unlock()
	if db.pools == nil {
		return nil
	}
	if err := db.pools.close(); err != nil {
		return fmt.Errorf("postgres: stop: %w", err)
	}
	return nil
}

// Close is [DB.Stop] that waits as long as it takes.
func (db *DB) Close() error { return db.Stop(context.Background()) }

// noPool is behind the bun.DB that only builds queries: one that escapes its
// transaction fails. It is closed, so that it has nothing in the background.
func noPool() *sql.DB {
	db := sql.OpenDB(noConnector{})
	_ = db.Close() // of nothing
	return db
}

type noConnector struct{}

func (noConnector) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("postgres: a query outside of its transaction")
}

func (noConnector) Driver() driver.Driver { return nil }
