package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// snapshot begins a read-only transaction that lasts until it is told to end.
func snapshot(t *testing.T, db *sqlite.DB) (end func()) {
	t.Helper()
	begun, stop, done := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		done <- db.AcrossTenants(context.Background(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			var n int
			err := tx.QueryRow(ctx, "SELECT count(*) FROM things").Scan(&n)
			close(begun)
			<-stop
			return err
		}, store.ReadOnly)
	}()
	<-begun
	return func() {
		close(stop)
		must(t, <-done)
	}
}

// Readers of which each begins before the one before it ends never leave the
// write-ahead log alone; it must not grow without end all the same.
func TestLogStaysBoundedUnderSteadyReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	table(t, db)
	const mib = 1 << 20
	end := snapshot(t, db)
	turnOver := func() {
		next := snapshot(t, db)
		end()
		end = next
	}
	var largest int64
	tries := 0
	for i := range 100 {
		done := make(chan error, 1)
		go func() {
			done <- db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO things VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
					"acme", fmt.Sprint(i%8), strings.Repeat(string(rune('a'+i%26)), mib))
				return err
			})
		}()
		until(t, "the write ended", func() bool {
			if sqlite.LogTries(db) > tries { // it waits for readers, so let them pass
				turnOver()
			}
			select {
			case err := <-done:
				must(t, err)
				return true
			default:
				return false
			}
		})
		tries = sqlite.LogTries(db)
		turnOver()
		info, err := os.Stat(path + "-wal")
		must(t, err)
		largest = max(largest, info.Size())
	}
	end()
	t.Logf("the log was at most %d MiB for 100 MiB of writes", largest/mib)
	// The guard looks only now and then.
	if limit := int64(sqlite.LogLimit + 24*mib); largest > limit {
		t.Errorf("the log grew to %d MiB", largest/mib)
	}
}
