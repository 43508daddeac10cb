package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/storetest"
)

func TestRelationalSuite(t *testing.T) {
	storetest.Relational(t, func(tb testing.TB) store.Relational {
		db, err := started(tb.Context(), filepath.Join(tb.TempDir(), "test.db"))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := db.Close(); err != nil {
				tb.Error(err)
			}
		})
		return db
	})
}
