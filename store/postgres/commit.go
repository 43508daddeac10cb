package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/acme/platform/store/internal/sqltx"
)

// commit ends the transaction. Once COMMIT is on its way only the server's
// answer tells whether it happened.
func (db *DB) commit(ctx context.Context, c *sql.Conn, tx *sqltx.Tx) error {
	return raw(c, func(p *pgx.Conn) error {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		if p.PgConn().TxStatus() == 'E' {
			return errHidden
		}
		err := db.sendCommit(ctx, p, tx)
		if err != nil && p.IsClosed() {
			return unavailable("commit_unknown", "the store was lost while it committed").Because(err)
		}
		return translate(ctx, err)
	})
}

// sendCommit sends the events that were emitted and COMMIT in one round trip: of
// what an event costs a transaction, the wait for one more answer would be the
// larger part. Where an insert fails the server skips the rest.
func (db *DB) sendCommit(ctx context.Context, p *pgx.Conn, tx *sqltx.Tx) error {
	if len(tx.Held()) == 0 {
		return script(ctx, p, "COMMIT")
	}
	b := &pgconn.Batch{}
	for text, args := range tx.Held().Inserts() {
		text = db.binder.bind(text)
		stmt, err := p.Prepare(ctx, text, text) // remembered for each connection
		if err != nil {
			return err
		}
		b.ExecPrepared(stmt.Name, texts(args), nil, nil)
	}
	b.ExecParams("COMMIT", nil, nil, nil, nil)
	return p.PgConn().ExecBatch(ctx, b).Close()
}

// texts returns arguments of the outbox's rows, which are strings and int64, in the
// text format.
func texts(args []any) [][]byte {
	values := make([][]byte, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			values[i] = []byte(a)
		case int64:
			values[i] = strconv.AppendInt(nil, a, 10)
		}
	}
	return values
}
