package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// The states of a job, as in the table. Statements hold them as literals, so
// that the partial indexes apply.
const (
	stateReady     = 0
	stateScheduled = 1
)

// Enqueue adds a job in the caller's transaction and returns its id; where
// UniqueKey names an unfinished job, it adds none and returns that one's. The
// kind need not be known to this process. Errors: KindInvalid for a job that is
// not as [Job] says, KindNoTenant where the job names another tenant than the
// transaction's.
func (q *Queue) Enqueue(ctx context.Context, tx store.Tx, job Job) (string, error) {
	if job.Tenant != "" && job.Tenant != tx.Tenant() {
		return "", errOtherTenant()
	}
	return q.enqueue(ctx, tx, tx.Tenant(), job)
}

// EnqueueAcross is [Queue.Enqueue] in a transaction across tenants: Job.Tenant
// says whose job it is, [platform.NoTenant] that it is the installation's own, such
// as a mail to a person who is in no organization. The error of one that says
// nothing is of KindNoTenant.
func (q *Queue) EnqueueAcross(ctx context.Context, tx store.CrossTx, job Job) (string, error) {
	return q.enqueue(ctx, tx, job.Tenant, job)
}

// enqueueTx is what a job needs of a transaction of either kind.
type enqueueTx interface {
	store.Queries
	AfterCommit(f func())
}

func (q *Queue) enqueue(ctx context.Context, tx enqueueTx, tenant platform.TenantID, job Job) (string, error) {
	if err := tenant.ValidateScope(); err != nil {
		return "", err
	}
	if err := job.validate(); err != nil {
		return "", err
	}
	now := q.cfg.Now()
	state, runAt := stateReady, now
	if job.RunAt.After(now) {
		state, runAt = stateScheduled, job.RunAt
	}
	var unique any
	if job.UniqueKey != "" {
		unique = job.UniqueKey
	}
	id := q.cfg.NewID("job")
	for range enqueueTries {
		res, err := tx.Exec(ctx, `INSERT INTO jobs (tenant, id, kind, state, priority, run_at, unique_key, payload,
				attempt, fence, owner, lease, started, enqueued, died, cause, target)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', 0, 0, ?, 0, '', ?)
			ON CONFLICT (tenant, kind, unique_key) WHERE unique_key IS NOT NULL AND state < 3 DO NOTHING`,
			string(tenant), id, job.Kind, state, job.Priority, runAt.UnixMicro(), unique, string(job.Payload), now.UnixMicro(), job.Target)
		added, err := changed(res, err)
		if err != nil {
			return "", err
		}
		if added {
			if q.handles(job.Kind) {
				q.wakeAfter(tx)
			}
			return id, nil
		}
		first, err := q.unfinished(ctx, tx, tenant, job)
		if err != nil || first != "" {
			return first, err
		}
	}
	return "", sqltx.Again(errKeyRace)
}

// wakeAfter has the batcher look once tx is committed. The commit of a host's
// transaction is not seen: the batcher then looks at its interval, or when the host
// calls [store.Joiner.Wake].
func (q *Queue) wakeAfter(tx enqueueTx) {
	if !store.Joined(tx) {
		tx.AfterCommit(q.wake.Set)
	}
}

// enqueueTries is how often the job of a unique key may be finished between a
// look and the next before the transaction is run again.
const enqueueTries = 5

var errKeyRace = platform.Errorf(platform.KindConflict, "conflict", "jobs with the unique key come and go")

// unfinished returns the id of the job that has the unique key of job, or "" where
// it is finished by now. If no handler has it yet, none gets it before the
// transaction has committed: it will see what that has written, as if the job
// were enqueued by it.
func (q *Queue) unfinished(ctx context.Context, tx enqueueTx, tenant platform.TenantID, job Job) (id string, err error) {
	for _, text := range []string{
		q.statements.keepWaiting,
		`SELECT id FROM jobs WHERE tenant = ? AND kind = ? AND unique_key = ? AND state = 2`,
	} {
		err := tx.QueryRow(ctx, text, string(tenant), job.Kind, job.UniqueKey).Scan(&id)
		if err == nil {
			q.wakeAfter(tx) // workers may have passed over it meanwhile
			return id, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return "", fmt.Errorf("queue: enqueue: %w", err)
		}
	}
	return "", nil
}

func errOtherTenant() error {
	return platform.Errorf(platform.KindNoTenant, "wrong_tenant", "the job is of another tenant than the transaction")
}

func (j *Job) validate() error {
	var fields []platform.Field
	bad := func(path, code, detail string) {
		fields = append(fields, platform.Field{Path: path, Code: code, Detail: detail})
	}
	if j.Kind == "" || len(j.Kind) > maxKind {
		bad("/kind", "length", fmt.Sprintf("a kind has 1 to %d bytes", maxKind))
	}
	if len(j.UniqueKey) > maxUniqueKey {
		bad("/unique_key", "length", fmt.Sprintf("a unique key has at most %d bytes", maxUniqueKey))
	}
	if len(j.Target) > maxTarget {
		bad("/target", "length", fmt.Sprintf("a target has at most %d bytes", maxTarget))
	}
	switch {
	case len(j.Payload) > MaxPayload:
		bad("/payload", "length", fmt.Sprintf("a payload has at most %d bytes", MaxPayload))
	case len(j.Payload) > 0 && !json.Valid(j.Payload):
		bad("/payload", "format", "a payload is a JSON value")
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}

// Finish marks the job as done in a transaction of its handler, so that the
// handler's effect and the end of the job commit together or not at all. It
// returns [ErrLeaseLost], which the handler must pass on so that the transaction
// fails, where the job was given to another run meanwhile. The job must be the one
// that the handler was called with, and tx of the store that the queue is on.
// A handler returns nil after the commit; an error then changes nothing. Errors
// also: KindNoTenant where tx is of another tenant than the job, as it always is
// for a job of [platform.NoTenant].
func Finish(ctx context.Context, tx store.Tx, job Job) error {
	if job.run == nil {
		return errors.New("queue: Finish needs the job that the handler was given")
	}
	if tx.Tenant() != job.Tenant {
		return errOtherTenant()
	}
	done, err := settleDone(ctx, tx, job.run.key)
	if err != nil {
		return err
	}
	if !done {
		return ErrLeaseLost
	}
	if store.Joined(tx) {
		job.run.joined.Store(true)
		return nil
	}
	tx.AfterCommit(func() { job.run.finished.Store(true) })
	return nil
}

func settleDone(ctx context.Context, tx store.Queries, key jobKey) (bool, error) {
	return changed(tx.Exec(ctx, `DELETE FROM jobs WHERE tenant = ? AND id = ? AND fence = ? AND state = 2`,
		string(key.tenant), key.id, key.fence))
}

func changed(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, fmt.Errorf("queue: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("queue: %w", err)
	}
	return n > 0, nil
}
