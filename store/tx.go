package store

import (
	"context"
	"database/sql"

	"github.com/uptrace/bun"

	"github.com/acme/platform"
)

// Queries are the statements that a transaction of either kind runs. A function
// takes Queries, and not a [Tx], where its statements name their tenant
// themselves or touch rows of no tenant.
type Queries interface {
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
}

// Tx is a transaction of one tenant; see [TenantDB]. It is not safe for
// concurrent use and is dead once the function it was given to has returned.
type Tx interface {
	Queries

	// Tenant is the tenant that the transaction is bound to, never "".
	Tenant() platform.TenantID

	// Emit writes events to the outbox, to be published after the commit, at
	// least once, in the order of the commits per tenant and subject. All must
	// be of the transaction's tenant. They are kept until the commit, which
	// inserts them and returns what the database has against them: the
	// transaction does not see them in the outbox.
	Emit(ctx context.Context, events ...platform.Event) error

	// Once reports whether the event is new to the group, and remembers it
	// with the transaction. A consumer calls it first and skips what is not
	// new, so that its effect happens once.
	Once(ctx context.Context, group string, event platform.Event) (bool, error)

	// Lock waits until no other transaction of the same tenant holds the
	// name, and holds it until the transaction ends. It is for what must not
	// happen twice at once and has no row to lock: who counts before
	// inserting, who reads before deciding. What is read after it is as of
	// then. Where there is one writer anyway it does nothing. Two names are
	// always taken in the same order, or transactions run into each other.
	Lock(ctx context.Context, name string) error

	// AfterCommit has f called once the commit is durable, in the order of
	// the calls, by a goroutine that must not be held up: f returns at once
	// and begins no transaction. It is not called when the transaction fails,
	// nor after a crash. In a transaction of the host's ([Joiner]) it makes
	// the call fail, because the store does not see that commit.
	AfterCommit(f func())
}

// CrossTx is a transaction across tenants; see [Relational]. It is no [Tx], and
// a Tx is no CrossTx: code that is written for the rows of one tenant cannot be
// handed a transaction that reaches them all. Like a Tx it is not safe for
// concurrent use and is dead once the function it was given to has returned.
type CrossTx interface {
	Queries

	// Crossing is the token that the transaction was begun with.
	Crossing() Crossing

	// Emit is [Tx.Emit] for events of several tenants: each names its own,
	// and one without is refused with [platform.KindNoTenant].
	Emit(ctx context.Context, events ...platform.Event) error

	// Once is [Tx.Once] for an event of any tenant; the event names it.
	Once(ctx context.Context, group string, event platform.Event) (bool, error)

	// Lock is [Tx.Lock] for names that all transactions across tenants
	// share; a tenant's names are apart from them.
	Lock(ctx context.Context, name string) error

	// AfterCommit is [Tx.AfterCommit].
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
