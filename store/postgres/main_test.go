package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

func TestMain(m *testing.M) { os.Exit(teststack.Main(m)) }

// open opens a new database and closes it with the test.
func open(tb testing.TB) *postgres.DB {
	tb.Helper()
	return openWith(tb, postgres.Config{URL: teststack.Postgres(tb)})
}

func openWith(tb testing.TB, cfg postgres.Config) *postgres.DB {
	tb.Helper()
	db, err := started(context.Background(), cfg)
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

// started connects.
func started(ctx context.Context, cfg postgres.Config) (*postgres.DB, error) {
	db, err := postgres.New(cfg)
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

const (
	acme  platform.TenantID = "org_acme"
	other platform.TenantID = "org_other"
)

// execute runs one statement for a tenant, in a transaction of its own.
func execute(db store.Relational, tenant platform.TenantID, query string, args ...any) error {
	return db.InTenant(context.Background(), tenant, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

// count counts what a tenant sees of a query.
func count(tb testing.TB, db store.Relational, tenant platform.TenantID, query string, args ...any) (n int) {
	tb.Helper()
	must(tb, db.InTenant(context.Background(), tenant, func(ctx context.Context, tx store.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+query, args...).Scan(&n)
	}, store.ReadOnly))
	return n
}

// crossing is the token of a test that looks at the rows of all tenants.
func crossing(db store.Relational) store.Crossing {
	return db.Crossings().Grant("test", "a test looks at the rows of all tenants")
}
