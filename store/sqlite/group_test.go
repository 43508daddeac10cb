package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// still is a clock that does not go on: no group gets old in these tests.
var still = sqlite.Clock(now)

// behind runs transactions that all wait for the writer at the same time, in
// the order of fns, and returns their errors.
func behind(t *testing.T, db *sqlite.DB, fns ...func(context.Context, store.Tx) error) []error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(fns))
	apart := errors.New("apart") // so that it is not in the group
	err := db.AcrossTenants(t.Context(), crossing(db), func(context.Context, store.CrossTx) error {
		for i, fn := range fns {
			wg.Go(func() {
				errs[i] = errors.New("panicked")
				defer func() { _ = recover() }()
				errs[i] = db.InTenant(context.Background(), "acme", fn)
			})
			until(t, "the transaction waited", func() bool { return sqlite.Waiting(db) == i+1 })
		}
		return apart
	})
	wg.Wait()
	if err != apart {
		t.Error(err)
	}
	return errs
}

func inserting(id string) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error { return insertIn(ctx, tx, id) }
}

func TestWaitersShareOneCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, still)
	table(t, db)
	var order []string
	var fns []func(context.Context, store.Tx) error
	for i := range 20 {
		id := fmt.Sprintf("%02d", i)
		fns = append(fns, func(ctx context.Context, tx store.Tx) error {
			tx.AfterCommit(func() { order = append(order, id) })
			return insertIn(ctx, tx, id)
		})
	}
	before := sqlite.Commits(db)
	if err := errors.Join(behind(t, db, fns...)...); err != nil {
		t.Fatal(err)
	}
	if n := sqlite.Commits(db) - before; n != 1 {
		t.Errorf("%d commits for 20 transactions that waited together, want 1", n)
	}
	if len(order) != 20 || !slices.IsSorted(order) {
		t.Errorf("AfterCommit was called in the order %v", order)
	}
	must(t, db.Close())
	if n := count(t, open(t, path), "things"); n != 20 {
		t.Errorf("%d rows after opening again, want 20", n)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	db := newDB(t, still)
	var fns []func(context.Context, store.Tx) error
	for i := range sqlite.GroupSize + 10 {
		fns = append(fns, inserting(fmt.Sprint(i)))
	}
	before := sqlite.Commits(db)
	if err := errors.Join(behind(t, db, fns...)...); err != nil {
		t.Fatal(err)
	}
	if n := sqlite.Commits(db) - before; n != 2 {
		t.Errorf("%d commits, want 2", n)
	}
}

func TestGroupsGetOld(t *testing.T) {
	var ticks atomic.Int64
	db := newDB(t, sqlite.Clock(func() time.Time { // that goes on whenever it is looked at
		return now().Add(time.Duration(ticks.Add(1)) * time.Second)
	}))
	before := sqlite.Commits(db)
	if err := errors.Join(behind(t, db, inserting("a"), inserting("b"), inserting("c"))...); err != nil {
		t.Fatal(err)
	}
	if n := sqlite.Commits(db) - before; n != 3 {
		t.Errorf("%d commits, want 3", n)
	}
}

func TestOneFailingMemberHarmsNoOther(t *testing.T) {
	db := newDB(t, still)
	mine := errors.New("mine")
	before := sqlite.Commits(db)
	errs := behind(t, db,
		inserting("a"),
		func(ctx context.Context, tx store.Tx) error {
			tx.AfterCommit(func() { t.Error("AfterCommit of a failed transaction") })
			must(t, insertIn(ctx, tx, "b"))
			return mine
		},
		func(ctx context.Context, tx store.Tx) error {
			must(t, insertIn(ctx, tx, "c"))
			panic("mine")
		},
		inserting("a"), // a duplicate
		func(ctx context.Context, tx store.Tx) error {
			rows, err := tx.Query(ctx, "SELECT id FROM things ORDER BY id")
			must(t, err)
			rows.Next() // left open
			must(t, insertIn(ctx, tx, "e"))
			return mine
		},
		inserting("f"),
	)
	if errs[0] != nil || errs[5] != nil {
		t.Errorf("good members failed: %v, %v", errs[0], errs[5])
	}
	if errs[1] != mine || errs[2].Error() != "panicked" || !errors.Is(errs[3], platform.ErrConflict) || errs[4] != mine {
		t.Errorf("bad members got %v", errs[1:5])
	}
	if n := sqlite.Commits(db) - before; n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	if all, good := count(t, db, "things"), count(t, db, "things WHERE id IN ('a', 'f')"); all != 2 || good != 2 {
		t.Errorf("%d rows, %d of them good; want 2", all, good)
	}
}

