// Package testdb opens SQLite files for tests. Only test files import it: it is
// how a package is tested over a real database without knowing of a driver.
package testdb

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/acme/platform/store/sqlite"
)

// New opens a new file, which is closed and removed at the end of the test.
func New(tb testing.TB, options ...sqlite.Option) *sqlite.DB {
	tb.Helper()
	return Open(tb, filepath.Join(tb.TempDir(), "test.db"), options...)
}

// Open opens the file, which may have been there before, and closes it at the
// end of the test. A test may close it earlier, for a restart.
func Open(tb testing.TB, path string, options ...sqlite.Option) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.New(path, options...)
	if db, err = started(context.Background(), db, err); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close %s: %v", path, err)
		}
	})
	return db
}
