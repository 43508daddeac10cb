package sqldocs

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

	"github.com/acme/platform/store/document"
)

// entry is a row of an index.
type entry struct {
	key []byte
	id  string
}

// forward returns up to n entries after a place and before a key.
func (f *finder) forward(ctx context.Context, x *index, after place, before []byte, n int) ([]entry, error) {
	return entries(f.tx.Query(ctx, `SELECT sort_key, id FROM document_index
		WHERE tenant = ? AND number = ? AND (sort_key, id) > (?, ?) AND sort_key < ?
		ORDER BY sort_key, id LIMIT ?`, string(f.tenant), x.Number, after.key, after.id, before, n))
}

// backward returns up to n entries from the last in a range on.
func (f *finder) backward(ctx context.Context, x *index, r document.Range, n int) ([]entry, error) {
	return entries(f.tx.Query(ctx, `SELECT sort_key, id FROM document_index
		WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ?
		ORDER BY sort_key DESC, id DESC LIMIT ?`, string(f.tenant), x.Number, from(r), to(r), n))
}

func entries(rows *sql.Rows, err error) ([]entry, error) {
	if err != nil {
		return nil, fmt.Errorf("sqldocs: read an index: %w", err)
	}
	defer rows.Close()
	var out []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.key, &e.id); err != nil {
			return nil, fmt.Errorf("sqldocs: read an index: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqldocs: read an index: %w", err)
	}
	return out, nil
}

// How many entries are read at once: a page to begin with, then more.
const maxChunk = 1024

// visit is shown entries in order, in pieces, and says whether it wants more.
type visit func(context.Context, []entry) (more bool, err error)

// unordered shows all entries in the ranges of p.
func (f *finder) unordered(ctx context.Context, p *plan, see visit) error {
	for _, r := range p.ranges {
		if more, err := f.stream(ctx, p.x, place{key: from(r)}, to(r), maxChunk, see); err != nil || !more {
			return err
		}
	}
	return nil
}

// stream shows the entries after a place and before a key, as they stand.
func (f *finder) stream(ctx context.Context, x *index, after place, before []byte, chunk int, see visit) (bool, error) {
	for {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("sqldocs: %w", err)
		}
		got, err := f.forward(ctx, x, after, before, chunk)
		if err != nil || len(got) == 0 {
			return true, err
		}
		n := len(got)
		after = place(got[n-1]) // see may change the list
		if more, err := see(ctx, got); err != nil || !more {
			return false, err
		}
		if n < chunk {
			return true, nil
		}
		chunk = min(2*chunk, maxChunk)
	}
}

// ordered shows the entries of a sorted plan in the order of the query, from
// the cursor on, each document once.
func (f *finder) ordered(ctx context.Context, p *plan, see visit) error {
	var start *place // of the cursor, in terms of the index
	if f.query.after != nil {
		fields, ok := f.query.order.Split(f.query.after.key)
		if !ok {
			return errCursor()
		}
		start = &place{key: p.prefixOf(f.query.sort, fields), id: f.query.after.id}
	}
	for i := range p.ranges {
		r := p.ranges[i]
		if p.backward {
			r = p.ranges[len(p.ranges)-1-i]
		}
		var more bool
		var err error
		if p.exact() {
			more, err = f.orderedExact(ctx, p, r, start, see)
		} else {
			more, err = f.orderedGroups(ctx, p, r, start, see)
		}
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *finder) orderedExact(ctx context.Context, p *plan, r document.Range, start *place, see visit) (bool, error) {
	after := place{key: from(r)}
	if start != nil && start.compare(after) > 0 {
		after = *start
		if bytes.Compare(after.key, to(r)) >= 0 {
			return true, nil
		}
	}
	return f.stream(ctx, p.x, after, to(r), f.query.limit+1, see)
}

// orderedGroups is for keys whose order is not the query's within a group: it
// reads backward, or fields follow that the query does not sort by. Each group
// is put in the order of ids.
func (f *finder) orderedGroups(ctx context.Context, p *plan, r document.Range, start *place, see visit) (bool, error) {
	if start != nil {
		group := document.Range{From: start.key, To: document.Successor(start.key)}
		if overlap(group, r) {
			if more, err := f.wholeGroup(ctx, p, group, r, start.id, see); err != nil || !more {
				return false, err
			}
		}
		r = rest(r, group, p.backward)
	}
	for chunk := f.query.limit + 1; bytes.Compare(from(r), to(r)) < 0; chunk = min(2*chunk, maxChunk) {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("sqldocs: %w", err)
		}
		var got []entry
		var err error
		if p.backward {
			got, err = f.backward(ctx, p.x, r, chunk)
		} else {
			got, err = f.forward(ctx, p.x, place{key: from(r)}, to(r), chunk)
		}
		if err != nil || len(got) == 0 {
			return true, err
		}
		last := bytes.Clone(p.prefix(got[len(got)-1].key))
		group := document.Range{From: last, To: document.Successor(last)}
		whole := got
		if len(got) == chunk { // the last group may go on
			for len(whole) > 0 && bytes.HasPrefix(whole[len(whole)-1].key, last) {
				whole = whole[:len(whole)-1]
			}
		}
		more := true
		if len(whole) > 0 {
			more, err = see(ctx, p.byGroups(whole))
		} else {
			more, err = f.wholeGroup(ctx, p, group, r, "", see)
		}
		switch {
		case err != nil || !more || len(got) < chunk:
			return more, err
		case len(whole) == 0:
			r = rest(r, group, p.backward)
		case p.backward:
			r.To = group.To
		default:
			r.From = last
		}
	}
	return true, nil
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
