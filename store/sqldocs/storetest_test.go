package sqldocs_test

import (
	"context"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/storetest"
)

func TestDocumentsSuite(t *testing.T) {
	storetest.Documents(t, func(tb testing.TB) storetest.DocumentsStore {
		tb.Helper()
		db := testdb.NewPlace(tb).Open(tb)
		docs, err := sqldocs.New(sqldocs.Config{DB: db})
		if err != nil {
			tb.Fatal(err)
		}
		if err := docs.Start(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		return storetest.DocumentsStore{Documents: docs, Emitted: func(ctx context.Context) (ids []string, err error) {
			err = db.AcrossTenants(ctx, testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
				return tx.NewRaw("SELECT id FROM outbox ORDER BY seq").Scan(ctx, &ids)
			}, store.ReadOnly)
			return ids, err
		}}
	})
}
