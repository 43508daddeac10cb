package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// settle stores results. What is no longer ours stays as it is: the claim that
// follows it has another fence.
func (q *Queue) settle(ctx context.Context, tx store.Queries, results []result) error {
	var done []*run
	for _, res := range results {
		if res.outcome == outcomeLost || res.run.finished.Load() {
			continue
		}
		if res.outcome == outcomeDone && q.statements.done != "" {
			done = append(done, res.run)
			continue
		}
		ours, err := q.settleOne(ctx, tx, res)
		if err != nil {
			return err
		}
		if !ours && !res.run.joined.Load() {
			q.warnTaken(ctx, res.run)
		}
	}
	return q.settleAllDone(ctx, tx, done)
}

func (q *Queue) warnTaken(ctx context.Context, r *run) {
	q.log.WarnContext(ctx, "a job was given to another run before this one's result was stored", r.attr())
}

// settleAllDone deletes jobs that have run, in one statement.
func (q *Queue) settleAllDone(ctx context.Context, tx store.Queries, done []*run) error {
	if len(done) == 0 {
		return nil
	}
	tenants, ids, fences := make([]string, len(done)), make([]string, len(done)), make([]int64, len(done))
	for i, r := range done {
		tenants[i], ids[i], fences[i] = string(r.key.tenant), r.key.id, r.key.fence
	}
	rows, err := tx.Query(ctx, q.statements.done, tenants, ids, fences)
	if err != nil {
		return fmt.Errorf("queue: settle: %w", err)
	}
	ours, err := keysOf(rows)
	if err != nil {
		return fmt.Errorf("queue: settle: %w", err)
	}
	for _, r := range done {
		if !ours[r.key] && !r.joined.Load() {
			q.warnTaken(ctx, r)
		}
	}
	return nil
}

func (q *Queue) settleOne(ctx context.Context, tx store.Queries, res result) (ours bool, err error) {
	key := res.run.key
	switch res.outcome {
	case outcomeRetry:
		return changed(tx.Exec(ctx, `UPDATE jobs SET state = 1, run_at = ?, cause = ?, owner = '', lease = 0
			WHERE tenant = ? AND id = ? AND fence = ? AND state = 2`,
			res.runAt.UnixMicro(), res.cause, string(key.tenant), key.id, key.fence))
	case outcomeDead:
		return changed(tx.Exec(ctx, `UPDATE jobs SET state = 3, died = ?, cause = ?, owner = '', lease = 0
			WHERE tenant = ? AND id = ? AND fence = ? AND state = 2`,
			q.cfg.Now().UnixMicro(), res.cause, string(key.tenant), key.id, key.fence))
	case outcomeRelease:
		return release(ctx, tx, key)
	default:
		return settleDone(ctx, tx, key)
	}
}

// release puts a job back as if it had not been claimed, but for the fence.
func release(ctx context.Context, tx store.Queries, key jobKey) (bool, error) {
	return changed(tx.Exec(ctx, `UPDATE jobs SET state = 0, attempt = attempt - 1, owner = '', lease = 0
		WHERE tenant = ? AND id = ? AND fence = ? AND state = 2`, string(key.tenant), key.id, key.fence))
}

// sweepBatch bounds what one pass promotes or rescues.
const sweepBatch = 500

// lockedPause is how long jobs are left alone that are due and that another
// transaction has locked.
const lockedPause = 100 * time.Millisecond

// promote makes scheduled jobs ready whose time has come, and returns when the
// next one's comes, or the zero time.
func (q *Queue) promote(ctx context.Context, tx store.Queries) (next time.Time, err error) {
	now := q.cfg.Now()
	for range 2 {
		var first sql.NullInt64
		if err := tx.QueryRow(ctx, `SELECT min(run_at) FROM jobs WHERE state = 1`).Scan(&first); err != nil {
			return now, fmt.Errorf("queue: promote: %w", err)
		}
		if !first.Valid {
			return time.Time{}, nil
		}
		if next = time.UnixMicro(first.Int64); next.After(now) {
			return next, nil
		}
		promoted, err := changed(tx.Exec(ctx, q.statements.promote, now.UnixMicro(), sweepBatch))
		if err != nil {
			return now, err
		}
		if !promoted {
			return now.Add(lockedPause), nil
		}
	}
	return next, nil
}

