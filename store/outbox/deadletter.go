package outbox

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// deadLetter keeps events that no stream will take, with the cause.
func (r *Relay) deadLetter(ctx context.Context, tx store.Queries, dead []row) error {
	for _, d := range dead {
		if _, err := tx.Exec(ctx, `INSERT INTO outbox_dead (tenant, seq, id, source, type, subject, time, actor, on_behalf_of, trace_parent, data, cause, died)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, seq) DO NOTHING`,
			string(d.event.Tenant), d.seq, d.event.ID, d.event.Source, d.event.Type, d.event.Subject,
			d.event.Time.UnixMicro(), d.event.Actor, d.event.OnBehalfOf, d.event.TraceParent, string(d.event.Data), d.cause.Error(), r.cfg.Now().UnixMicro()); err != nil {
			return fmt.Errorf("outbox: dead-letter: %w", err)
		}
	}
	return nil
}

// trimDeadLoop removes dead letters that are older than the retention.
func (r *Relay) trimDeadLoop(ctx context.Context) {
	background.Sweep(ctx, trimEvery, func(ctx context.Context) bool {
		n, err := r.trimDead(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "dead letters are not trimmed", slog.Any("error", err))
		}
		return err == nil && n == trimBatch
	})
}

// trimDead removes at most trimBatch events and returns how many. With an
// error, n means nothing.
func (r *Relay) trimDead(ctx context.Context) (n int64, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, r.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
		res, err := tx.Exec(ctx, `DELETE FROM outbox_dead WHERE (tenant, seq) IN (
			SELECT tenant, seq FROM outbox_dead WHERE died < ? LIMIT ?)`, r.cfg.Now().Add(-r.cfg.DeadRetention).UnixMicro(), trimBatch)
		if err != nil {
			return fmt.Errorf("outbox: trim dead letters: %w", err)
		}
		n, err = res.RowsAffected()
		return err
	}, store.Reserved)
	return n, err
}
