package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/uptrace/bun"
)

// hostTx is a transaction of the host's while it is joined.
type hostTx struct {
	conn bun.IConn
	// end ends the host's transaction, where it can no longer be trusted.
	end func(context.Context) error
	// release gives back what the shape of conn took.
	release func()
}

// openHost finds out what kind of transaction tx is.
func openHost(ctx context.Context, tx any) (*hostTx, error) {
	switch tx := tx.(type) {
	case *sql.Tx:
		if tx != nil {
			return ofSQL(tx), nil
		}
	case bun.Tx:
		if tx.Tx != nil {
			return ofSQL(tx.Tx), nil
		}
	case *bun.Tx:
		if tx != nil && tx.Tx != nil {
			return ofSQL(tx.Tx), nil
		}
	case pgx.Tx:
		return ofPGX(ctx, tx)
	case nil:
	default:
		return nil, fmt.Errorf("postgres: join: %T is no transaction; give a *sql.Tx, a bun.Tx or a pgx.Tx that is begun", tx)
	}
	return nil, errors.New("postgres: join: the transaction is nil; give a *sql.Tx, a bun.Tx or a pgx.Tx that is begun")
}

func ofSQL(tx *sql.Tx) *hostTx {
	return &hostTx{
		conn: &conn{tx}, release: func() {},
		end: func(context.Context) error { return tx.Rollback() },
	}
}

// ofPGX makes database/sql speak through a transaction of pgx, since bun's
// queries and the callers of [store.Tx] take its rows.
func ofPGX(ctx context.Context, tx pgx.Tx) (*hostTx, error) {
	pool := sql.OpenDB(pgxConnector{tx})
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("postgres: join: %w", err), pool.Close())
	}
	return &hostTx{
		conn: &conn{c},
		// A nested transaction of pgx is a savepoint: rolling it back would
		// leave the role of the session as it is.
		end: func(ctx context.Context) error { return tx.Conn().Close(ctx) },
		release: func() {
			_ = c.Close()
			_ = pool.Close()
		},
	}, nil
}

// script runs statements without parameters in one round trip.
func (h *hostTx) script(ctx context.Context, text string) error {
	_, err := h.conn.ExecContext(ctx, text)
	return err
}

// undo takes back all that was done since the savepoint, the settings among it.
// The caller's context may have ended.
func (h *hostTx) undo() error {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTime)
	defer cancel()
	err := h.script(ctx, "ROLLBACK TO SAVEPOINT "+joinSavepoint+"; RELEASE SAVEPOINT "+joinSavepoint)
	if err == nil {
		return nil
	}
	_ = h.end(ctx) // fails where the connection is lost, and with it the transaction
	return fmt.Errorf("postgres: join: the host's transaction was ended, since it could not be given back as it was: %w", err)
}
