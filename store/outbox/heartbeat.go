package outbox

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// beatEvery is how often a relay notes that it serves the outbox: several times
// within the minute after which the check of a store takes it for gone.
const beatEvery = sqltx.UnservedAfter / 4

// beatLoop tells the check of the store, in whatever process it is asked, that
// events which wait are waiting for the stream and not for a relay. It is apart
// from the moving, which a stream that does not answer holds up.
func (r *Relay) beatLoop(ctx context.Context) {
	failing := false
	for {
		background.Sleep(ctx, max(beatEvery, r.cfg.Interval/4))
		if ctx.Err() != nil {
			return
		}
		err := r.beat(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.log.WarnContext(ctx, "the relay cannot note that it is there", slog.Any("error", err))
		}
		failing = err != nil
	}
}

// beat renews the heartbeat unless another relay did so just now.
func (r *Relay) beat(ctx context.Context) error {
	now := r.cfg.Now()
	err := r.cfg.DB.AcrossTenants(ctx, r.cross.heartbeat, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `INSERT INTO outbox_heartbeat (relay, seen) VALUES ('any', ?)
			ON CONFLICT (relay) DO UPDATE SET seen = excluded.seen WHERE outbox_heartbeat.seen NOT BETWEEN ? AND ?`,
			now.UnixMicro(), now.Add(-beatEvery/2).UnixMicro(), now.UnixMicro())
		return err
	}, store.Reserved)
	if err != nil {
		return fmt.Errorf("outbox: heartbeat: %w", err)
	}
	return nil
}
