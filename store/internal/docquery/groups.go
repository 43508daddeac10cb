package docquery

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/acme/platform/store/document"
)

// byGroups puts the entries of each group in the order of ids and drops
// doubles, which stand in the same group.
func (p *plan) byGroups(all []Entry) []Entry {
	out := all[:0:0]
	for len(all) > 0 {
		prefix := p.prefix(all[0].Key)
		n := 1
		for n < len(all) && bytes.HasPrefix(all[n].Key, prefix) {
			n++
		}
		group := all[:n]
		all = all[n:]
		slices.SortFunc(group, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
		out = append(out, slices.CompactFunc(group, func(a, b Entry) bool { return a.ID == b.ID })...)
	}
	return out
}

// wholeGroup shows the entries of one group, as far as they lie in r, in the
// order of ids and from those after an id on. The group may be large.
func (f *Finder) wholeGroup(ctx context.Context, p *plan, group, r document.Range, after string, see visit) (bool, error) {
	if p.group == len(p.x.Fields) { // one key, so the ids are in order
		return f.stream(ctx, p, Span{After: Place{group.From, after}, To: To(group)}, f.Query.limit+1, see)
	}
	if bytes.Compare(From(r), group.From) > 0 {
		group.From = r.From
	}
	if bytes.Compare(To(r), To(group)) < 0 {
		group.To = r.To
	}
	for {
		next := &leastIDs{after: after, limit: max(2*f.Query.limit, 500)}
		_, err := f.stream(ctx, p, spanOf(group, false), maxChunk, next.see(p))
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
		after = next.ids[len(next.ids)-1].ID
	}
}

// leastIDs keeps the least ids after one, so that a group takes bounded memory
// however large it is.
type leastIDs struct {
	after string
	limit int
	ids   []Entry // in order, each id once
}

func (l *leastIDs) see(p *plan) visit {
	return func(_ context.Context, got []Entry) (bool, error) {
		for _, e := range got {
			if e.ID <= l.after || len(l.ids) == l.limit && e.ID >= l.ids[l.limit-1].ID || !p.passes(e.Key) {
				continue
			}
			i, there := slices.BinarySearchFunc(l.ids, e.ID, func(x Entry, id string) int { return cmp.Compare(x.ID, id) })
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

// show makes a visit of entries one of the records that meet the filter. Only
// the first part of a key need be the record's where part is set: of several
// entries in one place, only one is shown, perhaps a stale one.
func (f *Finder) show(p *plan, part bool, see func(Entry, *document.Record) (bool, error)) visit {
	return func(ctx context.Context, got []Entry) (bool, error) {
		got = p.filter(got)
		return FetchEach(ctx, f.Source, got, f.Lot, func(e Entry, r *document.Record) (bool, error) {
			if !f.Query.filter.MatchRecord(r) || f.Stale && !p.has(r, e.Key, part) {
				return true, nil
			}
			return see(e, r)
		})
	}
}

// has reports whether a record has a key, or with part one in the same place.
func (p *plan) has(r *document.Record, key []byte, part bool) bool {
	all, err := p.x.Keys.Keys(r)
	if err != nil {
		return false // it could not have been stored
	}
	if !part {
		return slices.ContainsFunc(all.Keys, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	prefix := p.prefix(key)
	return slices.ContainsFunc(all.Keys, func(k []byte) bool { return bytes.HasPrefix(k, prefix) })
}

// filter drops entries that the checks do not let through.
func (p *plan) filter(got []Entry) []Entry {
	if !p.checked() {
		return got
	}
	return slices.DeleteFunc(got, func(e Entry) bool { return !p.passes(e.Key) })
}

// within shows the records of the entries in the ranges of p, each with its
// key. A record may come more than once where a field has many values.
func (f *Finder) within(ctx context.Context, p *plan, see SeeEntry) error {
	if p.checked() {
		return f.unordered(ctx, p, f.show(p, false, func(e Entry, r *document.Record) (bool, error) { return see(e.Key, r) }))
	}
	for _, r := range p.ranges {
		if err := f.Source.Join(ctx, p.place, spanOf(r, false), f.Query.filter, see); err != nil {
			return err
		}
	}
	return nil
}
