package sqlite_test

import (
	"context"
	"os"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("SQLITE_TEST_CHILD"); role != "" {
		os.Exit(child(role))
	}
	registerRunning()
	goleak.VerifyTestMain(m)
}

// open opens a file and closes it with the test.
func open(tb testing.TB, path string, opts ...sqlite.Option) *sqlite.DB {
	tb.Helper()
	db, err := started(context.Background(), path, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

// started opens a file.
func started(ctx context.Context, path string, opts ...sqlite.Option) (*sqlite.DB, error) {
	db, err := sqlite.New(path, opts...)
	if err != nil {
		return nil, err
	}
	if err := db.Start(ctx); err != nil {
		return nil, err
	}
	return db, nil
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// until waits for what another goroutine is about to do.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for !ok() {
		if tb.Context().Err() != nil {
			tb.Fatalf("the test ended before %s", what)
		}
		runtime.Gosched()
	}
}

const thingsTable = `CREATE TABLE IF NOT EXISTS things (
	tenant TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
	PRIMARY KEY (tenant, id)) WITHOUT ROWID`

// table makes the table things.
func table(tb testing.TB, db *sqlite.DB) {
	tb.Helper()
	execute(tb, db, thingsTable)
}

// execute runs one statement in a transaction of its own.
func execute(tb testing.TB, db *sqlite.DB, query string, args ...any) {
	tb.Helper()
	must(tb, db.AcrossTenants(context.Background(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	}))
}

func insert(ctx context.Context, db *sqlite.DB, tenant platform.TenantID, id string) error {
	return db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		return insertIn(ctx, tx, id)
	})
}

func insertIn(ctx context.Context, tx store.Tx, id string) error {
	_, err := tx.Exec(ctx, "INSERT INTO things (tenant, id, body) VALUES (?, ?, ?)", string(tx.Tenant()), id, "body of "+id)
	return err
}

// count counts the rows of a query, in a transaction of its own.
func count(tb testing.TB, db *sqlite.DB, query string, args ...any) (n int) {
	tb.Helper()
	must(tb, db.AcrossTenants(context.Background(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+query, args...).Scan(&n)
	}, store.ReadOnly))
	return n
}

// crossing is the token of a test that looks at the rows of all tenants.
func crossing(db store.Relational) store.Crossing {
	return db.Crossings().Grant("test", "a test looks at the rows of all tenants")
}
