package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform/store/sqlite"
)

// used makes a database of one row in a new folder, closed or as a crash leaves
// it, and returns its path.
func used(t *testing.T, crashed bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := started(t.Context(), path)
	must(t, err)
	table(t, db)
	must(t, insert(t.Context(), db, "acme", "one"))
	if !crashed {
		must(t, db.Close())
		return path
	}
	// Without the shared memory, as after the loss of power.
	copied := filepath.Join(t.TempDir(), "test.db")
	for _, suffix := range []string{"", "-wal", ".state"} {
		copyFile(t, path+suffix, copied+suffix)
	}
	must(t, db.Close())
	return copied
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, raw, 0o600))
}

// contents are the files of a folder.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, ".lock") {
			raw, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
			must(t, err)
			found[name] = string(raw)
		}
	}
	return found
}

// TestLostFiles removes, empties and replaces what a database consists of. It is
// not opened then, the error says what is missing, and nothing is changed.
func TestLostFiles(t *testing.T) {
	for name, c := range map[string]struct {
		crashed bool
		lose    func(t *testing.T, path string)
		says    string
	}{
		"the file is removed":              {false, func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path)) }, "the file is not there"},
		"the file is emptied":              {false, func(t *testing.T, path string) { t.Helper(); must(t, os.Truncate(path, 0)) }, "the file is empty"},
		"the file is removed, crashed":     {true, func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path)) }, "the file is not there"},
		"the file is emptied, crashed":     {true, func(t *testing.T, path string) { t.Helper(); must(t, os.Truncate(path, 0)) }, "the file is empty"},
		"the log is removed":               {true, func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path+"-wal")) }, "write-ahead log"},
		"the log is emptied":               {true, func(t *testing.T, path string) { t.Helper(); must(t, os.Truncate(path+"-wal", 0)) }, "another database, or one that has lost its content"},
		"the file of another installation": {false, func(t *testing.T, path string) { t.Helper(); copyFile(t, used(t, false), path) }, "another installation"},
		"an older file": {false, func(t *testing.T, path string) {
			t.Helper()
			older := path + ".older"
			copyFile(t, path, older)
			for range 2 {
				must(t, open(t, path).Close())
			}
			must(t, os.Rename(older, path))
		}, "older than the last start"},
		"the log of the second start is emptied": {false, func(t *testing.T, path string) {
			t.Helper()
			db := open(t, path)
			must(t, insert(t.Context(), db, "acme", "two"))
			before := contents(t, path)
			must(t, db.Close())
			for _, suffix := range []string{"", ".state"} {
				must(t, os.WriteFile(path+suffix, []byte(before["test.db"+suffix]), 0o600))
			}
			must(t, os.WriteFile(path+"-wal", nil, 0o600))
		}, "write-ahead log was emptied"},
		"all but the log is removed": {true, func(t *testing.T, path string) {
			t.Helper()
			must(t, os.Remove(path))
			must(t, os.Remove(path+".state"))
		}, "its write-ahead log is there"},
		"the file is removed, the state is damaged": {false, func(t *testing.T, path string) {
			t.Helper()
			must(t, os.Remove(path))
			must(t, os.WriteFile(path+".state", []byte("running of x"), 0o600))
		}, "the file is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			path := used(t, c.crashed)
			c.lose(t, path)
			state, _ := os.ReadFile(path + ".state")
			for range 2 { // the refusal does not heal it
				db, err := started(t.Context(), path)
				if err == nil {
					_ = db.Close()
					t.Fatal("it was opened")
				}
				if !errors.Is(err, sqlite.ErrLost) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "remove "+path) {
					t.Errorf("error %v, want one that says %q", err, c.says)
				}
			}
			if after, _ := os.ReadFile(path + ".state"); string(after) != string(state) {
				t.Errorf("the state has become %q", after)
			}
			if strings.Contains(c.says, "not there") {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the file was made (%v)", err)
				}
			}
			// What the error says is the way to go on.
			must(t, errors.Join(remove(path+".state"), remove(path+"-wal")))
			db := open(t, path)
			table(t, db)
			must(t, insert(t.Context(), db, "acme", "later"))
		})
	}
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// TestTruncatedFile has an error too, of SQLite itself.
func TestTruncatedFile(t *testing.T) {
	path := used(t, false)
	must(t, os.Truncate(path, 4096))
	if db, err := started(t.Context(), path); err == nil {
		_ = db.Close()
		t.Error("it was opened")
	}
}

