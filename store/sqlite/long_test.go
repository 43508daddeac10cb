package sqlite_test

import (
	"context"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// TestShortReadsDoNotWaitForLongOnes holds more long reads than there are
// readers, and then all readers.
func TestShortReadsDoNotWaitForLongOnes(t *testing.T) {
	db := newDB(t, sqlite.Readers(1))
	must(t, insert(t.Context(), db, "acme", "one"))
	const long = 3
	began, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, long)
	for range long {
		go func() {
			done <- db.InTenant(context.Background(), "acme", func(ctx context.Context, tx store.Tx) error {
				began <- struct{}{}
				<-end
				var n int
				return tx.QueryRow(ctx, "SELECT count(*) FROM things WHERE tenant = ?", "acme").Scan(&n)
			}, store.LongRead)
		}()
	}
	for range long {
		<-began
	}
	must(t, db.InTenant(t.Context(), "acme", func(context.Context, store.Tx) error { // has the one reader
		return db.InTenant(context.Background(), "acme", func(ctx context.Context, tx store.Tx) error {
			var n int
			return tx.QueryRow(ctx, "SELECT count(*) FROM things WHERE tenant = ?", "acme").Scan(&n)
		}, store.LongRead)
	}, store.ReadOnly))
	close(end)
	for range long {
		must(t, <-done)
	}
	err := db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error { return insertIn(ctx, tx, "two") }, store.LongRead)
	if err == nil {
		t.Error("a long read has written")
	}
}