// TestEventsOfAGroup has transactions that share a commit emit, some of which
// fail: the others' events are there, in the order of the transactions.
func TestEventsOfAGroup(t *testing.T) {
	db := newDB(t, still)
	var want []string
	var fns []func(context.Context, store.Tx) error
	mine := errors.New("mine")
	for i := range 20 {
		id, fails := fmt.Sprintf("%02d", i), i%7 == 3
		events := make([]platform.Event, i%4)
		for n := range events {
			events[n] = platform.Event{
				ID: fmt.Sprintf("%s.%d", id, n), Source: "/test", Type: "test.thing.made", Tenant: "acme", Subject: id, Time: now(),
			}
			if !fails {
				want = append(want, events[n].ID)
			}
		}
		fns = append(fns, func(ctx context.Context, tx store.Tx) error {
			for _, e := range events {
				must(t, tx.Emit(ctx, e))
			}
			if fails {
				return mine
			}
			return insertIn(ctx, tx, id)
		})
	}
	commits, told := sqlite.Commits(db), 0
	defer db.OnEmit(func() { told++ })()
	for i, err := range behind(t, db, fns...) {
		if fails := i%7 == 3; (err == mine) != fails || !fails && err != nil {
			t.Errorf("transaction %d: %v", i, err)
		}
	}
	if n := sqlite.Commits(db) - commits; n != 1 || told != 1 {
		t.Errorf("%d commits, OnEmit told %d times; want one of each", n, told)
	}
	var got []string
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.NewRaw("SELECT id FROM outbox ORDER BY seq").Scan(ctx, &got)
	}, store.ReadOnly))
	if !slices.Equal(got, want) {
		t.Errorf("the outbox holds %v, want %v", got, want)
	}
}

func TestRefusedEventFailsAll(t *testing.T) {
	db := newDB(t, still)
	execute(t, db, "CREATE TRIGGER refuse BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'refused'); END")
	errs := behind(t, db,
		inserting("a"),
		func(ctx context.Context, tx store.Tx) error {
			must(t, insertIn(ctx, tx, "b"))
			return tx.Emit(ctx, platform.Event{ID: "e", Source: "/test", Type: "test.thing.made", Tenant: "acme", Subject: "b", Time: now()})
		},
		inserting("c"),
	)
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("member %d: error %v", i, err)
		}
	}
	if n := count(t, db, "things"); n != 0 {
		t.Errorf("%d rows of a group that failed", n)
	}
	must(t, insert(t.Context(), db, "acme", "later"))
}

func TestCommitFailureFailsAll(t *testing.T) {
	db := newDB(t, still)
	execute(t, db, "CREATE TABLE parents (id INTEGER PRIMARY KEY)")
	// A deferred constraint is looked at by the commit alone.
	execute(t, db, "CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
	called := false
	errs := behind(t, db,
		func(ctx context.Context, tx store.Tx) error {
			tx.AfterCommit(func() { called = true })
			return insertIn(ctx, tx, "a")
		},
		func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO children VALUES (7)")
			must(t, err)
			return nil
		},
		inserting("c"),
	)
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "FOREIGN KEY") {
			t.Errorf("member %d: error %v", i, err)
		}
	}
	if n := count(t, db, "things"); n != 0 || called {
		t.Errorf("%d rows, AfterCommit called: %v", n, called)
	}
	must(t, insert(t.Context(), db, "acme", "later"))
}

