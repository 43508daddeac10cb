package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  postgres.Config
		want string
	}{
		"nothing":      {postgres.Config{}, "URL must be set"},
		"half":         {postgres.Config{URL: "postgres://h/d", RuntimeURL: "postgres://h/d"}, "SystemURL must both"},
		"schema":       {postgres.Config{URL: "postgres://h/d", Schema: "a-b"}, "Schema must be"},
		"roles":        {postgres.Config{URL: "postgres://h/d", RuntimeRole: "x", SystemRole: "x"}, "another role"},
		"connections":  {postgres.Config{URL: "postgres://h/d", MaxConns: -1}, "MaxConns"},
		"not a URL":    {postgres.Config{URL: "postgres://user:hunter2@host:port/d"}, "not one of PostgreSQL"},
		"nobody there": {postgres.Config{URL: "postgres://user:hunter2@127.0.0.1:1/d"}, "store is away"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := started(t.Context(), c.cfg)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v; want %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// Many processes start at once on an empty database.
func TestManyMigrateAtOnce(t *testing.T) {
	url := teststack.Postgres(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			db, err := started(t.Context(), postgres.Config{URL: url, MaxConns: 2, SystemConns: 2})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			for range 2 {
				if err := db.Migrate(t.Context(), things()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// A file that fails leaves those before it, and nothing of its own.
func TestAFailingMigration(t *testing.T) {
	db := open(t)
	files := fstest.MapFS{
		"postgres/0001_good.sql": {Data: []byte("CREATE TABLE good (tenant TEXT NOT NULL, id TEXT, PRIMARY KEY (tenant, id));")},
		"postgres/0002_bad.sql":  {Data: []byte("CREATE TABLE half (n int); SELECT nonsense;")},
	}
	m := store.Migrations{Component: "things", Files: files}
	if err := db.Migrate(t.Context(), m); err == nil || !strings.Contains(err.Error(), "version 2 (bad)") {
		t.Fatalf("got %v", err)
	}
	if n := count(t, db, acme, "good"); n != 0 {
		t.Error("the first file is not there")
	}
	files["postgres/0002_bad.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE half (n int);")}
	must(t, db.Migrate(t.Context(), m))

	delete(files, "postgres/0002_bad.sql")
	var newer *postgres.NewerError
	if err := db.Migrate(t.Context(), m); !errors.As(err, &newer) {
		t.Errorf("an older program: %v", err)
	}
	files["postgres/0001_good.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE other (n int);")}
	files["postgres/0002_bad.sql"] = &fstest.MapFile{Data: []byte("CREATE TABLE half (n int);")}
	var changed *postgres.ChangedError
	if err := db.Migrate(t.Context(), m); !errors.As(err, &changed) {
		t.Errorf("a changed file: %v", err)
	}
}

// Transactions that run into each other are run again and all succeed. The
// database finds a deadlock after a second, so there are few.
func TestDeadlocksAreRunAgain(t *testing.T) {
	db, _, _ := openThings(t)
	for _, id := range []string{"a", "b"} {
		must(t, execute(db, acme, insertThing, acme, id, ""))
	}
	var all sync.WaitGroup
	var runs atomic.Int32
	both := make(chan struct{})
	for i := range 2 {
		first, second := "a", "b"
		if i == 0 {
			first, second = second, first
		}
		all.Go(func() {
			for n := range 2 {
				err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
					runs.Add(1)
					for k, id := range []string{first, second} {
						if n == 0 && k == 1 && runs.Load() <= 2 { // each has its first row
							select {
							case both <- struct{}{}:
							case <-both:
							}
						}
						if _, err := tx.Exec(ctx, "UPDATE things SET body = body || 'x' WHERE tenant = ? AND id = ?", acme, id); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := count(t, db, acme, "things WHERE length(body) = 4"); n != 2 {
		t.Error("an update is lost or doubled")
	}
	if runs.Load() <= 4 {
		t.Error("there was no deadlock to run again from")
	}
}

// Lock makes what counts before it inserts happen one after the other, within a
// tenant only.
func TestLock(t *testing.T) {
	db, _, _ := openThings(t)
	const most = 5
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
				if err := tx.Lock(ctx, "things"); err != nil {
					return err
				}
				var n int
				if err := tx.QueryRow(ctx, "SELECT count(*) FROM things WHERE tenant = ?", acme).Scan(&n); err != nil || n >= most {
					return err
				}
				_, err := tx.Exec(ctx, insertThing, acme, string(rune('a'+i)), "")
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := count(t, db, acme, "things"); n != most {
		t.Errorf("%d rows, at most %d are allowed", n, most)
	}
	// Another tenant does not wait for the name.
	must(t, db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		must(t, tx.Lock(ctx, "things"))
		done := make(chan error)
		go func() {
			done <- db.InTenant(t.Context(), other, func(ctx context.Context, tx store.Tx) error { return tx.Lock(ctx, "things") })
		}()
		return <-done
	}))
}

// A function that hides a failed statement does not believe that it committed.
func TestAHiddenFailureIsNoCommit(t *testing.T) {
	db, _, _ := openThings(t)
	err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		must(t, errors.Join(exec(ctx, tx, insertThing, acme, "x", "")))
		_ = exec(ctx, tx, insertThing, acme, "x", "")
		return nil
	})
	if err == nil || count(t, db, acme, "things") != 0 {
		t.Errorf("got %v and %d rows", err, count(t, db, acme, "things"))
	}
}

func exec(ctx context.Context, tx store.Tx, query string, args ...any) error {
	_, err := tx.Exec(ctx, query, args...)
	return err
}

func TestStop(t *testing.T) {
	db, _, _ := openThings(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
			close(inside)
			<-leave
			return exec(ctx, tx, insertThing, acme, "x", "")
		})
	}()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop beside a transaction: %v", err)
	}
	if err := execute(db, acme, insertThing, acme, "y", ""); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("a new transaction while it stops: %v", err)
	}
	close(leave)
	must(t, <-done)
	must(t, db.Stop(t.Context()))
}

func TestNested(t *testing.T) {
	db := open(t)
	err := db.InTenant(t.Context(), acme, func(ctx context.Context, _ store.Tx) error {
		return db.AcrossTenants(ctx, crossing(db), func(context.Context, store.CrossTx) error { return nil })
	})
	if !errors.Is(err, postgres.ErrNested) {
		t.Errorf("got %v", err)
	}
}
