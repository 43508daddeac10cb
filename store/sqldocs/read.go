package sqldocs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docchange"
	"github.com/acme/platform/store/internal/docquery"
)

// Get implements [store.Documents].
func (d *Documents) Get(ctx context.Context, tenant platform.TenantID, name, id string) (store.Document, error) {
	doc := store.Document{ID: id}
	var created, updated int64
	err := store.ReadRow(ctx, d.db, tenant, `SELECT d.version, d.created_at, d.updated_at, d.data
		FROM document_collections c
		JOIN documents d ON d.tenant = c.tenant AND d.collection = c.number
		WHERE c.tenant = ? AND c.name = ? AND d.tenant = ? AND d.id = ?`,
		[]any{string(tenant), name, string(tenant), id},
		&doc.Version, &created, &updated, (*[]byte)(&doc.Data))
	if errors.Is(err, sql.ErrNoRows) {
		return store.Document{}, docchange.ErrNoDocument
	}
	if err != nil {
		return store.Document{}, fmt.Errorf("sqldocs: read a document: %w", err)
	}
	doc.CreatedAt, doc.UpdatedAt = fromMicros(created), fromMicros(updated)
	return doc, nil
}

// row is a record as it is stored.
type row struct {
	document.Record

	seq int64
}

// fetch returns the documents with the given ids, as far as they are there.
func fetch(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, ids []string) (map[string]row, error) {
	found := make(map[string]row, len(ids))
	err := inLots(ids, func(i int, args []any) error {
		args = append([]any{string(tenant), number}, args...)
		rows, err := records(tx.Query(ctx, selectDocuments[i], args...))
		for _, r := range rows {
			found[r.ID] = r
		}
		return err
	})
	return found, err
}

// fetchBySeq returns the documents with the given numbers. Where the data of
// several is more than maxBytes the error is docquery.ErrTooMuch.
func fetchBySeq(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, seqs []int64, maxBytes int) (map[int64]row, error) {
	found := make(map[int64]row, len(seqs))
	err := inLots(seqs, func(i int, args []any) error {
		args = append([]any{string(tenant), number}, args...)
		rows, err := atMost(maxBytes).records(tx.Query(ctx, selectBySeq[i], args...))
		for _, r := range rows {
			maxBytes -= len(r.Data)
			found[r.seq] = r
		}
		return err
	})
	return found, err
}

// inLots calls f with as many values as sizes[i] says, the last ones repeated
// where there are too few.
func inLots[T any](values []T, f func(i int, args []any) error) error {
	for len(values) > 0 {
		i := 0
		for j, n := range sizes { // the smallest that takes them all, if any
			if n >= len(values) {
				i = j
			}
		}
		args := make([]any, sizes[i])
		for j := range args {
			args[j] = values[min(j, len(values)-1)]
		}
		values = values[min(len(args), len(values)):]
		if err := f(i, args); err != nil {
			return err
		}
	}
	return nil
}

// page returns the documents after an id, in their order. Where there are several
// and their data is more than docquery.FetchBytes the error is
// docquery.ErrTooMuch.
func page(ctx context.Context, tx store.Tx, text string, tenant platform.TenantID, number int64, after string, limit int) ([]row, error) {
	return atMost(docquery.FetchBytes).records(tx.Query(ctx, text, string(tenant), number, after, limit))
}

// records reads and closes rows.
func records(rows *sql.Rows, err error) ([]row, error) { return atMost(math.MaxInt).records(rows, err) }

// atMost is how many bytes of data are read at once.
type atMost int

// records reads and closes rows. Where there are several and their data is more
// than n the error is docquery.ErrTooMuch.
func (n atMost) records(rows *sql.Rows, err error) ([]row, error) {
	if err != nil {
		return nil, fmt.Errorf("sqldocs: read documents: %w", err)
	}
	defer rows.Close()
	var docs []row
	for rows.Next() {
		var r row
		var created, updated int64
		if err := rows.Scan(&r.seq, &r.ID, &r.Version, &created, &updated, (*[]byte)(&r.Data)); err != nil {
			return nil, fmt.Errorf("sqldocs: read documents: %w", err)
		}
		if n -= atMost(len(r.Data)); n < 0 && len(docs) > 0 {
			return nil, docquery.ErrTooMuch
		}
		r.CreatedAt, r.UpdatedAt = fromMicros(created), fromMicros(updated)
		docs = append(docs, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("sqldocs: read documents: %w", err)
	}
	return docs, nil
}
