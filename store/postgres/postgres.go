package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// DB is a PostgreSQL database. It is made by [Open]; its methods are safe for
// concurrent use.
type DB struct {
	cfg    Config
	log    *slog.Logger
	pools  *pools
	bun    *bun.DB // builds queries; never runs one
	binder *binder
	emit   sqltx.Notifier

	crossings store.Crossings
	cross     crossings

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
}

var (
	_ store.Relational = (*DB)(nil)
	_ store.Emitter    = (*DB)(nil)
	_ store.RowReader  = (*DB)(nil)
	_ platform.Module  = (*DB)(nil)
	_ platform.Stopper = (*DB)(nil)
	_ platform.Checker = (*DB)(nil)
)

// Open connects, makes the schema and the roles where the owner is at hand and
// they are missing, brings the tables of the outbox to their newest form, and
// checks the walls between tenants; a hole is a [*WallError]. The caller must
// call [DB.Close] or [DB.Stop].
//
// No error shows a password.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	binder, err := newBinder()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	pools, err := cfg.connect()
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	db := &DB{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "postgres")), pools: pools, binder: binder,
		bun: bun.NewDB(sql.OpenDB(noConnector{}), pgdialect.New()),
	}
	db.cross = newCrossings(&db.crossings)
	if err := db.prepare(ctx); err != nil {
		return nil, fmt.Errorf("postgres: open: %w", errors.Join(translate(ctx, err), db.Close()))
	}
	return db, nil
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

// Check implements [platform.Checker].
func (db *DB) Check(ctx context.Context) error { return db.Ping(ctx) }

// OnEmit implements [store.Emitter].
func (db *DB) OnEmit(f func()) (remove func()) { return db.emit.Add(f) }

// enter counts a transaction in.
func (db *DB) enter() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.stopped {
		return unavailable("store_closed", "the store is closed")
	}
	db.running.Add(1)
	return nil
}

// Stop refuses new transactions, waits for those that run, and closes the
// connections that are the store's own. Where ctx ends first the connections
// stay open, and Stop or [DB.Close] may be called again.
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
	if err := errors.Join(db.bun.Close(), db.pools.close()); err != nil {
		return fmt.Errorf("postgres: stop: %w", err)
	}
	return nil
}

// Close is [DB.Stop] that waits as long as it takes.
func (db *DB) Close() error { return db.Stop(context.Background()) }

// noConnector is behind the bun.DB that only builds queries: one that escapes
// its transaction fails.
type noConnector struct{}

func (noConnector) Connect(context.Context) (driver.Conn, error) {
	return nil, errors.New("postgres: a query outside of its transaction")
}

func (noConnector) Driver() driver.Driver { return nil }
