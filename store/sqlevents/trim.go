package sqlevents

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
	"github.com/acme/platform/store"
)

// trimBatch is the rows of one transaction, so that other writers wait for
// milliseconds only.
const trimBatch = 1000

// trimLoop removes what is older than the retention, an hour or a tenth of the
// retention apart, whichever is shorter.
func (e *Events) trimLoop(ctx context.Context) {
	failing := delivery.Trouble{Log: e.log, What: "trimming the stream fails"}
	every := min(time.Hour, e.cfg.Retention/10)
	background.Sweep(ctx, every, func(ctx context.Context) bool {
		err := e.restamp(ctx, every)
		var n int64
		if err == nil {
			n, err = e.trim(ctx)
		}
		if err != nil {
			failing.Begin(ctx, err)
			return false
		}
		failing.End(ctx)
		return n == trimBatch
	})
}

// restamp looks whether the first event is said to be stored later than now by
// more than slack, which is so after a clock ran ahead and was set right. Until
// that day neither it nor what follows would be trimmed, so all events from the
// future are taken for stored now: they are kept for one retention more.
func (e *Events) restamp(ctx context.Context, slack time.Duration) error {
	ahead := false
	err := e.cfg.DB.AcrossTenants(ctx, e.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
		var first int64
		err := tx.QueryRow(ctx, `SELECT coalesce((SELECT stored FROM event_log ORDER BY seq LIMIT 1), 0)`).Scan(&first)
		ahead = first > e.cfg.Now().Add(slack).UnixMicro()
		return err
	}, store.ReadOnly)
	if err != nil || !ahead {
		return wrap("look for events from the future", err)
	}
	e.log.WarnContext(ctx, "events are from the future: the clock must have been ahead; they are kept for one retention from now")
	for seq, more := int64(0), true; more && ctx.Err() == nil; {
		err := e.cfg.DB.AcrossTenants(ctx, e.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
			var last sql.NullInt64
			if err := tx.QueryRow(ctx, `SELECT max(seq) FROM (SELECT seq FROM event_log WHERE seq > ? ORDER BY seq LIMIT ?) AS part`,
				seq, trimBatch).Scan(&last); err != nil {
				return err
			}
			if more = last.Valid; !more {
				return nil
			}
			now := e.cfg.Now().UnixMicro()
			_, err := tx.Exec(ctx, `UPDATE event_log SET stored = ? WHERE seq > ? AND seq <= ? AND stored > ?`, now, seq, last.Int64, now)
			seq = last.Int64
			return err
		})
		if err != nil {
			return wrap("restamp", err)
		}
	}
	return ctx.Err()
}

// trim removes at most trimBatch events that are older than the retention, and
// returns how many. Groups that had not finished them are moved on.
func (e *Events) trim(ctx context.Context) (removed int64, err error) {
	type loss struct {
		group string
		lost  int64
	}
	var losses []loss
	err = e.cfg.DB.AcrossTenants(ctx, e.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
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
	}, store.Reserved)
	if err != nil {
		return 0, wrap("trim", err)
	}
	for _, l := range losses {
		e.log.ErrorContext(ctx, "a group lost events: it is further behind than the retention",
			slog.String("group", l.group), slog.Int64("lost_in_all", l.lost))
	}
	return removed, nil
}
