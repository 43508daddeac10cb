package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/acme/platform/store"
)

// Stats are figures of an outbox at one moment.
type Stats struct {
	// Depth is how many events wait to be published.
	Depth int64
	// Oldest is the age of the first of them; zero where there is none. One
	// that grows means that the stream is unavailable.
	Oldest time.Duration
	// Dead is how many events are dead letters because no stream will take
	// them; they are in the table outbox_dead, with the cause.
	Dead int64
}

// Stats counts. It must not be called before Start.
func (r *Relay) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := r.cfg.DB.AcrossTenants(ctx, r.cross.stats, func(ctx context.Context, tx store.CrossTx) error {
		var first int64
		if err := tx.QueryRow(ctx, `SELECT count(*), coalesce((SELECT time FROM outbox ORDER BY seq LIMIT 1), 0),
			(SELECT count(*) FROM outbox_dead) FROM outbox`).Scan(&s.Depth, &first, &s.Dead); err != nil {
			return err
		}
		s.Oldest = 0
		if s.Depth > 0 {
			s.Oldest = max(0, r.cfg.Now().Sub(time.UnixMicro(first)))
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		return Stats{}, fmt.Errorf("outbox: stats: %w", err)
	}
	return s, nil
}
