package sqldocs_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform/internal/testdb"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns documents in a new file.
func open(tb testing.TB) (*sqldocs.Documents, *sqlite.DB) {
	tb.Helper()
	return reopen(tb, filepath.Join(tb.TempDir(), "test.db"))
}

func reopen(tb testing.TB, path string) (*sqldocs.Documents, *sqlite.DB) {
	tb.Helper()
	db := testdb.Open(tb, path, sqlite.Synchronous(sqlite.Normal))
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	docs, err := sqldocs.New(sqldocs.Config{DB: db, Now: func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}})
	if err != nil {
		tb.Fatal(err)
	}
	if err := docs.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return docs, db
}
