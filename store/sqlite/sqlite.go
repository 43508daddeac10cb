package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// DB is a SQLite file. It is made by [New] and opened by [DB.Start]; its methods
// are safe for concurrent use. Before the start its calls fail with an error of
// [platform.KindUnavailable] and the code "store_not_started".
type DB struct {
	options options
	given   string
	path    string // once it is open: absolute, with its links resolved
	lock    *os.File
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

	since time.Time // of the start
	// started says that the fields above are there. Stop leaves it set.
	started atomic.Bool

	lifecycle sync.Mutex // held by Start and Stop
	closed    bool
}

var (
	_ store.Relational = (*DB)(nil)
	_ store.Emitter    = (*DB)(nil)
	_ store.Exclusive  = (*DB)(nil)
	_ platform.Starter = (*DB)(nil)
	_ platform.Module  = (*DB)(nil)
	_ platform.Stopper = (*DB)(nil)
	_ platform.Checker = (*DB)(nil)
)

// New returns the store of a file, which it does not touch: that begins with
// [DB.Start].
func New(path string, opts ...Option) (*DB, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if path == "" || path == ":memory:" {
		return nil, fmt.Errorf("sqlite: open %s: a path to a file is needed", path)
	}
	db := &DB{options: o, given: path, now: o.now, bun: bun.NewDB(noPool(), sqlitedialect.New())}
	db.cross = newCrossings(&db.crossings)
	return db, nil
}

// Start opens the file, or makes it with the mode 0600, in a folder that is
// made with 0700 if it is missing, and brings the tables of the outbox to
// their newest form. The caller must call [DB.Stop] or [DB.Close] then. A Start
// that fails leaves nothing open and may be repeated; on a store that is started
// it does nothing.
//
// The error names the path. It wraps [ErrOpen] where the file is open
// already, in this process or another, and [ErrLost] where a part of what was
// there is missing.
func (db *DB) Start(ctx context.Context) error {
	db.lifecycle.Lock()
	defer db.lifecycle.Unlock()
	if db.closed {
		return errClosed()
	}
	if db.started.Load() {
		return nil
	}
	if err := db.open(context.WithValue(ctx, startingKey{db}, true)); err != nil {
		err = errors.Join(err, db.release(context.WithoutCancel(ctx)))
		return fmt.Errorf("sqlite: open %s: %w", db.given, err)
	}
	db.since = db.now()
	db.started.Store(true)
	return nil
}

func (db *DB) open(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.path, err = prepareFolder(db.given); err != nil {
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
	pool, err := newPool(ctx, db.path, db.options)
	if err != nil {
		return err
	}
	db.writer = newWriter(db, pool)
	if err := db.writer.connect(); err != nil {
		return err
	}
	db.readers = newReaders(db, pool, db.options.readers)
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
		check:   of.Grant("sqlite.check", "asks whether the file answers, has free pages, and the outbox is served"),
	}
}

// startingKey marks the context of what Start itself runs.
type startingKey struct{ db *DB }

// insideKey marks the context inside a transaction of the DB.
type insideKey struct{ db *DB }

func (db *DB) run(ctx context.Context, fn sqltx.Func, o store.TxOptions) error {
	if ctx.Value(insideKey{db}) != nil {
		return ErrNested
	}
	if !db.started.Load() && ctx.Value(startingKey{db}) == nil {
		return errNotStarted()
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
// refused for want of room; see [Reserve]; and that events have waited in the
// outbox for a minute, and no relay was heard of for as long: "outbox_unserved".
func (db *DB) Check(ctx context.Context) error {
	err := db.AcrossTenants(ctx, db.cross.check, func(ctx context.Context, tx store.CrossTx) error {
		return sqltx.CheckOutbox(ctx, tx, db.now(), db.since)
	}, store.ReadOnly)
	if err != nil {
		return err
	}
	return db.checkSpace(ctx)
}

// Exclusive implements [store.Exclusive]: a file is open in one process, once.
func (*DB) Exclusive() bool { return true }

// OnEmit implements [store.Emitter].
func (db *DB) OnEmit(f func()) (remove func()) { return db.emit.Add(f) }

// Stop refuses new transactions, waits for those that run, moves what is in
// the write-ahead log into the file, and closes it. Where ctx ends first the
// file stays open, new transactions stay refused, and Stop or [DB.Close] may
// be called again. A store that was never started is closed by it as well.
func (db *DB) Stop(ctx context.Context) error {
	db.lifecycle.Lock()
	defer db.lifecycle.Unlock()
	if db.closed {
		return nil
	}
	if !db.started.Load() {
		db.closed = true
		return nil
	}
	db.refuse()
	if err := db.drain(ctx); err != nil {
		return fmt.Errorf("sqlite: stop: %w", err)
	}
	db.closed = true
	if err := db.disconnect(); err != nil {
		return fmt.Errorf("sqlite: stop: %w", err)
	}
	return nil
}

// release closes what a Start that failed has opened, and forgets it.
func (db *DB) release(ctx context.Context) error {
	db.refuse()
	err := errors.Join(db.drain(ctx), db.disconnect())
	db.lock, db.state, db.begun = nil, nil, false
	db.writer, db.readers, db.long = nil, nil, nil
	return err
}

// drain waits for the transactions that run.
func (db *DB) drain(ctx context.Context) error {
	// The readers go first: the last connection that closes cleans up.
	for _, r := range []*readers{db.readers, db.long} {
		if r == nil {
			continue
		}
		if err := r.close(ctx); err != nil {
			return fmt.Errorf("read-only transactions are still running: %w", err)
		}
	}
	if db.writer != nil {
		if err := db.writer.drain(ctx); err != nil {
			return fmt.Errorf("a transaction is still running: %w", err)
		}
	}
	return nil
}

// disconnect, after drain, closes the files.
func (db *DB) disconnect() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.disconnect())
	}
	errs = append(errs, db.state.close())
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
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

// errNotStarted is the error of a transaction on a file that is not open yet.
func errNotStarted() error {
	return platform.Errorf(platform.KindUnavailable, "store_not_started",
		"the store is not started: start the platform, or call Start of the store")
}

// errClosed is the error of a transaction on a file that is closed or closing.
func errClosed() error {
	return platform.Errorf(platform.KindUnavailable, "store_closed", "the store is closed")
}
