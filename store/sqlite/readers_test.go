package sqlite_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	driver "modernc.org/sqlite"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func TestReadOnlyRefusesWrites(t *testing.T) {
	db := newDB(t)
	event := platform.Event{ID: "e", Source: "/s", Type: "t", Tenant: "acme", Subject: "s", Time: now()}
	for name, write := range map[string]func(context.Context, store.Tx) error{
		"exec": func(ctx context.Context, tx store.Tx) error { return insertIn(ctx, tx, "one") },
		"bun": func(ctx context.Context, tx store.Tx) error {
			_, err := tx.NewDelete().Table("things").Where("tenant = ?", "acme").Exec(ctx)
			return err
		},
		"emit": func(ctx context.Context, tx store.Tx) error { return tx.Emit(ctx, event) },
		"once": func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Once(ctx, "group", event)
			return err
		},
	} {
		err := db.InTenant(t.Context(), "acme", write, store.ReadOnly)
		if err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: error %v, want one that says read-only", name, err)
		}
	}
	if n := count(t, db, "things"); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestReadOnlyIsASnapshot(t *testing.T) {
	db := newDB(t)
	must(t, insert(t.Context(), db, "acme", "one"))
	count := func(ctx context.Context, tx store.Queries) (n int) {
		must(t, tx.QueryRow(ctx, "SELECT count(*) FROM things").Scan(&n))
		return n
	}
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		before := count(ctx, tx)
		must(t, insert(t.Context(), db, "acme", "two")) // a writer does not wait
		if after := count(ctx, tx); before != 1 || after != 1 {
			t.Errorf("the snapshot had %d rows, then %d", before, after)
		}
		return nil
	}, store.ReadOnly))
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		if n := count(ctx, tx); n != 2 {
			t.Errorf("the next snapshot has %d rows", n)
		}
		// A reader does not wait for a writer, nor see what is not committed.
		return db.InTenant(context.Background(), "acme", func(wctx context.Context, wtx store.Tx) error {
			must(t, insertIn(wctx, wtx, "three"))
			if n := count(ctx, tx); n != 2 {
				t.Errorf("a snapshot sees what is not committed: %d", n)
			}
			return nil
		})
	}, store.ReadOnly))
}

func TestOpenRowsDoNotKeepASnapshot(t *testing.T) {
	db := newDB(t, sqlite.Readers(1))
	must(t, insert(t.Context(), db, "acme", "one"))
	must(t, insert(t.Context(), db, "acme", "two"))
	var left *sql.Rows
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) (err error) {
		left, err = tx.Query(ctx, "SELECT id FROM things")
		left.Next()
		_ = tx.QueryRow(ctx, "SELECT id FROM things") // never scanned
		return err
	}, store.ReadOnly))
	if left.Next() {
		t.Error("the rows outlived their transaction")
	}
	must(t, insert(t.Context(), db, "acme", "three"))
	if n := count(t, db, "things"); n != 3 {
		t.Errorf("the reader sees %d rows, want 3", n)
	}
}

// running is called once by the SQL function test_running: the moment when a
// query is certainly under way. The driver may miss a cancellation in the
// instant before that.
var running atomic.Pointer[context.CancelFunc]

// registerRunning makes test_running(x), which is x, for connections that are
// opened afterwards.
func registerRunning() {
	driver.MustRegisterScalarFunction("test_running", 1, func(_ *driver.FunctionContext, args []sqldriver.Value) (sqldriver.Value, error) {
		if f := running.Swap(nil); f != nil {
			(*f)()
		}
		return args[0], nil
	})
}

// endless is a query that would take about for ever.
const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "

func TestLongReadsAreCancelled(t *testing.T) {
	db := newDB(t, sqlite.Readers(1))
	reads := map[string]func(context.Context, store.Queries) error{
		"before the first row": func(ctx context.Context, tx store.Queries) error {
			return tx.QueryRow(ctx, endless+"count(test_running(i)) FROM n").Scan(new(int))
		},
		"between rows": func(ctx context.Context, tx store.Queries) error {
			rows, err := tx.Query(ctx, endless+"test_running(i) FROM n")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		},
		"bun": func(ctx context.Context, tx store.Queries) error {
			return tx.NewRaw(endless+"count(test_running(i)) FROM n").Scan(ctx, new(int))
		},
	}
	for name, read := range reads {
		for range 4 { // also with the statement kept
			ctx, cancel := context.WithCancel(t.Context())
			err := db.AcrossTenants(ctx, crossing(db), func(ctx context.Context, tx store.CrossTx) error {
				running.Store(&cancel)
				return read(ctx, tx)
			}, store.ReadOnly)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error %v", name, err)
			}
			cancel()
		}
		if n := count(t, db, "things"); n != 0 { // the connection is still good
			t.Errorf("%d rows", n)
		}
	}
}
