package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// DeadJob is a job that failed for good: a dead letter.
type DeadJob struct {
	Job
	// DiedAt is when its last attempt failed.
	DiedAt time.Time
	// Cause is the text of the last error, at most 2,000 bytes. It is for
	// operators: it may name addresses and other internals.
	Cause string
}

// DeadQuery asks for dead jobs. The zero value asks for the newest 100.
type DeadQuery struct {
	// Kind, where it is not empty, selects one kind.
	Kind string
	// Limit is the most jobs, up to 1,000; zero is 100.
	Limit int
	// After continues after the last job of an earlier answer.
	After *DeadJob
}

// Dead returns the tenant's dead jobs, the newest first; of [platform.NoTenant] those
// of the installation itself.
func (q *Queue) Dead(ctx context.Context, tenant platform.TenantID, query DeadQuery) ([]DeadJob, error) {
	limit := min(query.Limit, 1000)
	if limit <= 0 {
		limit = 100
	}
	var jobs []DeadJob
	err := q.inScope(ctx, tenant, func(ctx context.Context, tx enqueueTx) error {
		jobs = nil
		sel := tx.NewSelect().Table("jobs").
			Column("id", "kind", "payload", "priority", "attempt", "run_at", "enqueued", "died", "cause", "target").
			ColumnExpr("coalesce(unique_key, '')").
			Where("tenant = ?", string(tenant)).Where("state = 3").
			OrderExpr("died DESC, id DESC").Limit(int64(limit))
		if query.Kind != "" {
			sel = sel.Where("kind = ?", query.Kind)
		}
		if query.After != nil {
			sel = sel.Where("(died, id) < (?, ?)", query.After.DiedAt.UnixMicro(), query.After.ID)
		}
		rows, err := sel.Rows(ctx)
		if err != nil {
			return fmt.Errorf("queue: dead jobs: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var (
				j                     = DeadJob{Job: Job{Tenant: tenant}}
				payload               []byte
				runAt, enqueued, died int64
			)
			if err := rows.Scan(&j.ID, &j.Kind, &payload, &j.Priority, &j.Attempt, &runAt, &enqueued, &died, &j.Cause, &j.Target, &j.UniqueKey); err != nil {
				return fmt.Errorf("queue: dead jobs: %w", err)
			}
			if len(payload) > 0 {
				j.Payload = json.RawMessage(payload)
			}
			j.RunAt, j.EnqueuedAt, j.DiedAt = time.UnixMicro(runAt).UTC(), time.UnixMicro(enqueued).UTC(), time.UnixMicro(died).UTC()
			jobs = append(jobs, j)
		}
		return rows.Err()
	}, store.ReadOnly)
	return jobs, err
}

// Retry makes a dead job ready again, with all its attempts. Errors: KindNotFound
// where the tenant has no dead job of that id; KindConflict "unique_key" where an
// unfinished job has taken its unique key.
func (q *Queue) Retry(ctx context.Context, tenant platform.TenantID, id string) error {
	return q.inScope(ctx, tenant, func(ctx context.Context, tx enqueueTx) error {
		var taken int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM jobs AS dead JOIN jobs AS live
				ON live.tenant = dead.tenant AND live.kind = dead.kind AND live.unique_key = dead.unique_key AND live.state < 3
			WHERE dead.tenant = ? AND dead.id = ? AND dead.state = 3`, string(tenant), id).Scan(&taken); err != nil {
			return fmt.Errorf("queue: retry: %w", err)
		}
		if taken > 0 {
			return platform.Errorf(platform.KindConflict, "unique_key", "a job with the same unique key is not finished yet")
		}
		found, err := changed(tx.Exec(ctx, `UPDATE jobs SET state = 0, attempt = 0, died = 0, run_at = ?
			WHERE tenant = ? AND id = ? AND state = 3`, q.cfg.Now().UnixMicro(), string(tenant), id))
		if err != nil {
			return retryRace(err)
		}
		if !found {
			return platform.NotFound("dead job")
		}
		q.wakeAfter(tx)
		return nil
	})
}

// inScope runs fn in a transaction of the tenant, or in one across tenants for the
// jobs of none.
func (q *Queue) inScope(ctx context.Context, tenant platform.TenantID, fn func(context.Context, enqueueTx) error, opts ...store.TxOption) error {
	if tenant == platform.NoTenant {
		return q.cfg.DB.AcrossTenants(ctx, q.cross.own, func(ctx context.Context, tx store.CrossTx) error { return fn(ctx, tx) }, opts...)
	}
	return q.cfg.DB.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error { return fn(ctx, tx) }, opts...)
}

// retryRace has a retry begin again that another job with the unique key came
// between.
func retryRace(err error) error {
	var code interface{ SQLState() string }
	if errors.As(err, &code) && code.SQLState() == "23505" { // unique_violation
		return sqltx.Again(err)
	}
	return err
}

// trimLoop removes dead jobs that are older than the retention, once an hour.
func (q *Queue) trimLoop(ctx context.Context) {
	background.Sweep(ctx, time.Hour, func(ctx context.Context) bool {
		n, err := q.trim(ctx)
		if err != nil && ctx.Err() == nil {
			q.log.WarnContext(ctx, "old dead jobs are not removed", slog.Any("error", err))
		}
		return err == nil && n == sweepBatch
	})
}

// trim removes at most sweepBatch jobs and returns how many. With an error, n
// means nothing.
func (q *Queue) trim(ctx context.Context) (n int64, err error) {
	err = q.cfg.DB.AcrossTenants(ctx, q.cross.trim, func(ctx context.Context, tx store.CrossTx) error {
		res, err := tx.Exec(ctx, `DELETE FROM jobs WHERE state = 3 AND (tenant, id) IN (
			SELECT tenant, id FROM jobs WHERE state = 3 AND died < ? LIMIT ?)`,
			q.cfg.Now().Add(-q.cfg.DeadRetention).UnixMicro(), sweepBatch)
		if err != nil {
			return fmt.Errorf("queue: trim: %w", err)
		}
		n, err = res.RowsAffected()
		return err
	}, store.Reserved)
	return n, err
}
