package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func TestStatementsAreBounded(t *testing.T) {
	db := newDB(t)
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		for i := range 1000 {
			for range 2 { // a text is kept from its second use on
				var n int
				must(t, tx.QueryRow(ctx, fmt.Sprintf("SELECT %d + ?", i), 1).Scan(&n))
				if n != i+1 {
					t.Fatalf("got %d, want %d", n, i+1)
				}
			}
		}
		return nil
	}))
	if kept, limit := sqlite.Statements(db); kept != limit {
		t.Errorf("%d statements are kept, want %d", kept, limit)
	}
}

// Query builders write values into their texts; such texts must not drive out
// the statements that are used all the time.
func TestTextsSeenOnceAreNotKept(t *testing.T) {
	db := newDB(t)
	before, _ := sqlite.Statements(db)
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		for i := range 1000 {
			must(t, tx.NewRaw("SELECT ?", i).Scan(ctx, new(int)))
		}
		return nil
	}))
	if after, _ := sqlite.Statements(db); after != before {
		t.Errorf("%d statements are kept of texts seen once", after-before)
	}
}

func TestStatementInUseIsNotShared(t *testing.T) {
	db := newDB(t)
	for i := range 5 {
		must(t, insert(t.Context(), db, "acme", fmt.Sprint(i)))
	}
	const text = "SELECT id FROM things WHERE tenant = ? ORDER BY id"
	read := func(ctx context.Context, tx store.Tx, each func()) (ids []string) {
		rows, err := tx.Query(ctx, text, "acme")
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var id string
			must(t, rows.Scan(&id))
			ids = append(ids, id)
			each()
		}
		must(t, rows.Err())
		return ids
	}
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		for range 3 { // the text is kept by now
			read(ctx, tx, func() {})
		}
		outer := read(ctx, tx, func() {
			if inner := read(ctx, tx, func() {}); len(inner) != 5 {
				t.Errorf("the inner query found %v", inner)
			}
		})
		if !slices.Equal(outer, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("the outer query found %v", outer)
		}
		return nil
	}, store.ReadOnly))
}
