package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

func TestOpenMakesFolderAndFileForTheOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "deep", "test.db")
	db := open(t, path)
	table(t, db)
	for name, want := range map[string]fs.FileMode{
		filepath.Dir(path): 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600,
	} {
		info, err := os.Stat(name)
		must(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestOpenKeepsWhatWasWritten(t *testing.T) {
	// The characters have a meaning in a URI, which is what SQLite is given.
	path := filepath.Join(t.TempDir(), "a b?c=d#e%41'ü.db")
	db := open(t, path)
	table(t, db)
	must(t, insert(t.Context(), db, "acme", "one"))
	must(t, db.Close())
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a write-ahead log is left after Close (%v)", err)
	}
	if n := count(t, open(t, path), "things WHERE tenant = 'acme'"); n != 1 {
		t.Errorf("%d rows after opening again, want 1", n)
	}
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	must(t, os.WriteFile(text, []byte("Dear diary, today I was no database at all."), 0o600))
	short := filepath.Join(dir, "short")
	must(t, os.WriteFile(short, []byte("SQLite"), 0o600))
	for name, path := range map[string]string{
		"empty path":                  "",
		"memory":                      ":memory:",
		"a folder":                    dir,
		"no SQLite file":              text,
		"no SQLite file, short":       short,
		"a folder that is a file":     filepath.Join(text, "x.db"),
		"a folder that takes no file": "/proc/sqlite-test/x.db",
	} {
		t.Run(name, func(t *testing.T) {
			db, err := started(t.Context(), path)
			if err == nil {
				_ = db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), path) || !strings.HasPrefix(err.Error(), "sqlite: open ") {
				t.Errorf("the error does not name the path: %v", err)
			}
			if strings.Contains(name, "no SQLite file") && !strings.Contains(err.Error(), "it is not a SQLite file") {
				t.Errorf("the error does not say why: %v", err)
			}
		})
	}
	if b, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(b), "Dear diary") {
		t.Errorf("the file that was refused has changed: %q, %v", b, err)
	}
}

func TestOpenRefusesBadOptions(t *testing.T) {
	for name, opt := range map[string]sqlite.Option{
		"Synchronous": sqlite.Synchronous("OFF"),
		"Readers":     sqlite.Readers(0),
		"Clock":       sqlite.Clock(nil),
	} {
		_, err := started(t.Context(), filepath.Join(t.TempDir(), "test.db"), opt)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v, want one that names %s", err, name)
		}
	}
}

func TestOpenWithDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "test.db")
	if _, err := started(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file was made (%v)", err)
	}
}

func TestOpenTwice(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "test.db")
	link := filepath.Join(dir, "link.db")
	db := open(t, path)
	table(t, db)
	must(t, os.Symlink(path, link))
	for _, path := range []string{path, link} {
		if _, err := started(t.Context(), path); !errors.Is(err, sqlite.ErrOpen) {
			t.Errorf("opened again through %s: error %v, want ErrOpen", path, err)
		}
	}
	// The refused ones must not have taken the first one's locks.
	must(t, insert(t.Context(), db, "acme", "one"))
	must(t, db.Close())
	open(t, link)
}

func TestOpenRepairsNothingOfACorruptFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	must(t, os.WriteFile(path, []byte("SQLite format 3\x00"+strings.Repeat("garbage", 1000)), 0o600))
	db, err := started(t.Context(), path)
	if err == nil {
		_ = db.Close()
		t.Fatal("it was opened")
	}
	if !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("error %v, want one of KindUnavailable", err)
	}
}

func TestClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	table(t, db)
	must(t, db.Check(t.Context()))
	must(t, db.Close())
	must(t, db.Close())
	want := &platform.Error{Kind: platform.KindUnavailable, Code: "store_closed"}
	if err := insert(t.Context(), db, "acme", "one"); !errors.Is(err, want) {
		t.Errorf("write after Close: %v", err)
	}
	if err := db.Ping(t.Context()); !errors.Is(err, want) {
		t.Errorf("ping after Close: %v", err)
	}
}

func TestDurabilityIsFullUnlessAskedOtherwise(t *testing.T) {
	for want, opts := range map[int][]sqlite.Option{
		2: nil, 1: {sqlite.Synchronous(sqlite.Normal)}, // as SQLite numbers them
	} {
		db := open(t, filepath.Join(t.TempDir(), "test.db"), opts...)
		must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			var level int
			must(t, tx.QueryRow(ctx, "PRAGMA synchronous").Scan(&level))
			if level != want {
				t.Errorf("synchronous is %d, want %d", level, want)
			}
			return nil
		}))
	}
}
