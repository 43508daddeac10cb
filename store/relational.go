package store

import (
	"context"
	"io/fs"

	"github.com/uptrace/bun/schema"

	"github.com/acme/platform"
)

// TenantDB is the part of a [Relational] store that reaches the rows of one
// tenant at a time. The query vocabulary is bun's.
//
// A module that serves tenants takes a TenantDB: from it no call crosses
// tenants, so that such a mistake does not compile. The type keeps mistakes
// out, not intent: a type assertion finds the rest of the store again.
//
// Every table that holds a tenant's rows has a column tenant, first in its
// primary key, and every statement on it names the tenant, also where the
// database has row-level security of its own.
type TenantDB interface {
	// InTenant runs fn in one transaction that may touch the rows of tenant,
	// and commits when fn returns nil; it returns after the commit is durable.
	// If fn returns an error or panics, nothing has happened, and that error
	// or panic is passed on unchanged. A transaction that lost against
	// another one is an error of [platform.KindConflict]; one that a store
	// without room or without connection refused, of
	// [platform.KindUnavailable].
	//
	// fn must not keep tx, start goroutines that use it, or begin another
	// transaction of the store, of either kind: that is an error. It may be
	// run again if the database asks for it, so it must not have effects
	// outside tx; [Tx.AfterCommit] is for those.
	InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, Tx) error, opts ...TxOption) error

	// Migrate brings the tables of a component to their newest form and
	// returns when they are there. Many processes may call it at once. It
	// refuses a database that has migrations the component does not know.
	Migrate(ctx context.Context, m Migrations) error

	// Dialect tells which SQL is spoken, for the few statements that differ.
	Dialect() schema.Dialect

	// Ping checks that the store answers.
	Ping(ctx context.Context) error
}

// Relational is tables and transactions: of one tenant, and across tenants for
// those who hold a token.
type Relational interface {
	TenantDB

	// AcrossTenants is InTenant for rows of no tenant or of many: the login
	// of a user who belongs to several, the relay of the outbox. It is a
	// method of its own, with a transaction type of its own, so that whoever
	// reads the code stops at it. The token by says who crosses and why. One
	// that Crossings did not hand out, such as the zero value, is refused
	// with [platform.KindInternal], before fn is called.
	AcrossTenants(ctx context.Context, by Crossing, fn func(context.Context, CrossTx) error, opts ...TxOption) error

	// Crossings hands out the tokens of the store and lists them. It can be
	// called before the store is started.
	Crossings() *Crossings
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
// [TenantDB.InTenant], through the transaction that its function is given.
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
func Joined(tx Queries) bool {
	j, ok := tx.(interface{ Joined() bool })
	return ok && j.Joined()
}

// Exclusive is a [Relational] that can say whether it is open in one process
// alone. What an earlier process left unfinished in it is then free at once: the
// queue and the stream of tables need not wait for its leases to end. In such a
// store each process has at most one queue and one stream.
type Exclusive interface {
	// Exclusive reports whether that is so; it does not change.
	Exclusive() bool
}

// IsExclusive reports whether db says that it is open in one process alone.
func IsExclusive(db Relational) bool {
	e, ok := db.(Exclusive)
	return ok && e.Exclusive()
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
func ReadRow(ctx context.Context, db TenantDB, tenant platform.TenantID, query string, args []any, dest ...any) error {
	if r, ok := db.(RowReader); ok {
		return r.ReadRow(ctx, tenant, query, args, dest...)
	}
	return db.InTenant(ctx, tenant, func(ctx context.Context, tx Tx) error {
		return tx.QueryRow(ctx, query, args...).Scan(dest...)
	}, ReadOnly)
}
