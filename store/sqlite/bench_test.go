package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// BenchmarkWrite is a transaction with one insert, by so many goroutines.
func BenchmarkWrite(b *testing.B) {
	for _, workers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "test.db"))
			table(b, db)
			work := make(chan int)
			var wg sync.WaitGroup
			before := sqlite.Commits(db)
			b.ResetTimer()
			for range workers {
				wg.Go(func() {
					for n := range work {
						if err := insert(b.Context(), db, "acme", fmt.Sprint(n)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := range b.N {
				work <- n
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			b.ReportMetric(float64(b.N)/float64(sqlite.Commits(db)-before), "tx/commit")
		})
	}
}

// BenchmarkRead is a read-only transaction with one select by id.
func BenchmarkRead(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "test.db"))
	table(b, db)
	must(b, db.InTenant(b.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		for n := range 10_000 {
			if _, err := tx.Exec(ctx, "INSERT INTO things (tenant, id, body) VALUES (?, ?, ?)",
				"acme", fmt.Sprint(n), "a body of some length, as bodies are"); err != nil {
				return err
			}
		}
		return nil
	}))
	get := func(ctx context.Context, n int) error {
		return db.InTenant(ctx, "acme", func(ctx context.Context, tx store.Tx) error {
			var body string
			return tx.QueryRow(ctx, "SELECT body FROM things WHERE tenant = ? AND id = ?",
				"acme", fmt.Sprint(n%10_000)).Scan(&body)
		}, store.ReadOnly)
	}
	b.Run("goroutines=1", func(b *testing.B) {
		b.ReportAllocs()
		for n := range b.N {
			if err := get(b.Context(), n*7919); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("goroutines=16", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n += 7919 {
				if err := get(b.Context(), n); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func open(tb testing.TB, path string, opts ...sqlite.Option) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), path, opts...)
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

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// table makes a table for the tests.
func table(tb testing.TB, db *sqlite.DB) {
	tb.Helper()
	must(tb, db.AcrossTenants(tb.Context(), func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, `CREATE TABLE things (
			tenant TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
			PRIMARY KEY (tenant, id)) WITHOUT ROWID`)
		return err
	}))
}

func insert(ctx context.Context, db *sqlite.DB, tenant platform.TenantID, id string) error {
	return db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO things (tenant, id, body) VALUES (?, ?, ?)", string(tenant), id, "body of "+id)
		return err
	})
}
