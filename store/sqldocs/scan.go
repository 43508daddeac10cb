package sqldocs

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"

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
func (f *finder) find(ctx context.Context) ([]found, error) {
	p, err := f.choose(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case p != nil && p.sorted && f.fits(p):
		return f.inOrder(ctx, p)
	case p != nil:
		return f.best(ctx, func(ctx context.Context, see see) error { return f.within(ctx, p, see) })
	case len(f.query.sort) == 0 || f.query.sort[0].Path == document.FieldID:
		return f.byID(ctx)
	}
	return f.best(ctx, func(ctx context.Context, see see) error { return f.all(ctx, false, "", see) })
}

// see is shown a record, whose data it must not keep, and says whether it
// wants more.
type see func(*document.Record) (more bool, err error)

// fits reports whether the cursor's place can be one in the index: values that
// are too long for it can not.
func (f *finder) fits(p *plan) bool {
	if f.query.after == nil {
		return true
	}
	fields, ok := f.query.order.Split(f.query.after.key)
	return ok && p.prefixOf(f.query.sort, fields) != nil
}

// inOrder takes the first records that match of a plan in order.
func (f *finder) inOrder(ctx context.Context, p *plan) ([]found, error) {
	var out []found
	err := f.ordered(ctx, p, func(ctx context.Context, got []entry) (bool, error) {
		got = p.filter(got)
		docs, err := f.documents(ctx, got)
		if err != nil {
			return false, err
		}
		for _, e := range got {
			doc, ok := docs[e.id]
			if !ok || !f.query.filter.MatchRecord(&doc) {
				continue
			}
			if out = append(out, found{doc: doc}); len(out) > f.query.limit {
				return false, nil
			}
		}
		return true, nil
	})
	return out, err
}

// filter drops entries that the checks do not let through.
func (p *plan) filter(got []entry) []entry {
	if !p.checked() {
		return got
	}
	out := got[:0]
	for _, e := range got {
		if p.passes(e.key) {
			out = append(out, e)
		}
	}
	return out
}

func (f *finder) documents(ctx context.Context, got []entry) (map[string]document.Record, error) {
	ids := make([]string, len(got))
	for i, e := range got {
		ids[i] = e.id
	}
	return fetch(ctx, f.tx, f.tenant, f.c.number, ids)
}

// within shows the records of the entries in the ranges of p. A record may
// come more than once where a field has many values.
func (f *finder) within(ctx context.Context, p *plan, see see) error {
	return f.unordered(ctx, p, func(ctx context.Context, got []entry) (bool, error) {
		docs, err := f.documents(ctx, p.filter(got))
		if err != nil {
			return false, err
		}
		for _, doc := range docs {
			if more, err := see(&doc); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	})
}

// byID takes the first records that match in the order of ids.
func (f *finder) byID(ctx context.Context) ([]found, error) {
	var out []found
	down := len(f.query.sort) > 0 && f.query.sort[0].Desc
	after := ""
	if f.query.after != nil {
		after = f.query.after.id
	}
	err := f.all(ctx, down, after, func(r *document.Record) (bool, error) {
		if f.query.filter.MatchRecord(r) {
			doc := *r
			doc.Data = bytes.Clone(doc.Data)
			out = append(out, found{doc: doc})
		}
		return len(out) <= f.query.limit, nil
	})
	return out, err
}

// best keeps the first records in order of those that source shows in any.
func (f *finder) best(ctx context.Context, source func(context.Context, see) error) ([]found, error) {
	top := &topK{limit: f.query.limit + 1}
	kept := make(map[string]bool)
	var key []byte
	err := source(ctx, func(r *document.Record) (bool, error) {
		if kept[r.ID] || !f.query.filter.MatchRecord(r) {
			return true, nil
		}
		key = f.query.order.AppendKey(key[:0], r)
		p := place{key, r.ID}
		if f.query.after != nil && p.compare(*f.query.after) <= 0 || !top.takes(p) {
			return true, nil
		}
		if len(top.items) == top.limit {
			delete(kept, top.items[0].id)
		}
		kept[r.ID] = true
		doc := *r
		doc.Data = bytes.Clone(doc.Data)
		top.add(found{place{bytes.Clone(key), r.ID}, doc})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return top.sorted(), nil
}

// all shows the documents in the order of ids, or against it, after an id.
func (f *finder) all(ctx context.Context, down bool, after string, see see) error {
	var rows *sql.Rows
	var err error
	if down {
		rows, err = f.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND (? = '' OR id < ?) ORDER BY id DESC`,
			string(f.tenant), f.c.number, after, after)
	} else {
		rows, err = f.tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
			WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id`, string(f.tenant), f.c.number, after)
	}
	if err != nil {
		return fmt.Errorf("sqldocs: read documents: %w", err)
	}
	defer rows.Close()
	var data sql.RawBytes
	var created, updated int64
	for n := 0; rows.Next(); n++ {
		if n%256 == 255 && ctx.Err() != nil {
			return fmt.Errorf("sqldocs: %w", ctx.Err())
		}
		var r document.Record
		if err := rows.Scan(&r.ID, &r.Version, &created, &updated, &data); err != nil {
			return fmt.Errorf("sqldocs: read documents: %w", err)
		}
		r.CreatedAt, r.UpdatedAt, r.Data = fromMicros(created), fromMicros(updated), []byte(data)
		if more, err := see(&r); err != nil || !more {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sqldocs: read documents: %w", err)
	}
	return nil
}
