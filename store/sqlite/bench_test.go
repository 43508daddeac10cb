package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

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
