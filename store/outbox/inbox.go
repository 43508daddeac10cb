package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

const (
	trimBatch = 1000 // rows of one transaction
	trimEvery = time.Hour
)

// inboxKey is a row of the inbox: store.Tx.Once made it. The zero key is before
// all of them.
type inboxKey struct{ tenant, consumer, event string }

// trimInboxLoop removes what consumers need not remember any more.
func (r *Relay) trimInboxLoop(ctx context.Context) {
	var last inboxKey
	background.Sweep(ctx, trimEvery, func(ctx context.Context) bool {
		next, err := r.trimInbox(ctx, last)
		if err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "the inbox is not trimmed", slog.Any("error", err))
		}
		last = next
		return last != inboxKey{}
	})
}

// trimInbox removes the first old rows after last, and returns the key of the
// last one: zero after the end, and with an error. The inbox has no index by
// age, which every event would pay for; reading it through once an hour is beside
// the writers.
func (r *Relay) trimInbox(ctx context.Context, last inboxKey) (inboxKey, error) {
	old, err := r.oldInbox(ctx, r.cfg.Now().Add(-r.cfg.InboxRetention).UnixMicro(), last)
	if err != nil || len(old) == 0 {
		return inboxKey{}, err
	}
	err = r.cfg.DB.AcrossTenants(ctx, r.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
		for _, k := range old {
			if _, err := tx.Exec(ctx, `DELETE FROM inbox WHERE tenant = ? AND consumer = ? AND event_id = ?`,
				k.tenant, k.consumer, k.event); err != nil {
				return fmt.Errorf("outbox: trim the inbox: %w", err)
			}
		}
		return nil
	}, store.Reserved)
	if err != nil {
		return inboxKey{}, err
	}
	return old[len(old)-1], nil
}

// oldInbox returns the next rows after last that are older than before.
func (r *Relay) oldInbox(ctx context.Context, before int64, last inboxKey) (old []inboxKey, err error) {
	err = r.cfg.DB.AcrossTenants(ctx, r.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
		old = old[:0]
		rows, err := tx.Query(ctx, `SELECT tenant, consumer, event_id FROM inbox
			WHERE seen < ? AND (tenant, consumer, event_id) > (?, ?, ?) ORDER BY tenant, consumer, event_id LIMIT ?`,
			before, last.tenant, last.consumer, last.event, trimBatch)
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
