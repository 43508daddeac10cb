package sqldocs

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// finder runs one query in one transaction.
type finder struct {
	tx     store.Tx
	tenant platform.TenantID
	c      *collection
	query  *query
}

// find returns up to limit+1 records in order.
func (f *finder) find(ctx context.Context) ([]document.Record, error) {
	p, err := f.choose(ctx)
	if err != nil {
		return nil, err
	}
	byID := len(f.query.sort) == 0 || f.query.sort[0].Path == document.FieldID
	switch {
	case p != nil && p.sorted && f.fits(p):
		return f.first(func(see see) error { return f.ordered(ctx, p, see) })
	case p != nil:
		return f.best(ctx, func(see see) error {
			return f.within(ctx, p, func(_ []byte, r *document.Record) (bool, error) { return see(r) })
		})
	case byID:
		down := len(f.query.sort) > 0 && f.query.sort[0].Desc
		after := ""
		if f.query.after != nil {
			after = f.query.after.id
		}
		return f.first(func(see see) error { return f.all(ctx, down, after, see) })
	}
	return f.best(ctx, func(see see) error { return f.everything(ctx, see) })
}

// see is shown a record that meets the filter, which is another one after the
// next call as its data is, and says whether it wants more.
type see func(*document.Record) (more bool, err error)

// fits reports whether the cursor's place can be one in the index: values that
// are too long for it can not.
func (f *finder) fits(p *plan) bool {
	return f.query.after == nil || p.prefixOf(f.query.sort, f.query.afterKeys) != nil
}

// first takes the first records of a source that is in order.
func (f *finder) first(source func(see) error) ([]document.Record, error) {
	var out []document.Record
	err := source(func(r *document.Record) (bool, error) {
		doc := *r
		doc.Data = bytes.Clone(doc.Data)
		out = append(out, doc)
		return len(out) <= f.query.limit, nil
	})
	return out, err
}

// best takes the first records in order of a source in any order. It holds
// places only, and reads the records of those that are left at the end.
func (f *finder) best(ctx context.Context, source func(see) error) ([]document.Record, error) {
	top := &topK{limit: f.query.limit + 1}
	kept := make(map[string]bool)
	var key []byte
	err := source(func(r *document.Record) (bool, error) {
		key = f.query.order.AppendKey(key[:0], r)
		p := place{key, r.ID}
		if f.query.after != nil && p.compare(*f.query.after) <= 0 || !top.takes(p) || kept[r.ID] {
			return true, nil
		}
		if len(top.places) == top.limit {
			delete(kept, top.places[0].id)
		}
		kept[r.ID] = true
		top.add(place{bytes.Clone(key), r.ID})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	places := top.sorted()
	ids := make([]string, len(places))
	for i := range places {
		ids[i] = places[i].id
	}
	rows, err := fetch(ctx, f.tx, f.tenant, f.c.number, ids)
	out := make([]document.Record, len(ids))
	for i, id := range ids {
		out[i] = rows[id].Record
	}
	return out, err
}

// all shows the documents in the order of ids, or against it, after an id.
func (f *finder) all(ctx context.Context, down bool, after string, see see) error {
	var rows *sql.Rows
	var err error
	switch {
	case !down:
		rows, err = f.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id`, string(f.tenant), f.c.number, after)
	case after == "":
		rows, err = f.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? ORDER BY id DESC`, string(f.tenant), f.c.number)
	default:
		rows, err = f.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id < ? ORDER BY id DESC`, string(f.tenant), f.c.number, after)
	}
	var r document.Record
	var created, updated int64
	return f.scan(ctx, rows, err, func() (bool, error) {
		var data sql.RawBytes
		if err := rows.Scan(&r.ID, &r.Version, &created, &updated, &data); err != nil {
			return false, err
		}
		r.CreatedAt, r.UpdatedAt, r.Data = fromMicros(created), fromMicros(updated), []byte(data)
		if !f.query.filter.MatchRecord(&r) {
			return true, nil
		}
		return see(&r)
	})
}

// everything shows all documents in any order, with what filter and order need
// of them.
func (f *finder) everything(ctx context.Context, see see) error {
	if f.query.filter.UsesStoreFields() || slices.ContainsFunc(f.query.sort, isStoreField) {
		return f.all(ctx, false, "", see)
	}
	first, last, dense, err := f.span(ctx)
	if err != nil {
		return err
	}
	var rows *sql.Rows
	if dense {
		rows, err = f.tx.Query(ctx, `SELECT id, data FROM documents
			WHERE seq BETWEEN ? AND ? AND COALESCE(tenant, '') = ? AND collection = ?`,
			first, last, string(f.tenant), f.c.number)
	} else {
		rows, err = f.tx.Query(ctx, `SELECT id, data FROM documents WHERE tenant = ? AND collection = ?`,
			string(f.tenant), f.c.number)
	}
	var id, data sql.RawBytes
	var r document.Record // one for all rows: it goes to the heap
	return f.scan(ctx, rows, err, func() (bool, error) {
		if err := rows.Scan(&id, &data); err != nil {
			return false, err
		}
		r.Data = []byte(data)
		if !f.query.filter.MatchRecord(&r) {
			return true, nil
		}
		r.ID = string(id)
		return see(&r)
	})
}

// span returns the least and the greatest seq of the collection. It is dense
// where at least half of the rows in between are the collection's own: to step
// over the others then takes less than to look up each row through the index
// of ids.
func (f *finder) span(ctx context.Context) (first, last int64, dense bool, err error) {
	var n int64
	err = f.tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM documents
		WHERE tenant = ? AND collection = ?`, string(f.tenant), f.c.number).Scan(&n, &first, &last)
	if err != nil {
		return 0, 0, false, fmt.Errorf("sqldocs: count documents: %w", err)
	}
	return first, last, last-first < 2*n, nil
}

func isStoreField(s document.SortField) bool {
	switch s.Path {
	case document.FieldID, document.FieldVersion, document.FieldCreatedAt, document.FieldUpdatedAt:
		return true
	}
	return false
}

// scan calls next for each row until it says no, looks at ctx now and then, and
// closes rows.
func (f *finder) scan(ctx context.Context, rows *sql.Rows, err error, next func() (bool, error)) error {
	if err != nil {
		return fmt.Errorf("sqldocs: read documents: %w", err)
	}
	defer rows.Close()
	for n := 1; rows.Next(); n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return fmt.Errorf("sqldocs: %w", ctx.Err())
		}
		if more, err := next(); err != nil || !more {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sqldocs: read documents: %w", err)
	}
	return nil
}
