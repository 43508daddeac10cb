package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC) }

func newDB(tb testing.TB, opts ...sqlite.Option) *sqlite.DB {
	tb.Helper()
	db := open(tb, filepath.Join(tb.TempDir(), "test.db"), opts...)
	table(tb, db)
	return db
}

func TestInTenantCommits(t *testing.T) {
	db := newDB(t)
	var seen platform.TenantID
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		seen = tx.Tenant()
		return insertIn(ctx, tx, "one")
	}))
	if seen != "acme" {
		t.Errorf("Tenant is %q", seen)
	}
	if n := count(t, db, "things WHERE tenant = 'acme' AND id = 'one'"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestInTenantNeedsATenant(t *testing.T) {
	db := newDB(t)
	for _, tenant := range []platform.TenantID{"", "a b", "ä"} {
		err := db.InTenant(t.Context(), tenant, func(context.Context, store.Tx) error {
			t.Errorf("fn was called for %q", tenant)
			return nil
		})
		if !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("tenant %q: error %v", tenant, err)
		}
	}
}

func TestErrorUndoes(t *testing.T) {
	db := newDB(t)
	mine := errors.New("mine")
	err := db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		tx.AfterCommit(func() { t.Error("AfterCommit was called") })
		must(t, insertIn(ctx, tx, "one"))
		return mine
	})
	if err != mine {
		t.Errorf("error %v, want the function's, unchanged", err)
	}
	if n := count(t, db, "things"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	must(t, insert(t.Context(), db, "acme", "two"))
}

func TestPanicAndGoexitUndo(t *testing.T) {
	db := newDB(t)
	for name, end := range map[string]func(){
		"panic":  func() { panic("mine") },
		"goexit": func() { runtime.Goexit() },
	} {
		for _, opts := range [][]store.TxOption{nil, {store.ReadOnly}} {
			t.Run(fmt.Sprint(name, len(opts)), func(t *testing.T) {
				done := make(chan any)
				go func() {
					defer func() { done <- recover() }()
					_ = db.InTenant(context.Background(), "acme", func(ctx context.Context, tx store.Tx) error {
						if opts == nil {
							must(t, insertIn(ctx, tx, "one"))
						}
						rows, err := tx.Query(ctx, "SELECT id FROM things UNION SELECT 'x'") // left open
						if err != nil || !rows.Next() {
							t.Error(err)
						}
						end()
						return nil
					}, opts...)
				}()
				if got := <-done; name == "panic" && got != "mine" {
					t.Errorf("panicked with %v", got)
				}
				if n := count(t, db, "things"); n != 0 {
					t.Errorf("%d rows, want none", n)
				}
				must(t, insert(t.Context(), db, "acme", "two"))
				execute(t, db, "DELETE FROM things")
			})
		}
	}
}

func TestDoneContextHasNoEffect(t *testing.T) {
	db := newDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, opts := range [][]store.TxOption{nil, {store.ReadOnly}} {
		err := db.InTenant(ctx, "acme", func(context.Context, store.Tx) error {
			t.Error("fn was called")
			return nil
		}, opts...)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}

func TestContextEndsDuringTransaction(t *testing.T) {
	db := newDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.InTenant(ctx, "acme", func(ctx context.Context, tx store.Tx) error {
		must(t, insertIn(ctx, tx, "one"))
		cancel()
		return insertIn(ctx, tx, "two")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a statement after the end of the context: error %v", err)
	}
	if n := count(t, db, "things"); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	// Once the function is satisfied, the commit is carried through.
	ctx, cancel = context.WithCancel(t.Context())
	must(t, db.InTenant(ctx, "acme", func(ctx context.Context, tx store.Tx) error {
		defer cancel()
		return insertIn(ctx, tx, "three")
	}))
	if n := count(t, db, "things"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
}

func TestNestedIsRefused(t *testing.T) {
	db, other := newDB(t, sqlite.Readers(1)), newDB(t)
	nothing := func(context.Context, store.Tx) error { return nil }
	across := func(context.Context, store.CrossTx) error { return nil }
	for _, outer := range [][]store.TxOption{nil, {store.ReadOnly}} {
		for _, inner := range [][]store.TxOption{nil, {store.ReadOnly}} {
			must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
				if err := db.InTenant(ctx, "acme", nothing, inner...); !errors.Is(err, sqlite.ErrNested) {
					t.Errorf("InTenant: error %v", err)
				}
				if err := db.AcrossTenants(ctx, crossing(db), across, inner...); !errors.Is(err, sqlite.ErrNested) {
					t.Errorf("AcrossTenants: error %v", err)
				}
				return other.InTenant(ctx, "acme", nothing, inner...)
			}, outer...))
		}
	}
}

func TestTxIsDeadAfterwards(t *testing.T) {
	db := newDB(t)
	for _, opts := range [][]store.TxOption{nil, {store.ReadOnly}} {
		var kept store.Tx
		must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			kept = tx
			return nil
		}, opts...))
		_, err := kept.Exec(t.Context(), "DELETE FROM things")
		_, errQuery := kept.Query(t.Context(), "SELECT 1")
		errRow := kept.QueryRow(t.Context(), "SELECT 1").Scan(new(int))
		_, errBun := kept.NewDelete().Table("things").Where("1").Exec(t.Context())
		for _, err := range []error{err, errQuery, errRow, errBun} {
			if !errors.Is(err, sql.ErrTxDone) {
				t.Errorf("error %v, want sql.ErrTxDone", err)
			}
		}
	}
}

