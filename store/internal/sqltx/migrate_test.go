package sqltx_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// versions makes migrations of texts: version n is the n-th.
func versions(texts ...string) store.Migrations {
	files := fstest.MapFS{}
	for i, text := range texts {
		files[fmt.Sprintf("sqlite/%04d_v%d.sql", i+1, i+1)] = &fstest.MapFile{Data: []byte(text)}
	}
	return store.Migrations{Component: "shop", Files: files}
}

const (
	first = `-- The first version.
CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE log (name TEXT NOT NULL);
CREATE TRIGGER items_log AFTER INSERT ON items BEGIN
	INSERT INTO log VALUES (new.name);
	INSERT INTO log VALUES ('and; again');
END;
INSERT INTO items (name) VALUES ('a;
b');
`
	second = "ALTER TABLE items ADD COLUMN price INTEGER NOT NULL DEFAULT 0;\n-- The end.\n"
	bad    = "CREATE TABLE half (id INTEGER);\nINSERT INTO nowhere VALUES (1);\n"
)

func TestMigrateAppliesWhatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	for range 2 {
		must(t, db.Migrate(t.Context(), versions(first)))
	}
	if n := count(t, db, "log"); n != 2 {
		t.Errorf("%d rows in the log, want 2", n)
	}
	must(t, db.Close())
	db = open(t, path)
	must(t, db.Migrate(t.Context(), versions(first, second)))
	if n := count(t, db, "items WHERE price = 0"); n != 1 {
		t.Errorf("%d items, want 1", n)
	}
	if n := count(t, db, "schema_migrations WHERE component = 'shop' AND applied = ?", now().UnixMicro()); n != 2 {
		t.Errorf("%d versions are recorded, want 2", n)
	}
}

func TestMigrateAtOnce(t *testing.T) {
	db := newDB(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := db.Migrate(t.Context(), versions(first, second)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, db, "items"); n != 1 {
		t.Errorf("%d items, want 1", n)
	}
}

func TestMigrateUndoesAFailingFile(t *testing.T) {
	db := newDB(t)
	err := db.Migrate(t.Context(), versions(first, bad, second))
	if err == nil || !strings.Contains(err.Error(), `"shop"`) || !strings.Contains(err.Error(), "version 2 (v2)") {
		t.Errorf("error %v, want one that names component and version", err)
	}
	if n := count(t, db, "sqlite_schema WHERE name = 'half'"); n != 0 {
		t.Error("half of the failing file is there")
	}
	// What came before stays, and a repaired file goes on from there.
	must(t, db.Migrate(t.Context(), versions(first, second)))
}

func TestMigrateRefusesANewerDatabase(t *testing.T) {
	db := newDB(t)
	must(t, db.Migrate(t.Context(), versions(first, second, "CREATE TABLE more (id INTEGER);")))
	err := db.Migrate(t.Context(), versions(first))
	var newer *sqlite.NewerError
	if !errors.As(err, &newer) || newer.Component != "shop" || !slices.Equal(newer.Unknown, []int{2, 3}) {
		t.Errorf("error %v", err)
	}
}

func TestMigrateRefusesAChangedFile(t *testing.T) {
	db := newDB(t)
	must(t, db.Migrate(t.Context(), versions(first, second)))
	err := db.Migrate(t.Context(), versions(first, second+"\n", "CREATE TABLE more (id INTEGER);"))
	var changed *sqlite.ChangedError
	if !errors.As(err, &changed) || changed.Component != "shop" || changed.Version != 2 || changed.Name != "v2" {
		t.Errorf("error %v", err)
	}
	if n := count(t, db, "sqlite_schema WHERE name = 'more'"); n != 0 {
		t.Error("a later file was applied")
	}
}

func TestMigrateRefusesBadFiles(t *testing.T) {
	db := newDB(t)
	file := &fstest.MapFile{Data: []byte("CREATE TABLE x (id INTEGER);")}
	for name, m := range map[string]store.Migrations{
		"a gap":            {Component: "shop", Files: fstest.MapFS{"sqlite/0001_a.sql": file, "sqlite/0003_c.sql": file}},
		"no first":         {Component: "shop", Files: fstest.MapFS{"sqlite/0002_b.sql": file}},
		"the same number":  {Component: "shop", Files: fstest.MapFS{"sqlite/0001_a.sql": file, "sqlite/0001_b.sql": file}},
		"a bad name":       {Component: "shop", Files: fstest.MapFS{"sqlite/init.sql": file}},
		"another dialect":  {Component: "shop", Files: fstest.MapFS{"postgres/0001_a.sql": file}},
		"an empty folder":  {Component: "shop", Files: fstest.MapFS{"sqlite": &fstest.MapFile{Mode: 0o700 | 1<<31}}},
		"no component":     {Files: fstest.MapFS{"sqlite/0001_a.sql": file}},
		"no files at all":  {Component: "shop"},
		"a folder as file": {Component: "shop", Files: fstest.MapFS{"sqlite/0001_a.sql/x": file}},
	} {
		if err := db.Migrate(t.Context(), m); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := count(t, db, "sqlite_schema WHERE name = 'x'"); n != 0 {
		t.Error("a file was applied")
	}
}

func TestMigrateWithDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newDB(t).Migrate(ctx, versions(first)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
