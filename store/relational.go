package store

import (
	"context"
	"database/sql"
	"io/fs"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/acme/platform"
)

// Relational is tables and transactions. The query vocabulary is bun's.
//
// Every table that holds a tenant's rows has a column tenant, first in its
// primary key, and every statement on it names the tenant, also where the
// database has a wall of its own.
type Relational interface {
	// InTenant runs fn in one transaction that may touch the rows of tenant,
	// and commits when fn returns nil; it returns after the commit is durable.
	// If fn returns an error or panics, nothing has happened, and that error
	// or panic is passed on unchanged. A transaction that lost against
	// another one is an error of [platform.KindConflict]; one that a store
	// without room or without connection refused, of
	// [platform.KindUnavailable].
	//
	// fn must not keep tx, start goroutines that use it, or call InTenant
	// or AcrossTenants. It may be run again if the database asks for it, so
	// it must not have effects outside tx; [Tx.AfterCommit] is for those.
	InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, Tx) error, opts ...TxOption) error

	// AcrossTenants is InTenant for rows of no tenant or of many: the login
	// of a user who belongs to several, the relay of the outbox. It is a
	// method of its own so that whoever reads the code stops at it.
	AcrossTenants(ctx context.Context, fn func(context.Context, Tx) error, opts ...TxOption) error

	// Migrate brings the tables of a component to their newest form and
	// returns when they are there. Many processes may call it at once. It
	// refuses a database that has migrations the component does not know.
	Migrate(ctx context.Context, m Migrations) error

	// Dialect tells which SQL is spoken, for the few statements that differ.
	Dialect() schema.Dialect

	// Ping checks that the store answers.
	Ping(ctx context.Context) error
}

// Tx is a transaction of a [Relational] store. It is not safe for concurrent
// use and is dead once the function it was given to has returned.
type Tx interface {
	// NewSelect, NewInsert, NewUpdate, NewDelete and NewRaw build a query
	// that runs in the transaction.
	NewSelect() *bun.SelectQuery
	NewInsert() *bun.InsertQuery
	NewUpdate() *bun.UpdateQuery
	NewDelete() *bun.DeleteQuery
	NewRaw(query string, args ...any) *bun.RawQuery

	// Exec, Query and QueryRow run a statement whose parameters are written
	// "?", in all dialects. They prepare the text once for each connection,
	// so a hot path uses them with constant texts. A string literal in the
	// text must not hold a question mark.
	Exec(ctx context.Context, query string, args ...any) (sql.Result, error)
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row

	// Tenant is the tenant that the transaction is bound to, and "" for one
	// of AcrossTenants.
	Tenant() platform.TenantID

	// Emit writes events to the outbox, to be published after the commit, at
	// least once, in the order of the commits per tenant and subject. In a
	// transaction of a tenant all must be of that tenant. They are kept until
	// the commit, which inserts them and returns what the database has
	// against them: the transaction does not see them in the outbox.
	Emit(ctx context.Context, events ...platform.Event) error

	// Once reports whether the event is new to the group, and remembers it
	// with the transaction. A consumer calls it first and skips what is not
	// new, so that its effect happens once.
	Once(ctx context.Context, group string, event platform.Event) (bool, error)

	// Lock waits until no other transaction that is bound to the same tenant
	// (for one of AcrossTenants: to none) holds the name, and holds it until
	// the transaction ends. It is for what must not happen twice at once and
	// has no row to lock: who counts before inserting, who reads before
	// deciding. What is read after it is as of then. Where there is one
	// writer anyway it does nothing. Two names are always taken in the same
	// order, or transactions run into each other.
	Lock(ctx context.Context, name string) error

	// AfterCommit has f called once the commit is durable, in the order of
	// the calls, by a goroutine that must not be held up: f returns at once
	// and begins no transaction. It is not called when the transaction fails,
	// nor after a crash. In a transaction of the host's ([Joiner]) it makes the
	// call fail, because the store does not see that commit.
	AfterCommit(f func())
}

// TxOption changes how a transaction is run.
type TxOption func(*TxOptions)

