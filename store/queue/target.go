package queue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/acme/platform/store"
)

// target is what jobs of a tenant and kind work on.
type target struct {
	name    string
	failing bool
}

// TargetFailed has jobs of the transaction's tenant with this kind and target
// run one at a time, in all processes, until [Queue.TargetRecovered]. Handlers
// call it when an attempt shows that what the jobs need does not work: the one
// job that runs is the probe, and the others wait without a worker and without
// using up an attempt. It may be called again and again.
func (q *Queue) TargetFailed(ctx context.Context, tx store.Tx, kindName, target string) error {
	_, err := tx.Exec(ctx, `INSERT INTO job_failing_targets (tenant, kind, target, since) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant, kind, target) DO NOTHING`, string(tx.Tenant()), kindName, target, q.cfg.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("queue: target failed: %w", err)
	}
	return nil
}

// TargetRecovered ends what [Queue.TargetFailed] began.
func (q *Queue) TargetRecovered(ctx context.Context, tx store.Tx, kindName, target string) error {
	removed, err := changed(tx.Exec(ctx, `DELETE FROM job_failing_targets WHERE tenant = ? AND kind = ? AND target = ?`,
		string(tx.Tenant()), kindName, target))
	if err != nil {
		return err
	}
	if removed && q.handles(kindName) {
		q.wakeAfter(tx)
	}
	return nil
}

// targetsOf returns the targets that have ready jobs of the kind and tenant, by
// one seek for each.
func targetsOf(ctx context.Context, tx store.Queries, kind string, w *waiting) ([]target, error) {
	if w.first == w.last {
		return []target{{name: w.first, failing: w.failing}}, nil
	}
	rows, err := tx.Query(ctx, `WITH RECURSIVE next (target) AS (
			SELECT (SELECT min(target) FROM jobs WHERE state = 0 AND kind = ? AND tenant = ?)
			UNION ALL
			SELECT (SELECT min(target) FROM jobs WHERE state = 0 AND kind = ? AND tenant = ? AND target > next.target)
			FROM next WHERE next.target IS NOT NULL
		) SELECT next.target, EXISTS (SELECT 1 FROM job_failing_targets f WHERE f.tenant = ? AND f.kind = ? AND f.target = next.target)
		FROM next WHERE next.target IS NOT NULL`,
		kind, string(w.tenant), kind, string(w.tenant), string(w.tenant), kind)
	if err != nil {
		return nil, fmt.Errorf("queue: targets: %w", err)
	}
	defer rows.Close()
	var targets []target
	for rows.Next() {
		var t target
		if err := rows.Scan(&t.name, &t.failing); err != nil {
			return nil, fmt.Errorf("queue: targets: %w", err)
		}
		targets = append(targets, t)
	}
	return targets, rows.Err()
}

// mayProbe reports whether no job of a failing target runs, in whatever process,
// and keeps others from beginning one until the transaction ends.
func (q *Queue) mayProbe(ctx context.Context, tx store.Queries, kind string, key targetKey) (bool, error) {
	var one int
	err := tx.QueryRow(ctx, q.statements.lockTarget, string(key.tenant), kind, key.target).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // recovered, or another process is about to probe it
	}
	if err == nil {
		// After the lock: what the one who had it before has begun is seen.
		err = tx.QueryRow(ctx, `SELECT 1 FROM jobs WHERE state = 2 AND target <> '' AND tenant = ? AND kind = ? AND target = ? LIMIT 1`,
			string(key.tenant), kind, key.target).Scan(&one)
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("queue: probe: %w", err)
	}
	return false, nil
}
