package sqldocs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// changedOne refuses a statement that found nothing where a row was read
// before: in a database with many writers another one came between.
func (a *applier) changedOne(res sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("sqldocs: write a document: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("sqldocs: write a document: %w", err)
	}
	if n != 1 {
		return errRace
	}
	return nil
}

// Get implements [store.Documents].
func (d *Documents) Get(ctx context.Context, tenant platform.TenantID, name, id string) (store.Document, error) {
	doc := store.Document{ID: id}
	err := d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		var created, updated int64
		err := tx.QueryRow(ctx, `SELECT d.version, d.created_at, d.updated_at, d.data
			FROM document_collections c
			JOIN documents d ON d.tenant = c.tenant AND d.collection = c.number
			WHERE c.tenant = ? AND c.name = ? AND d.tenant = ? AND d.id = ?`,
			string(tenant), name, string(tenant), id).
			Scan(&doc.Version, &created, &updated, (*[]byte)(&doc.Data))
		if errors.Is(err, sql.ErrNoRows) {
			return errNoDocument
		}
		if err != nil {
			return fmt.Errorf("sqldocs: read a document: %w", err)
		}
		doc.CreatedAt, doc.UpdatedAt = fromMicros(created), fromMicros(updated)
		return nil
	}, store.ReadOnly)
	if err != nil {
		return store.Document{}, err
	}
	return doc, nil
}

// fetch returns the documents with the given ids, as far as they are there.
func fetch(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, ids []string) (map[string]document.Record, error) {
	found := make(map[string]document.Record, len(ids))
	args := make([]any, 2, 2+min(len(ids), sizes[0]))
	args[0], args[1] = string(tenant), number
	for len(ids) > 0 {
		text, n := selectFor(len(ids))
		args = args[:2]
		for i := range n {
			args = append(args, ids[min(i, len(ids)-1)])
		}
		ids = ids[min(n, len(ids)):]
		docs, err := records(tx.Query(ctx, text, args...))
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			found[doc.ID] = doc
		}
	}
	return found, nil
}

// selectFor returns the statement for so many ids, the smallest that takes
// them all if there is one, and how many it takes.
func selectFor(ids int) (string, int) {
	best := 0
	for i, n := range sizes {
		if n >= ids {
			best = i
		}
	}
	return selectDocuments[best], sizes[best]
}

// page returns the documents after an id, in their order.
func page(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, after string, limit int) ([]document.Record, error) {
	return records(tx.Query(ctx, `SELECT id, version, created_at, updated_at, data FROM documents
		WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id LIMIT ?`, string(tenant), number, after, limit))
}

// records reads and closes rows.
func records(rows *sql.Rows, err error) ([]document.Record, error) {
	if err != nil {
		return nil, fmt.Errorf("sqldocs: read documents: %w", err)
	}
	defer rows.Close()
	var docs []document.Record
	for rows.Next() {
		var r document.Record
		var created, updated int64
		if err := rows.Scan(&r.ID, &r.Version, &created, &updated, (*[]byte)(&r.Data)); err != nil {
			return nil, fmt.Errorf("sqldocs: read documents: %w", err)
		}
		r.CreatedAt, r.UpdatedAt = fromMicros(created), fromMicros(updated)
		docs = append(docs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqldocs: read documents: %w", err)
	}
	return docs, nil
}