// TxOptions is the sum of the [TxOption] values, for drivers.
type TxOptions struct {
	// ReadOnly: the transaction reads a snapshot and must not write.
	ReadOnly bool
	// Long: it may read for seconds. A driver runs it apart from the short
	// ones, so that these never wait for it, and on one core of the database.
	Long bool
	// Reserved: the transaction may use the room that the store keeps in
	// reserve.
	Reserved bool
}

// ReadOnly runs the transaction on a snapshot, beside writers. Writing in it
// is an error.
func ReadOnly(o *TxOptions) { o.ReadOnly = true }

// LongRead is [ReadOnly] for a transaction that may read for seconds, such as a
// query that reads a whole collection. How many run at once is the caller's to
// bound; see [Scans].
func LongRead(o *TxOptions) { o.ReadOnly, o.Long = true, true }

// Reserved lets a transaction write where there is little room left and others
// are refused with "store_full". It is for what must work on a full disk: what
// signs in and out, takes rights away, and removes. A store that keeps no room
// in reserve takes no notice of it.
func Reserved(o *TxOptions) { o.Reserved = true }

// NewTxOptions folds opts, for drivers.
func NewTxOptions(opts []TxOption) TxOptions {
	var o TxOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Migrations are the versions of one component's tables.
type Migrations struct {
	// Component owns the tables: "user", "outbox".
	Component string
	// Files holds one folder per dialect, "sqlite" and "postgres", with files
	// "0001_name.sql" numbered from 1 without a gap. A released file is
	// never edited. Statements end with a semicolon at the end of a line.
	Files fs.FS
}

// Emitter is a [Relational] that tells when events were committed to its
// outbox, so that a relay in the same process need not wait for its next look.
type Emitter interface {
	// OnEmit has f called after each commit that emitted; f returns at once
	// and begins no transaction. The returned function ends that.
	OnEmit(f func()) (remove func())
}

// Joiner is a [Relational] that works inside a transaction which the host has
// begun itself. The driver for PostgreSQL is one. On SQLite, whose writers share
// their commits, it is the other way round: the host's statements run in
// [Relational.InTenant], through the transaction that its function is given.
type Joiner interface {
	Relational
	// Join runs fn for a tenant inside tx, a transaction of a type that the
	// driver names, and writes out the events that fn emitted. The host commits.
	// Where fn fails, what it did is undone and the host may go on with tx.
	Join(ctx context.Context, tx any, tenant platform.TenantID, fn func(context.Context, Tx) error) error
	// Wake calls the functions of OnEmit and OnWake. The host may call it after
	// its commit, so that what it committed need not wait for the next look of
	// the relay and the queue.
	Wake()
	// OnWake has f called by Wake; f returns at once and begins no transaction.
	// The returned function ends that.
	OnWake(f func()) (remove func())
}

// Joined reports whether tx is a transaction of the host's that was joined
// ([Joiner]). What is only told of a commit so as to look sooner, and would look by
// itself, asks it before [Tx.AfterCommit].
func Joined(tx Tx) bool {
	j, ok := tx.(interface{ Joined() bool })
	return ok && j.Joined()
}

// RowReader is a [Relational] that reads a single row cheaper than a transaction
// does; see [ReadRow].
type RowReader interface {
	// ReadRow runs one query, whose parameters are written "?", for one row of
	// tenant and scans it into dest. It returns sql.ErrNoRows where there is
	// none.
	ReadRow(ctx context.Context, tenant platform.TenantID, query string, args []any, dest ...any) error
}

// ReadRow reads one row of a tenant as a read-only transaction of one query
// would, by the shortest way that db has. Like a transaction it must not be
// called inside another.
func ReadRow(ctx context.Context, db Relational, tenant platform.TenantID, query string, args []any, dest ...any) error {
	if r, ok := db.(RowReader); ok {
		return r.ReadRow(ctx, tenant, query, args, dest...)
	}
	return db.InTenant(ctx, tenant, func(ctx context.Context, tx Tx) error {
		return tx.QueryRow(ctx, query, args...).Scan(dest...)
	}, ReadOnly)
}
