package queue

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// claim takes ready jobs for the workers that are free. It returns them, and the
// tenants whose standing is to be asked for.
func (q *Queue) claim(ctx context.Context, tx store.Queries) (claimed []*run, ask []platform.TenantID, err error) {
	for _, p := range q.pools() {
		runs, err := q.claimKind(ctx, tx, p)
		if err != nil {
			return nil, nil, err
		}
		claimed, ask = append(claimed, runs...), append(ask, p.ask...)
	}
	return claimed, ask, nil
}

// claimKind takes jobs of one kind, from one tenant after the other, beginning
// after the one that was served last.
func (q *Queue) claimKind(ctx context.Context, tx store.Queries, p *pool) (claimed []*run, err error) {
	turn := turn{from: p.cursor, at: p.cursor}
	for p.free() > 0 && !turn.over {
		tenants, err := q.nextTenants(ctx, tx, p, &turn)
		if err != nil || len(tenants) == 0 {
			return claimed, err
		}
		for len(tenants) > 0 && p.free() > 0 {
			each := max(1, p.free()/len(tenants))
			var more []*waiting
			for _, w := range tenants {
				n := min(each, p.freeFor(w.standing))
				if n <= 0 {
					continue
				}
				got, err := q.claimTenant(ctx, tx, p, w, n)
				if err != nil {
					return nil, err
				}
				if len(got) > 0 {
					claimed = append(claimed, got...)
					p.cursor = w.tenant
				}
				if len(got) == n {
					more = append(more, w)
				}
			}
			tenants = more
		}
	}
	return claimed, nil
}

// claimTenant takes at most n jobs of a tenant. Its targets take turns.
func (q *Queue) claimTenant(ctx context.Context, tx store.Queries, p *pool, w *waiting, n int) (claimed []*run, err error) {
	targets, err := targetsOf(ctx, tx, p.name, w)
	if err != nil {
		return nil, err
	}
	if len(targets) > 1 {
		i := p.turns % len(targets)
		p.turns++
		targets = slices.Concat(targets[i:], targets[:i])
	}
	for len(targets) > 0 && n > 0 {
		each := max(1, n/len(targets))
		var more []target
		for _, t := range targets {
			want := min(each, n, p.freeForTarget(w.tenant, t))
			if want <= 0 {
				continue
			}
			if t.failing {
				free, err := q.mayProbe(ctx, tx, p.name, targetKey{w.tenant, t.name})
				if err != nil {
					return nil, err
				}
				if !free {
					continue
				}
			}
			got, err := q.claimTarget(ctx, tx, p.kind, w, t, want)
			if err != nil {
				return nil, err
			}
			for _, r := range got {
				p.add(r, 1)
			}
			n -= len(got)
			claimed = append(claimed, got...)
			if len(got) == want && !t.failing {
				more = append(more, t)
			}
		}
		targets = more
	}
	return claimed, nil
}

// claimTarget takes at most n jobs of one kind, tenant and target, the most urgent
// first. Those that have used up their attempts, because a process died in each,
// become dead jobs and are not returned.
func (q *Queue) claimTarget(ctx context.Context, tx store.Queries, k *kind, w *waiting, t target, n int) ([]*run, error) {
	now, tenant := q.cfg.Now(), w.tenant
	rows, err := tx.Query(ctx, q.statements.claim, k.name, string(tenant), t.name, n,
		q.owner, now.Add(q.cfg.Lease).UnixMicro(), now.UnixMicro(), string(tenant))
	if err != nil {
		return nil, fmt.Errorf("queue: claim: %w", err)
	}
	defer rows.Close()
	var runs []*run
	for rows.Next() {
		var (
			job             = Job{Kind: k.name, Tenant: tenant, Target: t.name}
			fence           int64
			payload         []byte
			runAt, enqueued int64
			unique          sql.NullString
		)
		if err := rows.Scan(&job.ID, &fence, &payload, &runAt, &unique, &job.Priority, &job.Attempt, &enqueued); err != nil {
			return nil, fmt.Errorf("queue: claim: %w", err)
		}
		if len(payload) > 0 {
			job.Payload = json.RawMessage(payload)
		}
		job.UniqueKey = unique.String
		job.RunAt, job.EnqueuedAt = time.UnixMicro(runAt).UTC(), time.UnixMicro(enqueued).UTC()
		r := &run{key: jobKey{tenant, job.ID, fence}, kind: k, share: w.standing.limits.Share, probe: t.failing}
		job.run = r
		r.job = job
		runs = append(runs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("queue: claim: %w", err)
	}
	// RETURNING promises no order.
	slices.SortFunc(runs, func(a, b *run) int {
		return cmp.Or(-cmp.Compare(a.job.Priority, b.job.Priority), a.job.RunAt.Compare(b.job.RunAt), cmp.Compare(a.job.ID, b.job.ID))
	})
	var usable []*run
	for _, r := range runs {
		if r.job.Attempt <= k.options.MaxAttempts {
			usable = append(usable, r)
			continue
		}
		if _, err := q.settleOne(ctx, tx, result{run: r, outcome: outcomeDead, cause: "queue: the process ended in the last attempt"}); err != nil {
			return nil, err
		}
		q.log.ErrorContext(ctx, "job is dead: processes end while it runs", r.attr())
	}
	return usable, nil
}
