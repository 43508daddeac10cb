package sqldocs

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
	"github.com/acme/platform/store/internal/sqltx"
)

// dialect is what differs between databases.
type dialect struct {
	// shareCollection and holdCollection take a collection by the key of its
	// name, until the transaction ends: writers of documents share it, who
	// changes or drops it holds it alone. A row lock would not do: as long as
	// some writer shares one, others may join, and who wants it alone waits
	// for ever. Both are empty where there is one writer.
	shareCollection, holdCollection string
	// selectMarked reads a collection to set its marks, beside other writers
	// who do.
	selectMarked string
	// selectPage reads documents after an id.
	selectPage string
	// fetchForChange reads documents by their ids and keeps other writers from
	// them. The ids are in order, and so are the locks.
	fetchForChange func(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, ids []string) (map[string]row, error)
	// insert writes new documents, and returns how many: not those whose id
	// another writer has used meanwhile.
	insert func(ctx context.Context, a *applier, docs []*document.Record) (int64, error)
	// indexRows writes rows of indexes.
	indexRows func(tx store.Tx, tenant platform.TenantID) indexRows
	// source is what answers queries.
	source func(s *source) docquery.Source
}

var onSQLite = dialect{
	selectMarked: selectCollection,
	selectPage: `SELECT seq, id, version, created_at, updated_at, data FROM documents
		WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id LIMIT ?`,
	fetchForChange: fetch,
	insert:         insertRows,
	indexRows:      newValueRows,
	source:         func(s *source) docquery.Source { return s },
}

var onPostgres = dialect{
	shareCollection: `SELECT pg_advisory_xact_lock_shared(?)`,
	holdCollection:  `SELECT pg_advisory_xact_lock(?)`,
	selectMarked:    selectCollection + ` FOR UPDATE`,
	selectPage: `SELECT 0, id, version, created_at, updated_at, data FROM documents
		WHERE tenant = ? AND collection = ? AND id > ? ORDER BY id LIMIT ?`,
	fetchForChange: fetchLocked,
	insert:         insertArrays,
	indexRows: func(tx store.Tx, tenant platform.TenantID) indexRows {
		return &arrayRows{tx: tx, tenant: tenant}
	},
	source: func(s *source) docquery.Source { return &postgresSource{s} },
}

// share keeps the definition of a collection as it is until the transaction ends.
// What is read after it is as of then.
func (d *Documents) share(ctx context.Context, tx store.Tx, tenant platform.TenantID, name string) error {
	return lock(ctx, tx, d.dialect.shareCollection, tenant, name)
}

// hold keeps all others from writing the collection until the transaction ends,
// after those that do have ended.
func (d *Documents) hold(ctx context.Context, tx store.Tx, tenant platform.TenantID, name string) error {
	return lock(ctx, tx, d.dialect.holdCollection, tenant, name)
}

func lock(ctx context.Context, tx store.Tx, text string, tenant platform.TenantID, name string) error {
	if text == "" {
		return nil
	}
	if _, err := tx.Exec(ctx, text, sqltx.AdvisoryKey("documents", string(tenant), name)); err != nil {
		return fmt.Errorf("sqldocs: lock a collection: %w", err)
	}
	return nil
}
