package docquery

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/acme/platform/store/document"
)

// ordered shows the records of a sorted plan in the order of the query, from
// the cursor on.
func (f *Finder) ordered(ctx context.Context, p *plan, see See) error {
	var start *Place // of the cursor, in terms of the index
	if f.Query.after != nil {
		start = &Place{Key: p.prefixOf(f.Query.sort, f.Query.afterKeys), ID: f.Query.after.ID}
	}
	show := f.show(p, true, func(_ Entry, r *document.Record) (bool, error) { return see(r) })
	for i := range p.ranges {
		r := p.ranges[i]
		if p.backward {
			r = p.ranges[len(p.ranges)-1-i]
		}
		var more bool
		var err error
		if p.exact() {
			more, err = f.orderedExact(ctx, p, r, start, see, show)
		} else {
			more, err = f.orderedGroups(ctx, p, r, start, see, show)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// orderedExact is for keys that are in order as they stand.
func (f *Finder) orderedExact(ctx context.Context, p *plan, r document.Range, start *Place, see See, show visit) (bool, error) {
	s := spanOf(r, false)
	if start != nil && start.Compare(s.After) > 0 {
		s.After = *start
		if bytes.Compare(s.After.Key, s.To) >= 0 {
			return true, nil
		}
	}
	if p.checked() {
		return f.stream(ctx, p, s, f.Query.limit+1, show)
	}
	more := true
	s.Keyless = true
	err := f.Source.Join(ctx, p.place, s, f.Query.filter, func(_ []byte, r *document.Record) (bool, error) {
		var err error
		more, err = see(r)
		return more, err
	})
	return more, err
}

// orderedGroups is for keys whose order is not the query's within a group: it
// reads backward, or fields follow that the query does not sort by. Each group
// is put in the order of ids.
func (f *Finder) orderedGroups(ctx context.Context, p *plan, r document.Range, start *Place, see See, show visit) (bool, error) {
	if start != nil {
		group := document.Range{From: start.Key, To: document.Successor(start.Key)}
		if overlap(group, r) {
			if more, err := f.wholeGroup(ctx, p, group, r, start.ID, show); err != nil || !more {
				return false, err
			}
		}
		r = rest(r, group, p.backward)
	}
	read := f.joinGroups
	if p.checked() {
		read = f.keyGroups
	}
	for chunk := f.Query.limit + 1; bytes.Compare(From(r), To(r)) < 0; chunk = min(2*chunk, maxChunk) {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("documents: %w", err)
		}
		var large []byte
		var more bool
		var err error
		r, large, more, err = read(ctx, p, r, chunk, see, show)
		if err != nil || !more {
			return false, err
		}
		if large == nil {
			continue
		}
		group := document.Range{From: large, To: document.Successor(large)}
		if more, err = f.wholeGroup(ctx, p, group, r, "", show); err != nil || !more {
			return false, err
		}
		r = rest(r, group, p.backward)
	}
	return true, nil
}

// largeGroup is how many records of a group, with up to [FetchBytes] of data,
// are put in order in memory.
const largeGroup = 64

// joinGroups shows the groups of r until one is too large, which it returns
// with what is left of r.
func (f *Finder) joinGroups(ctx context.Context, p *plan, r document.Range, _ int, see See, _ visit) (left document.Range, large []byte, more bool, err error) {
	var prefix []byte
	var group []document.Record
	size := 0
	more = true
	flush := func() error {
		slices.SortFunc(group, func(a, b document.Record) int { return cmp.Compare(a.ID, b.ID) })
		for i := range group {
			if i > 0 && group[i].ID == group[i-1].ID {
				continue
			}
			var err error
			if more, err = see(&group[i]); err != nil || !more {
				return err
			}
		}
		clear(group)
		group, size = group[:0], 0
		return nil
	}
	err = f.Source.Join(ctx, p.place, spanOf(r, p.backward), f.Query.filter, func(key []byte, doc *document.Record) (bool, error) {
		if len(group) == 0 || !bytes.HasPrefix(key, prefix) {
			if err := flush(); err != nil || !more {
				return false, err
			}
			prefix = append(prefix[:0], p.prefix(key)...)
		}
		if size += len(doc.Data); len(group) == largeGroup || len(group) > 0 && size > FetchBytes {
			large = prefix
			return false, nil
		}
		doc.Data = bytes.Clone(doc.Data)
		group = append(group, *doc)
		return true, nil
	})
	switch {
	case err != nil || !more:
		return r, nil, false, err
	case large != nil:
		return r, large, true, nil
	}
	err = flush()
	return document.Range{From: AfterAll}, nil, more, err
}

// keyGroups is joinGroups for plans with checks: it reads the keys alone, in
// pieces, so that what they refuse is not fetched.
func (f *Finder) keyGroups(ctx context.Context, p *plan, r document.Range, chunk int, _ See, show visit) (left document.Range, large []byte, more bool, err error) {
	got, err := f.Source.Entries(ctx, p.place, spanOf(r, p.backward), chunk)
	if err != nil || len(got) == 0 {
		return document.Range{From: AfterAll}, nil, true, err
	}
	last := bytes.Clone(p.prefix(got[len(got)-1].Key))
	whole := got
	left = document.Range{From: AfterAll}
	if len(got) == chunk { // the last group may go on
		for len(whole) > 0 && bytes.HasPrefix(whole[len(whole)-1].Key, last) {
			whole = whole[:len(whole)-1]
		}
		if left = r; p.backward {
			left.To = document.Successor(last)
		} else {
			left.From = last
		}
	}
	if len(whole) == 0 {
		return left, last, true, nil
	}
	more, err = show(ctx, p.byGroups(whole))
	return left, nil, more, err
}

func overlap(a, b document.Range) bool {
	return bytes.Compare(From(a), To(b)) < 0 && bytes.Compare(From(b), To(a)) < 0
}

// rest is what of r comes after a group.
func rest(r, group document.Range, backward bool) document.Range {
	switch {
	case !backward && bytes.Compare(To(group), From(r)) > 0:
		r.From = To(group)
	case backward && bytes.Compare(From(group), To(r)) < 0:
		r.To = From(group)
	}
	return r
}
