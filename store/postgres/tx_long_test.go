package postgres_test

import (
	"context"
	"testing"

	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

// TestALongReadHasOneCore has the server use no workers for it.
func TestALongReadHasOneCore(t *testing.T) {
	db, err := started(t.Context(), postgres.Config{URL: teststack.Postgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	workers := func(opt store.TxOption) (n string) {
		err := db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			return tx.QueryRow(ctx, "SHOW max_parallel_workers_per_gather").Scan(&n)
		}, opt)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := workers(store.ReadOnly)
	if n := workers(store.LongRead); n != "0" {
		t.Errorf("%s workers", n)
	}
	if after := workers(store.ReadOnly); before == "0" || after != before {
		t.Errorf("other reads have %s workers, then %s", before, after)
	}
}
