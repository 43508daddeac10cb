package sqldocs

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/acme/platform/store/document"
)

// byGroups puts the entries of each group in the order of ids and drops
// doubles, which stand in the same group.
func (p *plan) byGroups(all []entry) []entry {
	out := all[:0:0]
	for len(all) > 0 {
		prefix := p.prefix(all[0].key)
		n := 1
		for n < len(all) && bytes.HasPrefix(all[n].key, prefix) {
			n++
		}
		group := all[:n]
		all = all[n:]
		slices.SortFunc(group, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
		out = append(out, slices.CompactFunc(group, func(a, b entry) bool { return a.id == b.id })...)
	}
	return out
}

// wholeGroup shows the entries of one group, as far as they lie in r, in the
// order of ids and from those after an id on. The group may be large.
func (f *finder) wholeGroup(ctx context.Context, p *plan, group, r document.Range, after string, see visit) (bool, error) {
	if p.group == len(p.x.fields) { // one key, so the ids are in order
		return f.stream(ctx, p.x, place{group.From, after}, to(group), f.query.limit+1, see)
	}
	if bytes.Compare(from(r), group.From) > 0 {
		group.From = r.From
	}
	if bytes.Compare(to(r), to(group)) < 0 {
		group.To = r.To
	}
	for {
		next := &leastIDs{after: after, limit: max(2*f.query.limit, 500)}
		_, err := f.stream(ctx, p.x, place{key: from(group)}, to(group), maxChunk, next.see(p))
		if err != nil {
			return false, err
		}
		if len(next.ids) == 0 {
			return true, nil
		}
		if more, err := see(ctx, next.ids); err != nil || !more {
			return false, err
		}
		if len(next.ids) < next.limit {
			return true, nil
		}
		after = next.ids[len(next.ids)-1].id
	}
}

// leastIDs keeps the least ids after one, so that a group takes bounded memory
// however large it is.
type leastIDs struct {
	after string
	limit int
	ids   []entry // in order, each id once
}

func (l *leastIDs) see(p *plan) visit {
	return func(_ context.Context, got []entry) (bool, error) {
		for _, e := range got {
			if e.id <= l.after || len(l.ids) == l.limit && e.id >= l.ids[l.limit-1].id || !p.passes(e.key) {
				continue
			}
			i, there := slices.BinarySearchFunc(l.ids, e.id, func(x entry, id string) int { return cmp.Compare(x.id, id) })
			if there {
				continue
			}
			l.ids = slices.Insert(l.ids, i, e)
			if len(l.ids) > l.limit {
				l.ids = l.ids[:l.limit]
			}
		}
		return true, nil
	}
}

// lot is how many documents are fetched at once.
const lot = 32

// show makes a visit of entries one of the records that meet the filter.
func (f *finder) show(p *plan, see func(entry, *document.Record) (bool, error)) visit {
	return func(ctx context.Context, got []entry) (bool, error) {
		got = p.filter(got)
		for piece := range slices.Chunk(got, lot) {
			seqs := make([]int64, len(piece))
			for i, e := range piece {
				seqs[i] = e.seq
			}
			rows, err := fetchBySeq(ctx, f.tx, f.tenant, f.c.number, seqs)
			if err != nil {
				return false, err
			}
			for _, e := range piece {
				r, ok := rows[e.seq]
				if !ok || !f.query.filter.MatchRecord(&r.Record) {
					continue
				}
				if more, err := see(e, &r.Record); err != nil || !more {
					return false, err
				}
			}
		}
		return true, nil
	}
}

// filter drops entries that the checks do not let through.
func (p *plan) filter(got []entry) []entry {
	if !p.checked() {
		return got
	}
	return slices.DeleteFunc(got, func(e entry) bool { return !p.passes(e.key) })
}

// within shows the records of the entries in the ranges of p, each with its
// key. A record may come more than once where a field has many values.
func (f *finder) within(ctx context.Context, p *plan, see func(key []byte, r *document.Record) (bool, error)) error {
	if p.checked() {
		return f.unordered(ctx, p, f.show(p, func(e entry, r *document.Record) (bool, error) { return see(e.key, r) }))
	}
	for _, r := range p.ranges {
		rows, err := f.tx.Query(ctx, joinForward,
			string(f.tenant), p.x.Number, from(r), "", to(r), f.c.number)
		if err = f.joined(ctx, rows, err, see); err != nil {
			return err
		}
	}
	return nil
}
