package sqldocs

import (
	"context"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// Count implements [store.Documents].
func (d *Documents) Count(ctx context.Context, tenant platform.TenantID, name string, filter document.Filter) (int64, error) {
	var n int64
	err := d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		f := &finder{tx: tx, tenant: tenant, c: c, query: &query{filter: filter}}
		n, err = f.count(ctx)
		return err
	}, store.ReadOnly)
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (f *finder) count(ctx context.Context) (n int64, err error) {
	filter := f.query.filter
	if filter.IsZero() {
		return f.one(ctx, `SELECT COUNT(*) FROM documents WHERE tenant = ? AND collection = ?`, string(f.tenant), f.c.number)
	}
	var best *plan
	for _, x := range f.c.indexes {
		p := newPlan(x, filter)
		if x.Arrays == 0 && filter.Covered(p.says) {
			return f.countKeys(ctx, p)
		}
		if (p.points > 0 || p.ranged) && better(p, best) {
			best = p
		}
	}
	if best == nil {
		err = f.everything(ctx, func(*document.Record) (bool, error) {
			n++
			return true, nil
		})
		return n, err
	}
	err = f.within(ctx, best, func(key []byte, r *document.Record) (bool, error) {
		if best.x.Arrays == 0 || best.first(r, key) {
			n++
		}
		return true, nil
	})
	return n, err
}

// says reports whether the key of a field tells all about its value.
func (p *plan) says(path string) bool {
	i := slices.IndexFunc(p.x.fields, func(s document.SortField) bool { return s.Path == path })
	return i >= 0 && (p.x.Arrays|p.x.Cut)&(1<<i) == 0
}

// first reports whether key is the first of a record's keys in the ranges, so
// that a record with several is counted once.
func (p *plan) first(r *document.Record, key []byte) bool {
	all, err := p.x.keys.Keys(r)
	if err != nil {
		return false // it could not have been stored
	}
	for _, k := range all.Keys {
		if slices.ContainsFunc(p.ranges, func(r document.Range) bool { return r.Contains(k) }) && p.passes(k) {
			return slices.Equal(k, key)
		}
	}
	return false
}

// countKeys counts without reading a document; each has one key.
func (f *finder) countKeys(ctx context.Context, p *plan) (n int64, err error) {
	if !p.checked() {
		for _, r := range p.ranges {
			some, err := f.one(ctx, `SELECT COUNT(*) FROM document_index
				WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ?`,
				string(f.tenant), p.x.Number, from(r), to(r))
			if err != nil {
				return 0, err
			}
			n += some
		}
		return n, nil
	}
	err = f.unordered(ctx, p, func(_ context.Context, got []entry) (bool, error) {
		n += int64(len(p.filter(got)))
		return true, nil
	})
	return n, err
}

func (f *finder) one(ctx context.Context, text string, args ...any) (n int64, err error) {
	if err = f.tx.QueryRow(ctx, text, args...).Scan(&n); err != nil {
		err = fmt.Errorf("sqldocs: count: %w", err)
	}
	return n, err
}
