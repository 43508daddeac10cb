package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// code is what an error for callers is known by.
func code(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// migration is of a component of the tests.
var migration = fstest.MapFS{"sqlite/0001_x.sql": {Data: []byte("CREATE TABLE x (tenant TEXT PRIMARY KEY);")}}

// calls are those that need the file.
func calls(db *sqlite.DB) map[string]func(context.Context) error {
	nothing := func(context.Context, store.Tx) error { return nil }
	return map[string]func(context.Context) error{
		"InTenant": func(ctx context.Context) error { return db.InTenant(ctx, "acme", nothing) },
		"AcrossTenants": func(ctx context.Context) error {
			return db.AcrossTenants(ctx, crossing(db), func(context.Context, store.CrossTx) error { return nil })
		},
		"a read":      func(ctx context.Context) error { return db.InTenant(ctx, "acme", nothing, store.ReadOnly) },
		"a long read": func(ctx context.Context) error { return db.InTenant(ctx, "acme", nothing, store.LongRead) },
		"Migrate": func(ctx context.Context) error {
			return db.Migrate(ctx, store.Migrations{Component: "x", Files: migration})
		},
		"Ping":  db.Ping,
		"Check": db.Check,
	}
}

// New touches nothing. Before Start every call says so, and a store that was never
// started can be stopped.
func TestNotStarted(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	db, err := sqlite.New(filepath.Join(folder, "test.db"))
	must(t, err)
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New made the folder (%v)", err)
	}
	for name, call := range calls(db) {
		if err := call(t.Context()); code(err) != "store_not_started" || platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for range 2 {
		must(t, db.Stop(t.Context()))
	}
	if err := db.Start(t.Context()); code(err) != "store_closed" {
		t.Errorf("a start after Stop: %v", err)
	}
}

// A second Start does nothing.
func TestStartTwice(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "test.db"))
	table(t, db)
	must(t, db.Start(t.Context()))
	must(t, insert(t.Context(), db, "acme", "one"))
	must(t, db.Close())
	for name, call := range calls(db) {
		if err := call(t.Context()); code(err) != "store_closed" {
			t.Errorf("%s after Close: got %v", name, err)
		}
	}
}

// A Start that fails leaves no file open, wherever it failed, and may be repeated
// once its cause is gone.
func TestStartAgain(t *testing.T) {
	for name, c := range map[string]struct {
		spoil, mend func(t *testing.T, path string)
	}{
		"the file is open": {
			func(t *testing.T, path string) {
				t.Helper()
				other, err := started(t.Context(), path)
				must(t, err)
				t.Cleanup(func() { must(t, other.Close()) })
				held[path] = other
			},
			func(t *testing.T, path string) { t.Helper(); must(t, held[path].Close()) },
		},
		"it is no SQLite file": {
			func(t *testing.T, path string) { //nolint:thelper // a step of a test
				must(t, os.WriteFile(path, []byte("Dear diary, no database."), 0o600))
			},
			func(t *testing.T, path string) { //nolint:thelper // a step of a test
				must(t, os.Remove(path))
			},
		},
		"it has a table of another program": {
			func(t *testing.T, path string) {
				t.Helper()
				other, err := started(t.Context(), path)
				must(t, err)
				execute(t, other, "ALTER TABLE schema_migrations RENAME TO kept")
				execute(t, other, "CREATE TABLE schema_migrations (other TEXT)")
				must(t, other.Close())
			},
			func(t *testing.T, path string) {
				t.Helper()
				for _, file := range []string{path, path + ".state"} {
					must(t, os.Remove(file))
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			c.spoil(t, path)
			before := openFiles(t, path)
			db, err := sqlite.New(path)
			must(t, err)
			for range 2 {
				if err := db.Start(t.Context()); err == nil || !strings.Contains(err.Error(), path) {
					t.Fatalf("got %v", err)
				}
				if after := openFiles(t, path); after != before {
					t.Errorf("%d files are open, before the start there were %d", after, before)
				}
			}
			for name, call := range calls(db) {
				if err := call(t.Context()); code(err) != "store_not_started" {
					t.Errorf("%s: got %v", name, err)
				}
			}
			c.mend(t, path)
			must(t, db.Start(t.Context()))
			table(t, db)
			must(t, insert(t.Context(), db, "acme", "one"))
			must(t, db.Close())
			if after := openFiles(t, path); after != 0 {
				t.Errorf("%d files are open after Close", after)
			}
		})
	}
}

// held are stores that keep a file open.
var held = map[string]*sqlite.DB{}

// openFiles counts the descriptors of this process for the file and those beside
// it, where the system tells.
func openFiles(t *testing.T, path string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, path) {
			n++
		}
	}
	return n
}

// An opener uses the clock of the assembly unless it has its own, and says what is
// wrong before the start.
func TestOpen(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	env := store.Env{Now: func() time.Time { return at }}
	for want, opener := range map[time.Time]store.RelationalOpener{
		at:                sqlite.Open(filepath.Join(t.TempDir(), "test.db")),
		at.Add(time.Hour): sqlite.Open(filepath.Join(t.TempDir(), "test.db"), sqlite.Clock(func() time.Time { return at.Add(time.Hour) })),
	} {
		opened, err := opener(env)
		must(t, err)
		db := opened.(*sqlite.DB)
		must(t, db.Start(t.Context()))
		if n := count(t, db, "schema_migrations WHERE applied = ?", want.UnixMicro()); n == 0 {
			t.Errorf("the migrations are not of %v", want)
		}
		must(t, db.Close())
	}
	for name, opener := range map[string]store.RelationalOpener{
		"a path": sqlite.Open(""), "Readers": sqlite.Open("x.db", sqlite.Readers(0)),
	} {
		if db, err := opener(env); db != nil || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, %v", db, err)
		}
	}
}