// Where SQLite gives up the whole transaction in the middle of a member, those
// before it must not be acknowledged, even if the member hides the error.
func TestLostTransactionFailsAll(t *testing.T) {
	db := newDB(t, still)
	errs := behind(t, db,
		inserting("a"),
		func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT OR ROLLBACK INTO things VALUES ('acme', 'a', '')")
			if !errors.Is(err, platform.ErrConflict) {
				t.Errorf("the duplicate: %v", err)
			}
			if err := insertIn(ctx, tx, "b"); err == nil {
				t.Error("a statement ran outside of a transaction")
			}
			return nil
		},
		inserting("c"),
	)
	if !errors.Is(errs[0], platform.ErrUnavailable) || !errors.Is(errs[1], platform.ErrUnavailable) || errs[2] != nil {
		t.Errorf("errors %v", errs)
	}
	if n := count(t, db, "things"); n != 1 {
		t.Errorf("%d rows, want that of the one after", n)
	}
}

func TestFullStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path, still)
	table(t, db)
	must(t, insert(t.Context(), db, "acme", "before"))
	execute(t, db, "PRAGMA max_page_count = 30")
	big := strings.Repeat("x", 200_000)
	errs := behind(t, db,
		inserting("a"),
		func(ctx context.Context, tx store.Tx) error { return insertIn(ctx, tx, big) },
		inserting("c"),
	)
	if full := (&platform.Error{Kind: platform.KindUnavailable, Code: "store_full"}); !errors.Is(errs[1], full) {
		t.Errorf("error %v, want store_full", errs[1])
	}
	must(t, db.Close())
	db = open(t, path)
	for i, id := range []string{"a", big, "c"} {
		if there := count(t, db, "things WHERE id = ?", id) == 1; there != (errs[i] == nil) {
			t.Errorf("member %d: error %v, but is there: %v", i, errs[i], there)
		}
	}
	if count(t, db, "things WHERE id = 'before'") != 1 {
		t.Error("what was there before is gone")
	}
}

func TestContextEndsInTheQueue(t *testing.T) {
	db := newDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(context.Context, store.CrossTx) error {
		go func() {
			gaveUp <- db.InTenant(ctx, "acme", func(context.Context, store.Tx) error {
				t.Error("fn was called")
				return nil
			})
		}()
		until(t, "it waited", func() bool { return sqlite.Waiting(db) == 1 })
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) { // at once
			t.Errorf("error %v", err)
		}
		return nil
	}))
	must(t, insert(t.Context(), db, "acme", "one"))
}

// A waiter whose context ends while the turn is on its way to it must pass
// the turn on: others wait for it, and members of its group for the commit.
func TestContextEndsAsTheTurnComes(t *testing.T) {
	db := newDB(t)
	for round := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error)
		must(t, db.InTenant(t.Context(), "acme", func(outer context.Context, tx store.Tx) error {
			for range 8 {
				go func() {
					results <- db.InTenant(ctx, "acme", func(context.Context, store.Tx) error { return nil })
				}()
			}
			until(t, "they waited", func() bool { return sqlite.Waiting(db) == 8 })
			err := insertIn(outer, tx, fmt.Sprint(round))
			cancel()
			return err
		}))
		want := round + 1
		acknowledged := 0
		for range 8 {
			switch err := <-results; {
			case err == nil:
				acknowledged++
			case !errors.Is(err, context.Canceled):
				t.Error(err)
			}
		}
		if acknowledged != 0 {
			t.Errorf("%d transactions began after the end of their context", acknowledged)
		}
		if n := count(t, db, "things"); n != want {
			t.Fatalf("%d rows, want %d", n, want)
		}
	}
}

func TestStopWaitsAndCanBeRepeated(t *testing.T) {
	db := newDB(t)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, opts := range [][]store.TxOption{{store.ReadOnly}, nil} {
		must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			if err := db.Stop(done); !errors.Is(err, context.Canceled) {
				t.Errorf("Stop beside a transaction: %v", err)
			}
			if opts != nil {
				return nil
			}
			return insertIn(ctx, tx, "one") // what runs may end
		}, opts...))
		if opts != nil { // new ones are refused, so a fresh file for the next
			must(t, db.Close())
			db = newDB(t)
		}
	}
	if err := insert(t.Context(), db, "acme", "two"); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("after Stop was tried: %v", err)
	}
	must(t, db.Stop(t.Context()))
}
