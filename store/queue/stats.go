package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/acme/platform/store"
)

// Stats are figures of a queue, of all processes, at one moment.
type Stats struct {
	// Ready jobs could run now, Scheduled ones wait for their time or for
	// their next attempt, Running ones are leased, Dead ones have failed for good.
	Ready, Scheduled, Running, Dead int64
	// Unknown is how many of the ready jobs are of kinds that this process has
	// no handler for.
	Unknown int64
	// OldestReady is how long the first of the ready jobs has been due: one
	// that grows says that there are too few workers, or that jobs wait for
	// a target that fails or a tenant that is suspended.
	OldestReady time.Duration
	// OldestRunning is how long ago the longest running attempt began: one far
	// above the timeouts says that a handler does not heed its context.
	OldestRunning time.Duration
}

// Stats counts. Its cost grows with the number of jobs: it is for a metrics
// scrape, not for a request.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	known := make(map[string]bool)
	q.mu.Lock()
	for _, k := range q.kinds {
		known[k.name] = true
	}
	q.mu.Unlock()

	var s Stats
	err := q.cfg.DB.AcrossTenants(ctx, q.cross.stats, func(ctx context.Context, tx store.CrossTx) error {
		s = Stats{}
		now := q.cfg.Now()
		rows, err := tx.Query(ctx, `SELECT kind, count(*), min(run_at) FROM jobs WHERE state = 0 GROUP BY kind`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				kind     string
				n, first int64
			)
			if err := rows.Scan(&kind, &n, &first); err != nil {
				return err
			}
			s.Ready += n
			if !known[kind] {
				s.Unknown += n
			}
			s.OldestReady = max(s.OldestReady, now.Sub(time.UnixMicro(first)))
		}
		if err := rows.Err(); err != nil {
			return err
		}
		var started int64
		if err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM jobs WHERE state = 1), (SELECT count(*) FROM jobs WHERE state = 3),
				count(*), coalesce(min(started), 0) FROM jobs WHERE state = 2`).
			Scan(&s.Scheduled, &s.Dead, &s.Running, &started); err != nil {
			return err
		}
		if s.Running > 0 {
			s.OldestRunning = max(0, now.Sub(time.UnixMicro(started)))
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		return Stats{}, fmt.Errorf("queue: stats: %w", err)
	}
	return s, nil
}