// rescue makes jobs ready whose process is not heard of, of whatever kind. The
// attempt counts; whether it was the last one decides a worker that knows the
// kind.
func (q *Queue) rescue(ctx context.Context, tx store.Queries) error {
	_, err := tx.Exec(ctx, q.statements.rescue, q.cfg.Now().UnixMicro(), sweepBatch)
	if err != nil {
		return fmt.Errorf("queue: rescue: %w", err)
	}
	return nil
}

// takeBack rescues whatever runs, for a process that knows that no other one
// lives.
func (q *Queue) takeBack(ctx context.Context) error {
	return q.cfg.DB.AcrossTenants(ctx, q.cross.work, func(ctx context.Context, tx store.CrossTx) error {
		if _, err := tx.Exec(ctx, `UPDATE jobs SET state = 0, owner = '', lease = 0, cause = 'queue: the process ended while it ran'
			WHERE state = 2`); err != nil {
			return fmt.Errorf("queue: take back: %w", err)
		}
		return nil
	}, store.Reserved)
}

// renew extends the leases of what runs here. It returns the runs that another
// process has taken, and puts back jobs that are leased to this process and yet
// do not run, as after a commit whose answer was lost.
func (q *Queue) renew(ctx context.Context, tx store.Queries) (lost []*run, err error) {
	held, err := q.extend(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("queue: renew: %w", err)
	}
	q.mu.Lock()
	for key, r := range q.running {
		if !held[key] && !r.reported && !r.finished.Load() && !r.joined.Load() {
			lost = append(lost, r)
		}
		delete(held, key)
	}
	q.mu.Unlock()
	for key := range held {
		if _, err := release(ctx, tx, key); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

// extend extends the leases of this process and returns the claims that it has.
// A claim whose handler is about to finish it in a transaction of its own is
// among them.
func (q *Queue) extend(ctx context.Context, tx store.Queries) (held map[jobKey]bool, err error) {
	if _, err := tx.Exec(ctx, q.statements.extend, q.owner, q.cfg.Now().Add(q.cfg.Lease).UnixMicro()); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT tenant, id, fence FROM jobs WHERE state = 2 AND owner = ?`, q.owner)
	if err != nil {
		return nil, err
	}
	return keysOf(rows)
}

// keysOf reads rows of tenant, id and fence, and closes them.
func keysOf(rows *sql.Rows) (map[jobKey]bool, error) {
	defer rows.Close()
	keys := make(map[jobKey]bool)
	for rows.Next() {
		var key jobKey
		if err := rows.Scan((*string)(&key.tenant), &key.id, &key.fence); err != nil {
			return nil, err
		}
		keys[key] = true
	}
	return keys, rows.Err()
}

// look returns when there is something for this process to do: now, at the time
// of the next scheduled job, or the zero time where it knows of nothing.
func (q *Queue) look(ctx context.Context) (due time.Time, err error) {
	pools := q.pools()
	err = q.cfg.DB.AcrossTenants(ctx, q.cross.work, func(ctx context.Context, tx store.CrossTx) error {
		due = time.Time{}
		var first sql.NullInt64
		if err := tx.QueryRow(ctx, `SELECT min(run_at) FROM jobs WHERE state = 1`).Scan(&first); err != nil {
			return fmt.Errorf("queue: look: %w", err)
		}
		if first.Valid {
			due = time.UnixMicro(first.Int64)
		}
		for _, p := range pools {
			var tenant platform.TenantID
			err := tx.QueryRow(ctx, `SELECT tenant FROM jobs WHERE state = 0 AND kind = ? LIMIT 1`, p.name).Scan((*string)(&tenant))
			if err == nil {
				due = q.cfg.Now()
				return nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("queue: look: %w", err)
			}
		}
		return nil
	}, store.ReadOnly)
	return due, err
}
