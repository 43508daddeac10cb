package sqlevents

import (
	"context"
	"time"

	"github.com/acme/platform/store"
)

// Stats are figures of the stream at one moment.
type Stats struct {
	// Events is how many are kept.
	Events int64
	// Groups are the groups that ever consumed, by name.
	Groups []GroupStats
}

// GroupStats are figures of one group of consumers.
type GroupStats struct {
	Group string
	// Active reports whether a consumer has the group's lease.
	Active bool
	// Lag is how many events the group has not finished.
	Lag int64
	// Oldest is the age of the oldest of them; zero where there is none.
	Oldest time.Duration
	// Lost is how many events were trimmed before the group had finished them.
	Lost int64
}

// Stats counts. Its cost grows with the number of events that are kept: it is
// for a metrics scrape, not for a request.
func (e *Events) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := e.cfg.DB.AcrossTenants(ctx, e.cross.stats, func(ctx context.Context, tx store.CrossTx) error {
		s = Stats{}
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM event_log`).Scan(&s.Events); err != nil {
			return err
		}
		now := e.cfg.Now()
		rows, err := tx.Query(ctx, `SELECT consumer_group, expires, lost,
				(SELECT count(*) FROM event_log WHERE event_log.seq > event_offsets.seq),
				coalesce((SELECT stored FROM event_log WHERE event_log.seq > event_offsets.seq ORDER BY event_log.seq LIMIT 1), 0)
			FROM event_offsets ORDER BY consumer_group`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				g               GroupStats
				expires, oldest int64
			)
			if err := rows.Scan(&g.Group, &expires, &g.Lost, &g.Lag, &oldest); err != nil {
				return err
			}
			g.Active = expires > now.UnixMicro()
			if g.Lag > 0 {
				g.Oldest = max(0, now.Sub(time.UnixMicro(oldest)))
			}
			s.Groups = append(s.Groups, g)
		}
		return rows.Err()
	}, store.ReadOnly)
	return s, wrap("stats", err)
}
