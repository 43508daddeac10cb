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

// room is how many more jobs may run: a copy that a transaction can use up
// without changing the queue.
type room struct {
	total   int
	tenants map[platform.TenantID]int // what is left of TenantWorkers
	limit   int                       // TenantWorkers
}

func (r *room) of(t platform.TenantID) int {
	if left, ok := r.tenants[t]; ok {
		return left
	}
	return r.limit
}

func (r *room) use(t platform.TenantID, n int) {
	r.total -= n
	r.tenants[t] = r.of(t) - n
}

// kindRoom is the room of one kind.
type kindRoom struct {
	*kind
	room
}

// rooms returns what is free, and nothing once the queue stops.
func (q *Queue) rooms() (*room, []*kindRoom) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := &room{total: q.cfg.Workers, limit: q.cfg.TenantWorkers, tenants: make(map[platform.TenantID]int)}
	for t, n := range q.tenants {
		all.use(t, n)
	}
	if q.stopping {
		all.total = 0
	}
	var kinds []*kindRoom
	for _, k := range q.kinds {
		kr := &kindRoom{kind: k, room: room{
			total: k.options.Concurrency, limit: k.options.TenantConcurrency, tenants: make(map[platform.TenantID]int),
		}}
		for t, n := range k.tenants {
			kr.use(t, n)
		}
		if kr.total > 0 {
			kinds = append(kinds, kr)
		}
	}
	return all, kinds
}

// claim takes ready jobs for the places that are free: an even share for each
// kind first, then what is left to whoever has more.
func (q *Queue) claim(ctx context.Context, tx store.Tx) (claimed []*run, err error) {
	all, kinds := q.rooms()
	// The kind after the one that was served last comes first, or a queue in
	// which one place at a time gets free would serve only one kind.
	if i := slices.IndexFunc(kinds, func(k *kindRoom) bool { return k.name == q.lastKind }); i >= 0 {
		kinds = slices.Concat(kinds[i+1:], kinds[:i+1])
	}
	for round := 0; all.total > 0 && len(kinds) > 0; round++ {
		share := all.total
		if round == 0 {
			share = (all.total + len(kinds) - 1) / len(kinds)
		}
		var more []*kindRoom
		for _, k := range kinds {
			want := min(share, all.total, k.total)
			got, err := q.claimKind(ctx, tx, all, k, want)
			if err != nil {
				return nil, err
			}
			if len(got) > 0 {
				claimed = append(claimed, got...)
				q.lastKind = k.name
			}
			if len(got) == want && k.total > 0 {
				more = append(more, k)
			}
		}
		if round > 0 {
			break
		}
		kinds = more
	}
	return claimed, nil
}

// claimKind takes at most want jobs of one kind, from one tenant after the
// other, beginning after the one that was served last.
func (q *Queue) claimKind(ctx context.Context, tx store.Tx, all *room, k *kindRoom, want int) (claimed []*run, err error) {
	if want <= 0 {
		return nil, nil
	}
	tenants, err := q.tenantsWithReady(ctx, tx, k.name, k.cursor, want+len(all.tenants))
	if err != nil {
		return nil, err
	}
	tenants = slices.DeleteFunc(tenants, func(t platform.TenantID) bool { return all.of(t) <= 0 || k.of(t) <= 0 })
	for len(tenants) > 0 && want > 0 {
		share := max(1, want/len(tenants))
		var more []platform.TenantID
		for _, t := range tenants {
			n := min(share, want, all.of(t), k.of(t))
			if n <= 0 {
				continue
			}
			got, err := q.claimTenant(ctx, tx, k.kind, t, n)
			if err != nil {
				return nil, err
			}
			all.use(t, len(got))
			k.use(t, len(got))
			want -= len(got)
			claimed = append(claimed, got...)
			k.cursor = t
			if len(got) == n {
				more = append(more, t)
			}
		}
		tenants = more
	}
	return claimed, nil
}

// tenantsWithReady returns at most limit tenants that have ready jobs of the
// kind, in the order of their ids from the one after cursor on, and round. It
// costs one seek in the index for each (a "loose index scan"), however many
// jobs they have.
func (q *Queue) tenantsWithReady(ctx context.Context, tx store.Tx, kind string, cursor platform.TenantID, limit int) ([]platform.TenantID, error) {
	var tenants []platform.TenantID
	for _, after := range []platform.TenantID{cursor, ""} {
		found, err := tenantsAfter(ctx, tx, kind, after, limit-len(tenants))
		if err != nil {
			return nil, fmt.Errorf("queue: claim: %w", err)
		}
		if after == "" && cursor != "" { // the rest was in the first half
			found = slices.DeleteFunc(found, func(t platform.TenantID) bool { return t > cursor })
		}
		tenants = append(tenants, found...)
		if cursor == "" || len(tenants) >= limit {
			break
		}
	}
	return tenants, nil
}

func tenantsAfter(ctx context.Context, tx store.Tx, kind string, after platform.TenantID, limit int) (tenants []platform.TenantID, err error) {
	rows, err := tx.Query(ctx, `WITH RECURSIVE next (tenant) AS (
			SELECT (SELECT min(tenant) FROM jobs WHERE state = 0 AND kind = ? AND tenant > ?)
			UNION ALL
			SELECT (SELECT min(tenant) FROM jobs WHERE state = 0 AND kind = ? AND tenant > next.tenant) FROM next WHERE next.tenant IS NOT NULL
		) SELECT tenant FROM next WHERE tenant IS NOT NULL LIMIT ?`, kind, string(after), kind, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t platform.TenantID
		if err := rows.Scan((*string)(&t)); err != nil {
			return nil, err
		}
		tenants = append(tenants, t)
	}
	return tenants, rows.Err()
}

// claimTenant takes at most n jobs of one kind and tenant, the most urgent
// first. Those that have used up their attempts, because a process died in each,
// are set aside instead of returned.
func (q *Queue) claimTenant(ctx context.Context, tx store.Tx, k *kind, tenant platform.TenantID, n int) ([]*run, error) {
	now := q.cfg.Now()
	rows, err := tx.Query(ctx, q.statements.claim, k.name, string(tenant), n,
		q.owner, now.Add(q.cfg.Lease).UnixMicro(), now.UnixMicro(), string(tenant))
	if err != nil {
		return nil, fmt.Errorf("queue: claim: %w", err)
	}
	defer rows.Close()
	var runs []*run
	for rows.Next() {
		var (
			job             = Job{Kind: k.name, Tenant: tenant}
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
		r := &run{key: jobKey{tenant, job.ID, fence}, kind: k}
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
