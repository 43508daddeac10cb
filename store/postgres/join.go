package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// Join runs fn for a tenant inside a transaction that the host has begun on the
// same database, so that what fn writes, the events that it emits and the jobs
// that it enqueues commit with the host's own rows or not at all. tx is a
// [*sql.Tx] of pgx's database/sql driver, a bun.Tx or *bun.Tx over one, or a
// [pgx.Tx]. It stays the host's, who commits it or rolls it back.
//
// Join takes the runtime role, the tenant and the schema of the platform for the
// length of fn, and gives the transaction back with the role, the tenant setting
// and the search_path that it had: after Join the host's statements run as the
// host again. In fn row-level security holds as in [DB.InTenant]; the host's own
// tables are out of reach there.
//
// The events are written to the outbox before Join returns. Where fn fails or
// panics, all that it did is undone, its error or panic is passed on, and the
// host may go on with its transaction. Where the connection cannot be given back
// as it was, Join ends the host's transaction, so that nothing of the host's runs
// as the wrong role.
//
// The differences to InTenant: fn runs once, and an error of
// [platform.KindConflict] asks the host to run its whole transaction again. The
// store does not see the commit: [store.Tx.AfterCommit] makes Join fail, and the
// relay and the queue find what was committed at their next look, within their
// Interval; a host that cannot wait so long calls [DB.Wake] after its commit.
// [Config].Timeout bounds Join, not what the host does around it.
//
// The login of the host's connection must be able to take the runtime role. It
// should not inherit that role's rights, so that it has them in Join only:
//
//	GRANT platform_runtime TO host_login WITH INHERIT FALSE, SET TRUE; -- PostgreSQL 16 and newer
//	ALTER ROLE host_login NOINHERIT; GRANT platform_runtime TO host_login; -- before 16
//
// Join checks that the login may take the role, and its error names the statement. The errors are otherwise
// those of InTenant; a transaction that has ended is [sql.ErrTxDone] or
// [pgx.ErrTxClosed].
func (db *DB) Join(ctx context.Context, tx any, tenant platform.TenantID, fn func(context.Context, store.Tx) error) error {
	if err := tenant.Validate(); err != nil {
		return err
	}
	if ctx.Value(insideKey{db}) != nil {
		return ErrNested
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("postgres: join: %w", err)
	}
	if err := db.enter(ctx); err != nil {
		return err
	}
	defer db.running.Done()
	ctx, cancel := context.WithTimeoutCause(ctx, db.cfg.Timeout, errSilent)
	defer cancel()
	host, err := openHost(ctx, tx)
	if err != nil {
		return err
	}
	defer host.release()
	return db.join(ctx, host, tenant, fn)
}

func (db *DB) join(ctx context.Context, host *hostTx, tenant platform.TenantID, fn func(context.Context, store.Tx) error) (err error) {
	session, err := db.hostSession(ctx, host)
	if err != nil {
		return err
	}
	tx := sqltx.New(sqltx.Config{
		DB: db.bun, Conn: host.conn, Tenant: tenant, ReadOnly: session.readOnly, Joined: true,
		Rebind: db.binder.bind, Lock: db.lock, Now: db.cfg.Now,
	})
	joined := false
	defer func() { // also where fn panics
		tx.End()
		if !joined {
			err = errors.Join(err, host.undo())
		}
	}()
	if err := host.script(ctx, db.joining(tenant)); err != nil {
		return translate(ctx, err)
	}
	if err := sqltx.InTenant(tenant, fn).Call(context.WithValue(ctx, insideKey{db}, true), tx); err != nil {
		return translate(ctx, err)
	}
	if err := db.finish(ctx, tx); err != nil {
		return err
	}
	// A ctx that ends now undoes all: the caller has given up.
	if err := host.script(ctx, session.restore+"; RELEASE SAVEPOINT "+joinSavepoint); err != nil {
		return hiddenFailure(translate(ctx, err))
	}
	joined = true
	return nil
}

