package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/acme/platform/store"
)

const (
	inboxBatch = 1000 // rows of one transaction
	inboxEvery = time.Hour
)

// inboxKey is a row of the inbox: store.Tx.Once made it.
type inboxKey struct{ tenant, consumer, event string }

// trimLoop removes what consumers need not remember any more.
func (r *Relay) trimLoop(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.trimInbox(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "the inbox is not trimmed", slog.Any("error", err))
		}
		r.sleep(ctx, inboxEvery)
	}
}

// trimInbox goes through the inbox once. It has no index by age, which every
// event would pay for; reading it through once an hour is beside the writers.
func (r *Relay) trimInbox(ctx context.Context) error {
	before := r.cfg.Now().Add(-r.cfg.InboxRetention).UnixMicro()
	var last inboxKey
	for ctx.Err() == nil {
		old, err := r.oldInbox(ctx, before, last)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			return nil
		}
		err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
			for _, k := range old {
				if _, err := tx.Exec(ctx, `DELETE FROM inbox WHERE tenant = ? AND consumer = ? AND event_id = ?`,
					k.tenant, k.consumer, k.event); err != nil {
					return fmt.Errorf("outbox: trim the inbox: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		last = old[len(old)-1]
	}
	return ctx.Err()
}

// oldInbox returns the next rows after last that are older than before.
func (r *Relay) oldInbox(ctx context.Context, before int64, last inboxKey) (old []inboxKey, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
		old = old[:0]
		rows, err := tx.Query(ctx, `SELECT tenant, consumer, event_id FROM inbox
			WHERE seen < ? AND (tenant, consumer, event_id) > (?, ?, ?) ORDER BY tenant, consumer, event_id LIMIT ?`,
			before, last.tenant, last.consumer, last.event, inboxBatch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k inboxKey
			if err := rows.Scan(&k.tenant, &k.consumer, &k.event); err != nil {
				return err
			}
			old = append(old, k)
		}
		return rows.Err()
	}, store.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("outbox: read the inbox: %w", err)
	}
	return old, nil
}
