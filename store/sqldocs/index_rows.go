package sqldocs

import (
	"cmp"
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docchange"
)

// indexWriter keeps index rows in step with documents. Rows to insert wait for
// [indexWriter.flush]; nobody reads them in between.
type indexWriter struct {
	tx      store.Tx
	tenant  platform.TenantID
	indexes []*index
	rows    indexRows
	marks   marks
}

func newIndexWriter(rows indexRows, tx store.Tx, tenant platform.TenantID, indexes []*index) *indexWriter {
	return &indexWriter{tx: tx, tenant: tenant, indexes: indexes, rows: rows, marks: marks{}}
}

// indexRows writes rows of indexes, some of them no earlier than flush says.
type indexRows interface {
	insert(ctx context.Context, number int64, key []byte, id string, seq int64) error
	remove(ctx context.Context, number int64, key []byte, id string) error
	flush(ctx context.Context) error
}

// valueRows inserts many rows at once and removes one after the other.
type valueRows struct {
	inserter

	tenant platform.TenantID
}

func newValueRows(tx store.Tx, tenant platform.TenantID) indexRows {
	return &valueRows{inserter{tx: tx, texts: &insertIndexRows, columns: 5}, tenant}
}

func (r *valueRows) insert(ctx context.Context, number int64, key []byte, id string, seq int64) error {
	return r.add(ctx, string(r.tenant), number, key, id, seq)
}

func (r *valueRows) remove(ctx context.Context, number int64, key []byte, id string) error {
	// Rows that wait may be among those to remove.
	if err := r.flush(ctx); err != nil {
		return err
	}
	_, err := r.tx.Exec(ctx, `DELETE FROM document_index WHERE tenant = ? AND number = ? AND sort_key = ? AND id = ?`,
		string(r.tenant), number, key, id)
	if err != nil {
		return fmt.Errorf("sqldocs: delete from an index: %w", err)
	}
	return nil
}

// marks are new bits of storedIndex by the number of the index.
type marks map[int64]struct{ arrays, cut uint8 }

func (m marks) note(x *index, e document.Entries) {
	if e.Arrays&^x.Arrays == 0 && e.Cut&^x.Cut == 0 {
		return
	}
	k := m[x.Number]
	k.arrays |= e.Arrays
	k.cut |= e.Cut
	m[x.Number] = k
}

// mark sets the bits.
func (m marks) mark(indexes []storedIndex) {
	for i := range indexes {
		indexes[i].Arrays |= m[indexes[i].Number].arrays
		indexes[i].Cut |= m[indexes[i].Number].cut
	}
}

// update replaces the rows of old with those of doc; either may be nil. Seq is
// the document's. A refusal is a [*platform.Error].
func (w *indexWriter) update(ctx context.Context, seq int64, old, doc *document.Record) error {
	for _, x := range w.indexes {
		var was, is document.Entries
		var err error
		if old != nil {
			if was, err = x.keys.Keys(old); err != nil {
				return err
			}
		}
		if doc != nil {
			if is, err = x.keys.Keys(doc); err != nil {
				return err
			}
			w.marks.note(x, is)
		}
		id := cmp.Or(doc, old).ID
		if err := w.replace(ctx, x, seq, id, was, is); err != nil {
			return err
		}
	}
	return nil
}

func (w *indexWriter) replace(ctx context.Context, x *index, seq int64, id string, was, is document.Entries) error {
	gone, come := docchange.Differ(was.Keys, is.Keys)
	for _, key := range gone {
		if err := w.rows.remove(ctx, x.Number, key, id); err != nil {
			return err
		}
	}
	for _, key := range come {
		if err := w.rows.insert(ctx, x.Number, key, id, seq); err != nil {
			return err
		}
	}
	if x.Unique {
		return w.replaceUnique(ctx, x, id, was, is)
	}
	return nil
}

func (w *indexWriter) replaceUnique(ctx context.Context, x *index, id string, was, is document.Entries) error {
	if !was.Present {
		was.Keys = nil
	}
	if !is.Present {
		is.Keys = nil
	}
	gone, come := docchange.Differ(was.Keys, is.Keys)
	for _, key := range gone {
		_, err := w.tx.Exec(ctx, `DELETE FROM document_unique WHERE tenant = ? AND number = ? AND sort_key = ? AND id = ?`,
			string(w.tenant), x.Number, key, id)
		if err != nil {
			return fmt.Errorf("sqldocs: delete from an index: %w", err)
		}
	}
	for _, key := range come {
		res, err := w.tx.Exec(ctx, `INSERT INTO document_unique (tenant, number, sort_key, id) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, string(w.tenant), x.Number, key, id)
		if err != nil {
			return fmt.Errorf("sqldocs: insert into an index: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("sqldocs: insert into an index: %w", err)
		}
		if n == 0 {
			return docchange.UniqueError(x.keys, x.fields)
		}
	}
	return nil
}

func (w *indexWriter) flush(ctx context.Context) error { return w.rows.flush(ctx) }
