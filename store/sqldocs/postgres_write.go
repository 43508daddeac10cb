package sqldocs

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// fetchLocked is fetch, and keeps other writers from the documents, one after the
// other, until the transaction ends.
func fetchLocked(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, ids []string) (map[string]row, error) {
	rows, err := records(tx.Query(ctx, fetchLockedByID, ids, string(tenant), number))
	found := make(map[string]row, len(rows))
	for _, r := range rows {
		found[r.ID] = r
	}
	return found, err
}

// insertArrays is insertRows in one statement, however many documents there are.
func insertArrays(ctx context.Context, a *applier, docs []*document.Record) (inserted int64, err error) {
	ids, data := make([]string, len(docs)), make([][]byte, len(docs))
	for i, doc := range docs {
		ids[i], data[i] = doc.ID, doc.Data
	}
	res, err := a.tx.Exec(ctx, `INSERT INTO documents (tenant, collection, id, version, created_at, updated_at, data)
		SELECT ?::text, ?::bigint, k.id, 1, ?::bigint, ?::bigint, k.data
		FROM unnest(?::text[], ?::bytea[]) AS k (id, data)
		ON CONFLICT (tenant, collection, id) DO NOTHING`,
		string(a.tenant), a.c.number, a.now, a.now, ids, data)
	if err != nil {
		return 0, fmt.Errorf("sqldocs: insert: %w", err)
	}
	return res.RowsAffected()
}

// arrayRows are the rows of indexes that wait, by column.
type arrayRows struct {
	tx         store.Tx
	tenant     platform.TenantID
	come, gone indexColumns
}

type indexColumns struct {
	numbers []int64
	keys    [][]byte
	ids     []string
}

func (c *indexColumns) add(number int64, key []byte, id string) {
	c.numbers, c.keys, c.ids = append(c.numbers, number), append(c.keys, key), append(c.ids, id)
}

func (c *indexColumns) clear() {
	clear(c.keys)
	clear(c.ids)
	c.numbers, c.keys, c.ids = c.numbers[:0], c.keys[:0], c.ids[:0]
}

// maxWaiting is how many rows of indexes wait at most.
const maxWaiting = 1024

func (r *arrayRows) insert(ctx context.Context, number int64, key []byte, id string, _ int64) error {
	if r.come.add(number, key, id); len(r.come.ids) < maxWaiting {
		return nil
	}
	return r.flush(ctx)
}

// remove waits too: what is to be removed is not among the rows that wait, since
// a batch has each document once.
func (r *arrayRows) remove(ctx context.Context, number int64, key []byte, id string) error {
	if r.gone.add(number, key, id); len(r.gone.ids) < maxWaiting {
		return nil
	}
	return r.flush(ctx)
}

func (r *arrayRows) flush(ctx context.Context) error {
	if c := &r.gone; len(c.ids) > 0 {
		// The rows are looked up one by one, as in postgresSource.
		_, err := r.tx.Exec(ctx, `DELETE FROM document_index WHERE ctid = ANY (ARRAY (
			SELECT i.ctid FROM unnest(?::bigint[], ?::bytea[], ?::text[]) AS k (number, sort_key, id)
			CROSS JOIN LATERAL (SELECT ctid FROM document_index
				WHERE tenant = ? AND number = k.number AND sort_key = k.sort_key AND id = k.id OFFSET 0) i))`,
			c.numbers, c.keys, c.ids, string(r.tenant))
		if err != nil {
			return fmt.Errorf("sqldocs: delete from an index: %w", err)
		}
		c.clear()
	}
	if c := &r.come; len(c.ids) > 0 {
		_, err := r.tx.Exec(ctx, `INSERT INTO document_index (tenant, number, sort_key, id)
			SELECT ?::text, k.number, k.sort_key, k.id FROM unnest(?::bigint[], ?::bytea[], ?::text[]) AS k (number, sort_key, id)`,
			string(r.tenant), c.numbers, c.keys, c.ids)
		if err != nil {
			return fmt.Errorf("sqldocs: insert into an index: %w", err)
		}
		c.clear()
	}
	return nil
}
