package sqltx_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600)) }

func open(tb testing.TB, path string) *sqlite.DB {
	tb.Helper()
	return testdb.Open(tb, path, sqlite.Clock(now))
}

func newDB(tb testing.TB) *sqlite.DB {
	tb.Helper()
	return open(tb, filepath.Join(tb.TempDir(), "test.db"))
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func count(tb testing.TB, db store.Relational, query string, args ...any) (n int) {
	tb.Helper()
	must(tb, db.AcrossTenants(context.Background(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+query, args...).Scan(&n)
	}, store.ReadOnly))
	return n
}
