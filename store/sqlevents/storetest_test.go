package sqlevents_test

import (
	"path/filepath"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/store/storetest"
)

func TestEventsSuite(t *testing.T) {
	storetest.Events(t, func(tb testing.TB) store.Events {
		db, err := sqlite.Open(tb.Context(), filepath.Join(tb.TempDir(), "test.db"))
		if err != nil {
			tb.Fatal(err)
		}
		events, err := sqlevents.New(sqlevents.Config{DB: db})
		if err != nil {
			tb.Fatal(err)
		}
		if err := events.Start(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			if err := events.Stop(t.Context()); err != nil {
				tb.Error(err)
			}
			if err := db.Close(); err != nil {
				tb.Error(err)
			}
		})
		return events
	})
}
