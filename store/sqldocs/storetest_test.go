package sqldocs_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/store/storetest"
)

func TestDocumentsSuite(t *testing.T) {
	storetest.Documents(t, func(tb testing.TB) storetest.DocumentsStore {
		db, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "test.db"))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := db.Close(); err != nil {
				tb.Error(err)
			}
		})
		docs, err := sqldocs.New(sqldocs.Config{DB: db})
		if err != nil {
			tb.Fatal(err)
		}
		if err := docs.Start(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		return storetest.DocumentsStore{Documents: docs, Emitted: func(ctx context.Context) (ids []string, err error) {
			err = db.AcrossTenants(ctx, func(ctx context.Context, tx store.Tx) error {
				return tx.NewRaw("SELECT id FROM outbox ORDER BY seq").Scan(ctx, &ids)
			}, store.ReadOnly)
			return ids, err
		}}
	})
}
