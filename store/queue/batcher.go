package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// settleTime bounds the last write of a queue that stops.
const settleTime = 5 * time.Second

// runBatcher is the one goroutine that writes for the workers: each pass stores the
// results that have come in and claims new jobs in one transaction, so that a
// commit serves as many jobs as there are free workers.
func (q *Queue) runBatcher(ctx context.Context) {
	if joiner, ok := q.cfg.DB.(store.Joiner); ok {
		defer joiner.OnWake(q.wake.Set)()
	}
	var (
		failures  int
		heartbeat time.Time // when the leases were renewed last
		due       time.Time // when the next scheduled job is; zero if none is known
		woken     = true    // something has happened
	)
	for {
		now := q.cfg.Now()
		beat := now.Sub(heartbeat) >= q.cfg.Lease/3
		results := q.take()
		pass := woken || beat || len(results) > 0 || isDue(due, now)
		if !pass {
			// Only the interval has passed: look without getting in the
			// way of writers.
			var err error
			due, err = q.look(ctx)
			pass = err != nil || isDue(due, now)
		}
		if pass {
			next, err := q.pass(ctx, results, beat)
			if err != nil {
				q.putBack(results)
			}
			switch {
			case ctx.Err() != nil:
			case err != nil:
				if failures++; failures == 1 {
					q.log.WarnContext(ctx, "the store fails; jobs wait", slog.Any("error", err))
				}
				background.Sleep(ctx, q.storePause(failures))
				woken = true
				continue
			default:
				if failures > 0 {
					q.log.InfoContext(ctx, "the store works again", slog.Int("failures", failures))
					failures = 0
				}
				if due = next; beat {
					heartbeat = now
				}
			}
		}
		if ctx.Err() != nil {
			q.settleLast(ctx)
			return
		}
		pause := min(q.cfg.Interval, q.cfg.Lease/3)
		if !due.IsZero() {
			pause = min(pause, due.Sub(q.cfg.Now()))
		}
		// What is due already is not waited for, and a signal stays set.
		woken = pause > 0 && q.wake.Wait(ctx, pause)
	}
}

func isDue(due, now time.Time) bool { return !due.IsZero() && !due.After(now) }

// take returns the results that are not stored.
func (q *Queue) take() []result {
	q.mu.Lock()
	defer q.mu.Unlock()
	results := q.results
	q.results = nil
	return results
}

func (q *Queue) putBack(results []result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.results = append(results, q.results...)
}

// settleLast stores what is left although ctx is done; what it cannot store is
// run again after its lease.
func (q *Queue) settleLast(ctx context.Context) {
	results := q.take()
	if len(results) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	err := q.cfg.DB.AcrossTenants(ctx, q.cross.work, func(ctx context.Context, tx store.CrossTx) error {
		return q.settle(ctx, tx, results)
	})
	if err != nil {
		q.log.ErrorContext(ctx, "results of jobs are lost; they will run again", slog.Int("jobs", len(results)), slog.Any("error", err))
		return
	}
	q.forget(results)
}

// pass stores results and claims jobs, and returns when the next scheduled job
// is due, or the zero time.
func (q *Queue) pass(ctx context.Context, results []result, beat bool) (due time.Time, err error) {
	var (
		claimed []*run
		lost    []*run
		ask     []platform.TenantID
	)
	err = q.cfg.DB.AcrossTenants(ctx, q.cross.work, func(ctx context.Context, tx store.CrossTx) (err error) {
		if err := q.settle(ctx, tx, results); err != nil {
			return err
		}
		if beat {
			if lost, err = q.renew(ctx, tx); err != nil {
				return err
			}
			if err := q.rescue(ctx, tx); err != nil {
				return err
			}
		}
		if due, err = q.promote(ctx, tx); err != nil {
			return err
		}
		claimed, ask, err = q.claim(ctx, tx)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	q.forget(results)
	for _, r := range lost {
		q.log.WarnContext(ctx, "lease lost", r.attr())
		r.cancel(ErrLeaseLost)
	}
	q.start(claimed)   //nolint:contextcheck // a job outlives the pass that claimed it
	q.askStanding(ask) //nolint:contextcheck // the answers outlive the pass
	if beat {
		q.refreshStandings() //nolint:contextcheck // the answers outlive the pass
	}
	return due, nil
}

// forget ends the runs whose results are stored.
func (q *Queue) forget(results []result) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, res := range results {
		delete(q.running, res.run.key)
	}
}

// storePause is how long to wait after the store failed.
func (q *Queue) storePause(failures int) time.Duration {
	q.mu.Lock() // for Rand
	defer q.mu.Unlock()
	return background.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second, Rand: q.cfg.Rand}.Pause(failures)
}
