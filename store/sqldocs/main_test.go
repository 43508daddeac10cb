package sqldocs_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqldocs"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

// open returns documents in a new store.
func open(tb testing.TB) (*sqldocs.Documents, testdb.DB) {
	tb.Helper()
	db := testdb.NewPlace(tb).Open(tb)
	return start(tb, db), db
}

// start returns the documents of a store.
func start(tb testing.TB, db store.Relational) *sqldocs.Documents {
	tb.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return startWith(tb, sqldocs.Config{DB: db, Now: func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}})
}

func startWith(tb testing.TB, cfg sqldocs.Config) *sqldocs.Documents {
	tb.Helper()
	docs, err := sqldocs.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := docs.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return docs
}
