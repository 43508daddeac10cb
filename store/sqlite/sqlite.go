package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// DB is a SQLite file. It is made by [Open]; its methods are safe for
// concurrent use.
type DB struct {
	path string
	lock *os.File
	// state says what must be beside the file; begun is that it says running.
	state *state
	begun bool
	bun   *bun.DB // builds queries; never runs one
	now   func() time.Time

	writer  *writer
	readers *readers
	// long are the readers of transactions that may take seconds: a short one
	// never waits for them.
	long *readers

	emit sqltx.Notifier

	crossings store.Crossings
	cross     crossings

	closing sync.Mutex
	closed  bool
}

var (
	_ store.Relational = (*DB)(nil)
	_ store.Emitter    = (*DB)(nil)
	_ platform.Module  = (*DB)(nil)
	_ platform.Stopper = (*DB)(nil)
	_ platform.Checker = (*DB)(nil)
)

// Open opens the file, or makes it with the mode 0600, in a folder that is
// made with 0700 if it is missing, and brings the tables of the outbox to
// their newest form. The caller must call [DB.Close] or [DB.Stop].
//
// The error names the path. It wraps [ErrOpen] where the file is open
// already, in this process or another, and [ErrLost] where a part of what was
// there is missing.
func Open(ctx context.Context, path string, opts ...Option) (*DB, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db := &DB{now: o.now}
	db.cross = newCrossings(&db.crossings)
	if err := db.open(ctx, path, o); err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, errors.Join(err, db.Close()))
	}
	return db, nil
}

func (db *DB) open(ctx context.Context, path string, o options) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.path, err = prepareFolder(path); err != nil {
		return err
	}
	// The lock comes before the file is touched: closing any descriptor of
	// the file would drop the locks that SQLite holds for another DB of this
	// process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
	if db.lock, err = lock(db.path + ".lock"); err != nil {
		return err
	}
	if db.state, err = readState(db.path); err != nil {
		return err
	}
	if err := db.checkFiles(); err != nil {
		return err
	}
	if err := prepareFile(db.path); err != nil {
		return err
	}
	pool, err := newPool(ctx, db.path, o)
	if err != nil {
		return err
	}
	db.bun = bun.NewDB(sql.OpenDB(noConnector{}), sqlitedialect.New())
	db.writer = newWriter(db, pool)
	if err := db.writer.connect(); err != nil {
		return err
	}
	db.readers = newReaders(db, pool, o.readers)
	db.long = newReaders(db, pool, longReaders)
	if err := db.begin(ctx); err != nil {
		return err
	}
	db.begun = true
	return db.Migrate(ctx, sqltx.Outbox())
}

// Name implements [platform.Module].
func (db *DB) Name() string { return "sqlite" }

// Dialect implements [store.Relational].
func (db *DB) Dialect() schema.Dialect { return db.bun.Dialect() }

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
type crossings struct{ start, migrate, check store.Crossing }

func newCrossings(of *store.Crossings) crossings {
	return crossings{
		start:   of.Grant("sqlite.start", "compares the file with its state and counts the starts"),
		migrate: of.Grant("sqlite.migrate", "brings the tables of all tenants to their newest form"),
		check:   of.Grant("sqlite.check", "asks whether the file answers and has free pages"),
	}
}

// insideKey marks the context inside a transaction of the DB.
type insideKey struct{ db *DB }

func (db *DB) run(ctx context.Context, fn sqltx.Func, o store.TxOptions) error {
	if ctx.Value(insideKey{db}) != nil {
		return ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	switch {
	case o.Long:
		return db.long.run(ctx, fn)
	case o.ReadOnly:
		return db.readers.run(ctx, fn)
	}
	return db.writer.run(ctx, fn, o.Reserved)
}

// inside is the context for the function of a transaction.
func (db *DB) inside(ctx context.Context) context.Context {
	return context.WithValue(ctx, insideKey{db}, true)
}

// Migrate implements [store.Relational].
func (db *DB) Migrate(ctx context.Context, m store.Migrations) error {
	by := sqltx.Migrator{
		Dialect: "sqlite",
		Now:     db.now,
		InTx: func(ctx context.Context, fn func(context.Context, store.Queries) error) error {
			return db.AcrossTenants(ctx, db.cross.migrate, func(ctx context.Context, tx store.CrossTx) error {
				return fn(ctx, tx)
			}, store.Reserved) // or a full disk would keep it from starting
		},
	}
	if err := sqltx.Migrate(ctx, by, m); err != nil {
		return fmt.Errorf("sqlite: %s: %w", db.path, err)
	}
	return nil
}

// Ping implements [store.Relational].
func (db *DB) Ping(ctx context.Context) error {
	return db.AcrossTenants(ctx, db.cross.check, func(ctx context.Context, tx store.CrossTx) error {
		var n int
		return tx.QueryRow(ctx, "SELECT count(*) FROM schema_migrations").Scan(&n)
	}, store.ReadOnly)
}

// Check implements [platform.Checker]. It is also an error that writes are
// refused for want of room; see [Reserve].
func (db *DB) Check(ctx context.Context) error {
	if err := db.Ping(ctx); err != nil {
		return err
	}
	return db.checkSpace(ctx)
}

// OnEmit implements [store.Emitter].
func (db *DB) OnEmit(f func()) (remove func()) { return db.emit.Add(f) }

// Stop refuses new transactions, waits for those that run, moves what is in
// the write-ahead log into the file, and closes it. Where ctx ends first the
// file stays open, new transactions stay refused, and Stop or [DB.Close] may
// be called again.
func (db *DB) Stop(ctx context.Context) error {
	db.closing.Lock()
	defer db.closing.Unlock()
	if db.closed {
		return nil
	}
	db.refuse()
	// The readers go first: the last connection that closes cleans up.
	for _, r := range []*readers{db.readers, db.long} {
		if r == nil {
			continue
		}
		if err := r.close(ctx); err != nil {
			return fmt.Errorf("sqlite: stop: read-only transactions are still running: %w", err)
		}
	}
	var errs []error
	if db.writer != nil {
		if err := db.writer.drain(ctx); err != nil {
			return fmt.Errorf("sqlite: stop: a transaction is still running: %w", err)
		}
		errs = append(errs, db.writer.disconnect())
	}
	errs = append(errs, db.state.close())
	if db.bun != nil {
		errs = append(errs, db.bun.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	db.closed = true
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sqlite: stop: %w", err)
	}
	return nil
}

func (db *DB) refuse() {
	for _, r := range []*readers{db.readers, db.long} {
		if r != nil {
			r.refuse()
		}
	}
	if db.writer != nil {
		db.writer.refuse()
	}
}

// Close is [DB.Stop] that waits as long as it takes.
func (db *DB) Close() error { return db.Stop(context.Background()) }

// errClosed is the error of a transaction on a file that is closed or closing.
func errClosed() error {
	return platform.Errorf(platform.KindUnavailable, "store_closed", "the store is closed")
}