// TestNothingIsLost opens what only looks unusual.
func TestNothingIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		crashed bool
		change  func(t *testing.T, path string)
	}{
		"closed":               {false, func(*testing.T, string) {}},
		"crashed":              {true, func(*testing.T, string) {}},
		"the state is removed": {false, func(t *testing.T, path string) { t.Helper(); must(t, os.Remove(path+".state")) }},
		"the state is emptied": {true, func(t *testing.T, path string) { t.Helper(); must(t, os.Truncate(path+".state", 0)) }},
		"the state is damaged": {true, func(t *testing.T, path string) {
			t.Helper()
			must(t, os.WriteFile(path+".state", []byte("garbage"), 0o600))
		}},
		"a crash while closing": {false, func(t *testing.T, path string) {
			t.Helper()
			must(t, os.WriteFile(path+"-wal", nil, 0o600)) // the state says stopped already
		}},
		"a crash while opening": {false, func(t *testing.T, path string) {
			t.Helper()
			stopped, err := os.ReadFile(path + ".state")
			must(t, err)
			db := open(t, path)
			during := contents(t, path)
			must(t, db.Close())
			must(t, os.WriteFile(path, []byte(during["test.db"]), 0o600))
			must(t, os.WriteFile(path+"-wal", []byte(during["test.db-wal"]), 0o600))
			must(t, os.WriteFile(path+".state", stopped, 0o600)) // not yet written
		}},
		"made by an older program": {false, func(t *testing.T, path string) {
			t.Helper()
			db := open(t, path)
			execute(t, db, "DROP TABLE installation")
			must(t, db.Close())
			must(t, os.Remove(path+".state"))
		}},
		"a copy of the folder": {true, func(t *testing.T, path string) {
			t.Helper()
			moved := filepath.Join(filepath.Dir(path), "elsewhere")
			must(t, os.Mkdir(moved, 0o700))
			for _, suffix := range []string{"", "-wal", ".state"} {
				copyFile(t, path+suffix, filepath.Join(moved, "test.db"+suffix))
			}
			if n := count(t, open(t, filepath.Join(moved, "test.db")), "things"); n != 1 {
				t.Errorf("%d rows in the copy, want 1", n)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := used(t, c.crashed)
			c.change(t, path)
			for range 2 {
				db, err := started(t.Context(), path)
				must(t, err)
				if n := count(t, db, "things"); n != 1 {
					t.Errorf("%d rows, want 1", n)
				}
				must(t, db.Close())
			}
		})
	}
}

// The log stays while the store is open, even where no connection is: one that
// is missing tells that it was lost.
func TestLogStaysWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db := open(t, path)
	must(t, sqlite.BreakConnections(db))
	if _, err := os.Stat(path + "-wal"); err != nil {
		t.Error(err)
	}
	table(t, db)
	must(t, db.Close())
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log is left after Close (%v)", err)
	}
}

// TestKillWhileOpeningAndClosing kills a process that does little else: the
// database opens every time.
func TestKillWhileOpeningAndClosing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	for run := range 24 {
		cmd, lines := spawn(t, "cycle", path, fmt.Sprint(run))
		step := []string{"opening", "writing", "closing", "closed"}[run%4]
		for n := 0; lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "open:") || strings.HasPrefix(lines.Text(), "error:") {
				t.Fatalf("run %d: %s", run, lines.Text())
			}
			if lines.Text() == step {
				if n++; n == 1+run%3 {
					must(t, cmd.Process.Kill())
				}
			}
		}
		_ = cmd.Wait()
		db, err := started(t.Context(), path)
		if err != nil {
			t.Fatalf("killed at %q in run %d: %v", step, run, err)
		}
		must(t, db.Close())
	}
}
