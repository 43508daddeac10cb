package docquery

import (
	"context"
	"slices"

	"github.com/acme/platform/store/document"
)

// Count returns how many records meet the filter, which is not the zero value:
// a source knows better ways for that.
func (f *Finder) Count(ctx context.Context) (n int64, err error) {
	filter := f.Query.filter
	var best *plan
	for i := range f.Indexes {
		x := &f.Indexes[i]
		p := newPlan(x, i, filter)
		if !f.Stale && x.Arrays == 0 && filter.Covered(p.says) {
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
	i := slices.IndexFunc(p.x.Fields, func(s document.SortField) bool { return s.Path == path })
	return i >= 0 && (p.x.Arrays|p.x.Cut)&(1<<i) == 0
}

// first reports whether key is the first of a record's keys in the ranges, so
// that a record with several is counted once.
func (p *plan) first(r *document.Record, key []byte) bool {
	all, err := p.x.Keys.Keys(r)
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

// countKeys counts without reading a record; each has one key.
func (f *Finder) countKeys(ctx context.Context, p *plan) (n int64, err error) {
	if !p.checked() {
		for _, r := range p.ranges {
			some, err := f.Source.CountEntries(ctx, p.place, r, 0)
			if err != nil {
				return 0, err
			}
			n += some
		}
		return n, nil
	}
	err = f.unordered(ctx, p, func(_ context.Context, got []Entry) (bool, error) {
		n += int64(len(p.filter(got)))
		return true, nil
	})
	return n, err
}