func TestBunBuildersAreInTheTransaction(t *testing.T) {
	db := newDB(t)
	type thing struct{ Tenant, ID, Body string }
	back := errors.New("back")
	err := db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.NewInsert().Model(&[]thing{{"acme", "a", "x"}, {"acme", "b", "y"}}).ModelTableExpr("things").Exec(ctx)
		must(t, err)
		_, err = tx.NewUpdate().Table("things").Set("body = ?", "it's ? z").Where("tenant = ? AND id = ?", "acme", "b").Exec(ctx)
		must(t, err)
		_, err = tx.NewDelete().Table("things").Where("tenant = ? AND id = ?", "acme", "a").Exec(ctx)
		must(t, err)
		var got []thing
		must(t, tx.NewSelect().TableExpr("things").ColumnExpr("*").Where("tenant = ?", "acme").Scan(ctx, &got))
		if !slices.Equal(got, []thing{{"acme", "b", "it's ? z"}}) {
			t.Errorf("got %v", got)
		}
		var n int
		must(t, tx.NewRaw("SELECT count(*) FROM things WHERE tenant = ?", "acme").Scan(ctx, &n))
		if n != 1 {
			t.Errorf("%d rows", n)
		}
		return back
	})
	if err != back || count(t, db, "things") != 0 {
		t.Errorf("error %v; %d rows, want none", err, count(t, db, "things"))
	}
}

func TestUniqueIsAConflict(t *testing.T) {
	db := newDB(t)
	execute(t, db, "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (name <> 'bad'))")
	execute(t, db, "INSERT INTO names VALUES (1, 'a')")
	conflict := &platform.Error{Kind: platform.KindConflict, Code: "unique"}
	for values, want := range map[string]bool{"(1, 'b')": true, "(2, 'a')": true, "(2, 'bad')": false, "(2, NULL)": false} {
		err := db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			_, err := tx.Exec(ctx, "INSERT INTO names VALUES "+values)
			if err == nil {
				t.Errorf("%s was inserted", values)
			}
			// Also where the error comes out of rows.
			rowErr := tx.QueryRow(ctx, "INSERT INTO names VALUES "+values+" RETURNING id").Scan(new(int))
			if errors.Is(rowErr, conflict) != want {
				t.Errorf("%s through QueryRow: %v", values, rowErr)
			}
			return err
		})
		if errors.Is(err, conflict) != want {
			t.Errorf("%s: %v", values, err)
		}
	}
}

func TestForeignKeysHold(t *testing.T) {
	db := newDB(t)
	execute(t, db, "CREATE TABLE parents (id INTEGER PRIMARY KEY)")
	execute(t, db, "CREATE TABLE children (parent INTEGER NOT NULL REFERENCES parents)")
	err := db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, "INSERT INTO children VALUES (1)")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "FOREIGN KEY") {
		t.Errorf("error %v", err)
	}
}

func TestAfterCommit(t *testing.T) {
	db := newDB(t)
	var calls []string
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		for _, name := range []string{"a", "b"} {
			tx.AfterCommit(func() {
				// Durable means that others see it.
				calls = append(calls, fmt.Sprint(name, count(t, db, "things")))
			})
		}
		return insertIn(ctx, tx, "one")
	}))
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		tx.AfterCommit(func() { calls = append(calls, "read") })
		return nil
	}, store.ReadOnly))
	if want := []string{"a1", "b1", "read"}; !slices.Equal(calls, want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
}

func TestAfterCommitPanics(t *testing.T) {
	db := newDB(t)
	func() {
		defer func() {
			if got := recover(); got != "mine" {
				t.Errorf("panicked with %v", got)
			}
		}()
		_ = db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			tx.AfterCommit(func() { panic("mine") })
			return insertIn(ctx, tx, "one")
		})
	}()
	must(t, insert(t.Context(), db, "acme", "two"))
	if n := count(t, db, "things"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestOnEmit(t *testing.T) {
	db := newDB(t)
	calls := 0
	remove := db.OnEmit(func() { calls++ })
	emit := func(then error) error {
		return db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			must(t, tx.Emit(ctx, platform.Event{ID: "e", Source: "/s", Type: "t", Tenant: "acme", Subject: "s", Time: now()}))
			return then
		})
	}
	must(t, insert(t.Context(), db, "acme", "one"))
	_ = emit(errors.New("no"))
	if calls != 0 {
		t.Errorf("%d calls without a committed event", calls)
	}
	must(t, emit(nil))
	if calls != 1 {
		t.Errorf("%d calls after one commit", calls)
	}
	remove()
	must(t, emit(nil))
	if calls != 1 {
		t.Errorf("called after remove")
	}
}

// A function that ends the transaction by itself must not get away with it:
// others may be in it.
func TestTransactionControlIsTheStores(t *testing.T) {
	for _, text := range []string{"COMMIT", "ROLLBACK"} {
		db := newDB(t)
		err := db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			must(t, insertIn(ctx, tx, "one"))
			_, _ = tx.Exec(ctx, text)
			if err := insertIn(ctx, tx, "two"); err == nil {
				t.Errorf("a statement ran after %s", text)
			}
			return nil
		})
		if !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("%s: error %v", text, err)
		}
		if n := count(t, db, "things"); n != 0 {
			t.Errorf("%s: %d rows, want none", text, n)
		}
		must(t, insert(t.Context(), db, "acme", "three"))
	}
}
