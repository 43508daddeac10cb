package sqldocs

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/acme/platform/store/document"
)

// ordered shows the records of a sorted plan in the order of the query, from
// the cursor on.
func (f *finder) ordered(ctx context.Context, p *plan, see see) error {
	var start *place // of the cursor, in terms of the index
	if f.query.after != nil {
		start = &place{key: p.prefixOf(f.query.sort, f.query.afterKeys), id: f.query.after.id}
	}
	show := f.show(p, func(_ entry, r *document.Record) (bool, error) { return see(r) })
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
func (f *finder) orderedExact(ctx context.Context, p *plan, r document.Range, start *place, see see, show visit) (bool, error) {
	after := place{key: from(r)}
	if start != nil && start.compare(after) > 0 {
		after = *start
		if bytes.Compare(after.key, to(r)) >= 0 {
			return true, nil
		}
	}
	if p.checked() {
		return f.stream(ctx, p.x, after, to(r), f.query.limit+1, show)
	}
	more := true
	rows, err := f.tx.Query(ctx, joinExact,
		string(f.tenant), p.x.Number, after.key, after.id, to(r), f.c.number)
	err = f.joined(ctx, rows, err, func(_ []byte, r *document.Record) (bool, error) {
		var err error
		more, err = see(r)
		return more, err
	})
	return more, err
}

// A join reads documents as its rows are asked for, so that nothing is read
// beyond the last one of a page. CROSS JOIN has SQLite begin with the index.
const (
	joinExact = `SELECT NULL, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM document_index i CROSS JOIN documents d
		WHERE i.tenant = ? AND i.number = ? AND (i.sort_key, i.id) > (?, ?) AND i.sort_key < ?
		AND d.tenant = i.tenant AND d.collection = ? AND d.seq = i.seq
		ORDER BY i.sort_key, i.id`
	joinForward = `SELECT i.sort_key, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM document_index i CROSS JOIN documents d
		WHERE i.tenant = ? AND i.number = ? AND (i.sort_key, i.id) > (?, ?) AND i.sort_key < ?
		AND d.tenant = i.tenant AND d.collection = ? AND d.seq = i.seq
		ORDER BY i.sort_key, i.id`
	joinBackward = `SELECT i.sort_key, i.id, d.version, d.created_at, d.updated_at, d.data
		FROM document_index i CROSS JOIN documents d
		WHERE i.tenant = ? AND i.number = ? AND i.sort_key >= ? AND i.sort_key < ?
		AND d.tenant = i.tenant AND d.collection = ? AND d.seq = i.seq
		ORDER BY i.sort_key DESC, i.id DESC`
)

// joined shows the rows of a join that meet the filter, with their keys.
func (f *finder) joined(ctx context.Context, rows *sql.Rows, err error, see func([]byte, *document.Record) (bool, error)) error {
	var key, id, data sql.RawBytes
	var created, updated int64
	var r document.Record // one for all rows: it goes to the heap
	early := !f.query.filter.UsesStoreFields()
	return f.scan(ctx, rows, err, func() (bool, error) {
		if err := rows.Scan(&key, &id, &r.Version, &created, &updated, &data); err != nil {
			return false, err
		}
		r.Data = []byte(data)
		if early && !f.query.filter.MatchRecord(&r) {
			return true, nil
		}
		r.ID, r.CreatedAt, r.UpdatedAt = string(id), fromMicros(created), fromMicros(updated)
		if !early && !f.query.filter.MatchRecord(&r) {
			return true, nil
		}
		return see(key, &r)
	})
}

// orderedGroups is for keys whose order is not the query's within a group: it
// reads backward, or fields follow that the query does not sort by. Each group
// is put in the order of ids.
func (f *finder) orderedGroups(ctx context.Context, p *plan, r document.Range, start *place, see see, show visit) (bool, error) {
	if start != nil {
		group := document.Range{From: start.key, To: document.Successor(start.key)}
		if overlap(group, r) {
			if more, err := f.wholeGroup(ctx, p, group, r, start.id, show); err != nil || !more {
				return false, err
			}
		}
		r = rest(r, group, p.backward)
	}
	read := f.joinGroups
	if p.checked() {
		read = f.keyGroups
	}
	for chunk := f.query.limit + 1; bytes.Compare(from(r), to(r)) < 0; chunk = min(2*chunk, maxChunk) {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("sqldocs: %w", err)
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

// largeGroup is how many records of a group are put in order in memory.
const largeGroup = 64

// joinGroups shows the groups of r until one is too large, which it returns
// with what is left of r.
func (f *finder) joinGroups(ctx context.Context, p *plan, r document.Range, _ int, see see, _ visit) (left document.Range, large []byte, more bool, err error) {
	var rows *sql.Rows
	if p.backward {
		rows, err = f.tx.Query(ctx, joinBackward, string(f.tenant), p.x.Number, from(r), to(r), f.c.number)
	} else {
		rows, err = f.tx.Query(ctx, joinForward, string(f.tenant), p.x.Number, from(r), "", to(r), f.c.number)
	}
	var prefix []byte
	var group []document.Record
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
		group = group[:0]
		return nil
	}
	err = f.joined(ctx, rows, err, func(key []byte, doc *document.Record) (bool, error) {
		if len(group) == 0 || !bytes.HasPrefix(key, prefix) {
			if err := flush(); err != nil || !more {
				return false, err
			}
			prefix = append(prefix[:0], p.prefix(key)...)
		}
		if len(group) == largeGroup {
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
	return document.Range{From: afterAll}, nil, more, err
}

// keyGroups is joinGroups for plans with checks: it reads the keys alone, in
// pieces, so that what they refuse is not fetched.
func (f *finder) keyGroups(ctx context.Context, p *plan, r document.Range, chunk int, _ see, show visit) (left document.Range, large []byte, more bool, err error) {
	var got []entry
	if p.backward {
		got, err = f.backward(ctx, p.x, r, chunk)
	} else {
		got, err = f.forward(ctx, p.x, place{key: from(r)}, to(r), chunk)
	}
	if err != nil || len(got) == 0 {
		return document.Range{From: afterAll}, nil, true, err
	}
	last := bytes.Clone(p.prefix(got[len(got)-1].key))
	whole := got
	left = document.Range{From: afterAll}
	if len(got) == chunk { // the last group may go on
		for len(whole) > 0 && bytes.HasPrefix(whole[len(whole)-1].key, last) {
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
	return bytes.Compare(from(a), to(b)) < 0 && bytes.Compare(from(b), to(a)) < 0
}

// rest is what of r comes after a group.
func rest(r, group document.Range, backward bool) document.Range {
	switch {
	case !backward && bytes.Compare(to(group), from(r)) > 0:
		r.From = to(group)
	case backward && bytes.Compare(from(group), to(r)) < 0:
		r.To = from(group)
	}
	return r
}
