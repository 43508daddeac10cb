package sqlevents

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/acme/platform/store"
)

const (
	trimBatch = 1000                  // rows of one transaction, so that other writers wait for milliseconds only
	trimPause = 20 * time.Millisecond // between two of them
)

// trimLoop removes what is older than the retention, an hour or a tenth of the
// retention apart, whichever is shorter.
func (e *Events) trimLoop(ctx context.Context) {
	failing := trouble{log: e.log, what: "trimming the stream fails"}
	for ctx.Err() == nil {
		for more := true; more && ctx.Err() == nil; {
			n, err := e.trim(ctx)
			if err != nil {
				failing.begin(ctx, err)
				break
			}
			failing.end(ctx)
			if more = n == trimBatch; more {
				e.sleep(ctx, trimPause)
			}
		}
		e.sleep(ctx, min(time.Hour, e.cfg.Retention/10))
	}
}

// trim removes at most trimBatch events that are older than the retention, and
// returns how many. Groups that had not finished them are moved on.
func (e *Events) trim(ctx context.Context) (removed int64, err error) {
	type loss struct {
		group string
		lost  int64
	}
	var losses []loss
	err = e.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
		removed, losses = 0, nil
		var edge sql.NullInt64
		// Events are stored in the order of seq, so the old ones are in front.
		if err := tx.QueryRow(ctx, `SELECT max(seq) FROM (SELECT seq, stored FROM event_log ORDER BY seq LIMIT ?) AS front WHERE stored < ?`,
			trimBatch, e.cfg.Now().Add(-e.cfg.Retention).UnixMicro()).Scan(&edge); err != nil || !edge.Valid {
			return err
		}
		rows, err := tx.Query(ctx, `UPDATE event_offsets SET
				lost = lost + (SELECT count(*) FROM event_log WHERE event_log.seq > event_offsets.seq AND event_log.seq <= ?), seq = ?
			WHERE seq < ? AND EXISTS (SELECT 1 FROM event_log WHERE event_log.seq > event_offsets.seq AND event_log.seq <= ?)
			RETURNING consumer_group, lost`, edge.Int64, edge.Int64, edge.Int64, edge.Int64)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l loss
			if err := rows.Scan(&l.group, &l.lost); err != nil {
				return err
			}
			losses = append(losses, l)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		res, err := tx.Exec(ctx, `DELETE FROM event_log WHERE seq <= ?`, edge.Int64)
		if err != nil {
			return err
		}
		removed, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, wrap("trim", err)
	}
	for _, l := range losses {
		e.log.ErrorContext(ctx, "a group lost events: it is further behind than the retention",
			slog.String("group", l.group), slog.Int64("lost_in_all", l.lost))
	}
	return removed, nil
}