// finish writes out the events that fn has emitted.
func (db *DB) finish(ctx context.Context, tx *sqltx.Tx) error {
	if len(tx.Callbacks()) > 0 {
		return ErrAfterCommit
	}
	for text, args := range tx.Held().Inserts() {
		if _, err := tx.Exec(ctx, text, args...); err != nil {
			return hiddenFailure(translate(ctx, fmt.Errorf("emit: %w", err)))
		}
	}
	return nil
}

// hiddenFailure says why a transaction is found aborted after its function
// returned no error.
func hiddenFailure(err error) error {
	if isCode(err, codeAborted) {
		return errHidden
	}
	return err
}

func isCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

// joinSavepoint is what a failed Join goes back to.
const joinSavepoint = "platform_join"

// joining is the text that takes the tenant's role in a host's transaction. A
// tenant's id has no quotes in it.
func (db *DB) joining(tenant platform.TenantID) string {
	return fmt.Sprintf("SAVEPOINT %s; SET LOCAL search_path = %s; SET LOCAL app.tenant = '%s'; SET LOCAL ROLE %s",
		joinSavepoint, db.cfg.Schema, tenant, db.cfg.RuntimeRole)
}

// hostSession is what a host's transaction was before Join.
type hostSession struct {
	// restore is the statement that makes it so again. The server writes it, so
	// that it is quoted by the server's rules.
	restore  string
	readOnly bool
}

// hostSession reads how the session is, in one round trip that cannot fail in a
// transaction that is as it should be: an error would end it.
func (db *DB) hostSession(ctx context.Context, host *hostTx) (s hostSession, err error) {
	var (
		login  string
		here   bool
		may    bool
		modern bool
	)
	query := fmt.Sprintf(`SELECT session_user::text, server.modern, current_setting('transaction_read_only') = 'on',
			EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = '%[1]s' AND c.relname = 'outbox'),
			CASE WHEN to_regrole('%[2]s') IS NULL THEN false
				WHEN server.modern THEN pg_has_role(session_user, to_regrole('%[2]s')::oid, 'SET')
				ELSE pg_has_role(session_user, to_regrole('%[2]s')::oid, 'MEMBER') END,
			format('SELECT set_config(''search_path'', %%L, true), set_config(''app.tenant'', %%L, true), set_config(''role'', %%L, true)',
				current_setting('search_path'), coalesce(current_setting('app.tenant', true), ''), current_setting('role'))
		FROM (SELECT current_setting('server_version_num')::int >= 160000 AS modern) server`, db.cfg.Schema, db.cfg.RuntimeRole)
	err = host.conn.QueryRowContext(ctx, query).Scan(&login, &modern, &s.readOnly, &here, &may, &s.restore)
	switch {
	case errors.Is(err, sql.ErrTxDone), errors.Is(err, pgx.ErrTxClosed):
		return s, fmt.Errorf("postgres: join: the host's transaction has ended: %w", err)
	case isCode(err, codeAborted):
		return s, fmt.Errorf("postgres: join: a statement of the host's transaction has failed before; roll the transaction back: %w", err)
	case err != nil:
		return s, translate(ctx, fmt.Errorf("postgres: join: %w", err))
	case !here:
		return s, fmt.Errorf("postgres: join: the host's transaction is in a database without the tables of schema %s; "+
			"begin it on the platform's database", db.cfg.Schema)
	case !may:
		how := ""
		if modern {
			how = " WITH INHERIT FALSE, SET TRUE"
		}
		return s, fmt.Errorf("postgres: join: the login %[1]q of the host's transaction may not take the role %[2]s: GRANT %[2]s TO %[1]q%[3]s",
			login, db.cfg.RuntimeRole, how)
	}
	return s, nil
}

// Wake has the relay and the queues of this process look for work at once. A host
// calls it after it has committed a transaction that was joined ([DB.Join]), where
// the interval of the two is too long to wait. Those of other processes look at
// their interval.
func (db *DB) Wake() {
	db.emit.Notify()
	db.wake.Notify()
}

// OnWake implements [store.Joiner].
func (db *DB) OnWake(f func()) (remove func()) { return db.wake.Add(f) }
