package queue

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// waiting is a tenant that has ready jobs of a kind.
type waiting struct {
	tenant      platform.TenantID
	standing    standing
	first, last string // of their targets; "" is none
	failing     bool   // the first fails
}

// turn is one round through the tenants in the order of their ids, from the one
// after the tenant that was served last.
type turn struct {
	from, at platform.TenantID
	wrapped  bool // begun again with the first
	over     bool
}

// nextTenants returns the next tenants of a turn that may have a worker, at most
// as many as there are workers; none is the end of the turn. It passes over those
// that are suspended or whose share has no more, and notes those of whom that is
// not known.
func (q *Queue) nextTenants(ctx context.Context, tx store.Queries, p *pool, turn *turn) (found []*waiting, err error) {
	now, most, unknown := q.cfg.Now(), p.free(), 0
	for !turn.over && len(found) < most && unknown < most {
		limit := most - len(found)
		next, err := tenantsAfter(ctx, tx, p.name, turn.at, limit)
		if err != nil {
			return nil, fmt.Errorf("queue: claim: %w", err)
		}
		for _, w := range next {
			if turn.at = w.tenant; turn.wrapped && w.tenant > turn.from {
				turn.over = true
				break
			}
			st, known, ask := q.standings.of(w.tenant, now)
			if ask {
				p.ask = append(p.ask, w.tenant)
			}
			if !known {
				unknown++
			}
			if w.standing = st; known && !st.waits && p.freeFor(st) > 0 {
				found = append(found, w)
			}
		}
		if len(next) == limit || turn.over {
			continue
		}
		if turn.wrapped || turn.from == "" {
			turn.over = true
		}
		turn.wrapped, turn.at = true, ""
	}
	return found, nil
}

// tenantsAfter returns at most limit tenants that have ready jobs of the kind, in
// the order of their ids. It costs a few seeks in the index for each (a "loose
// index scan"), however many jobs they have.
func tenantsAfter(ctx context.Context, tx store.Queries, kind string, after platform.TenantID, limit int) (tenants []*waiting, err error) {
	rows, err := tx.Query(ctx, `WITH RECURSIVE next (tenant) AS (
			SELECT (SELECT min(tenant) FROM jobs WHERE state = 0 AND kind = ? AND tenant > ?)
			UNION ALL
			SELECT (SELECT min(tenant) FROM jobs WHERE state = 0 AND kind = ? AND tenant > next.tenant) FROM next WHERE next.tenant IS NOT NULL
		), found AS (
			SELECT tenant,
				coalesce((SELECT min(target) FROM jobs WHERE state = 0 AND kind = ? AND tenant = next.tenant), '') AS first,
				coalesce((SELECT max(target) FROM jobs WHERE state = 0 AND kind = ? AND tenant = next.tenant), '') AS last
			FROM next WHERE tenant IS NOT NULL LIMIT ?
		) SELECT tenant, first, last,
			EXISTS (SELECT 1 FROM job_failing_targets f WHERE f.tenant = found.tenant AND f.kind = ? AND f.target = found.first)
		FROM found`, kind, string(after), kind, kind, kind, limit, kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w waiting
		if err := rows.Scan((*string)(&w.tenant), &w.first, &w.last, &w.failing); err != nil {
			return nil, err
		}
		tenants = append(tenants, &w)
	}
	return tenants, rows.Err()
}
