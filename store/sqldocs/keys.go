package sqldocs

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/acme/platform/store/document"
)

// entry is a row of an index.
type entry struct {
	place

	seq int64
}

// forward returns up to n entries after a place and before a key.
func (f *finder) forward(ctx context.Context, x *index, after place, before []byte, n int) ([]entry, error) {
	return entries(f.tx.Query(ctx, `SELECT sort_key, id, seq FROM document_index
		WHERE tenant = ? AND number = ? AND (sort_key, id) > (?, ?) AND sort_key < ?
		ORDER BY sort_key, id LIMIT ?`, string(f.tenant), x.Number, after.key, after.id, before, n))
}

// backward returns up to n entries from the last in a range on.
func (f *finder) backward(ctx context.Context, x *index, r document.Range, n int) ([]entry, error) {
	return entries(f.tx.Query(ctx, `SELECT sort_key, id, seq FROM document_index
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
		if err := rows.Scan(&e.key, &e.id, &e.seq); err != nil {
			return nil, fmt.Errorf("sqldocs: read an index: %w", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqldocs: read an index: %w", err)
	}
	return out, nil
}

// maxChunk is how many entries are read at once at most.
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
		after = got[n-1].place // see may change the list
		if more, err := see(ctx, got); err != nil || !more {
			return false, err
		}
		if n < chunk {
			return true, nil
		}
		chunk = min(2*chunk, maxChunk)
	}
}
