package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// dialect is what differs between databases.
type dialect struct {
	// turn takes the one turn to move events, until the transaction ends, and
	// answers whether nobody else has it; empty where one process has the
	// store.
	turn string
	// claimText takes the first rows out of the outbox.
	claimText string
}

var onSQLite = dialect{
	claimText: `DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox ORDER BY seq LIMIT ?)
		RETURNING seq, id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data`,
}

// On PostgreSQL rows are found once, by where they lie, whatever the planner
// thinks of a table that is empty and full by turns.
var onPostgres = dialect{
	turn: `SELECT pg_try_advisory_xact_lock(?)`,
	claimText: `DELETE FROM outbox WHERE ctid = ANY (ARRAY (SELECT ctid FROM outbox ORDER BY seq LIMIT ?))
		RETURNING seq, id, source, type, tenant, subject, time, actor, on_behalf_of, trace_parent, data`,
}

// errBusy is the error of a move while another relay has the turn.
var errBusy = errors.New("outbox: another relay is at work")

func (d *dialect) takeTurn(ctx context.Context, tx store.Queries) error {
	if d.turn == "" {
		return nil
	}
	var ours bool
	if err := tx.QueryRow(ctx, d.turn, sqltx.AdvisoryKey("outbox", "relay")).Scan(&ours); err != nil {
		return fmt.Errorf("outbox: take the turn: %w", err)
	}
	if !ours {
		return errBusy
	}
	return nil
}

// claim takes the first rows out of the outbox. It begins at the front each time,
// also within a transaction: a row that was committed since may be before those that
// were taken, and belongs before the ones that come after it.
func (d *dialect) claim(ctx context.Context, tx store.Queries, limit int) ([]row, error) {
	rows, err := query(ctx, tx, d.claimText, limit)
	if err != nil {
		return nil, err
	}
	// RETURNING promises no order.
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	return rows, nil
}
