package integration

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite" // the driver "sqlite" of database/sql
)

// addRecords makes records of a collection, which it makes too.
func addRecords(c *client, collection string, from, to int) {
	c.t.Helper()
	if from == 0 {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": collection}, nil)
	}
	for n := from; n < to; n++ {
		c.want(http.StatusCreated, "POST", "/v1/data/collections/"+collection+"/records",
			map[string]any{"id": fmt.Sprintf("r%d", n), "data": map[string]any{"n": n}}, nil)
	}
}

// TestBackup copies the folder of a server that has stopped. The copy is a
// platform of its own with all that the first had, and the first goes on.
func TestBackup(t *testing.T) {
	data, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := start(t, folder(data))
	c := s.signUp("ann@example.com", "Ann's")
	addRecords(c, "notes", 0, 100)
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.logged())
	}
	if leftover, err := filepath.Glob(filepath.Join(data, "*-wal")); err != nil || len(leftover) > 0 {
		t.Errorf("a server that has stopped leaves a log beside its file: %v %v", leftover, err)
	}
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(backup, "acme.keys"), 0o600); err != nil { // which CopyFS does not keep
		t.Fatal(err)
	}
	first, second := start(t, folder(data)), start(t, folder(backup))
	one, two := first.logIn("ann@example.com"), second.logIn("ann@example.com")
	second.client(c.token).want(http.StatusOK, "GET", "/v1/me", nil, nil) // sessions are in the folder, too
	addRecords(one, "notes", 100, 101)
	if a, b := len(everyRecord(t, one, "notes")), len(everyRecord(t, two, "notes")); a != 101 || b != 100 {
		t.Errorf("the first has %d records, want 101; the copy %d, want 100", a, b)
	}
	checkInbox(t, two, 100) // each event had its message, once
}

// TestTwoServers runs two platforms on one machine at once.
func TestTwoServers(t *testing.T) {
	a, b := start(t, folder(t.TempDir())), start(t, folder(t.TempDir()))
	ann := a.signUp("ann@example.com", "Ann's")
	if got := b.client(ann.token).do("GET", "/v1/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("the token of another server: got %d %s", got.status, got.body)
	}
	b.client("").want(http.StatusUnauthorized, "POST", "/v1/auth/login", map[string]string{"email": "ann@example.com", "password": password}, nil)
	other := b.signUp("ann@example.com", "Another Ann's")
	if got := a.client(other.token).do("GET", "/v1/me", nil); got.status != http.StatusUnauthorized {
		t.Errorf("the token of another server: got %d %s", got.status, got.body)
	}
	var both sync.WaitGroup
	for c, n := range map[*client]int{ann: 30, other: 40} {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
		both.Go(func() {
			for i := range n {
				body := strings.NewReader(fmt.Sprintf(`{"data":{"of":%q,"n":%d}}`, c.url, i))
				if got, err := c.try(t.Context(), "POST", "/v1/data/collections/notes/records", "application/json", body); err != nil || got.status != http.StatusCreated {
					t.Errorf("create: %d %s %v", got.status, got.body, err)
				}
			}
		})
	}
	both.Wait()
	for c, n := range map[*client]int{ann: 30, other: 40} {
		records := everyRecord(t, c, "notes")
		for id, r := range records {
			if r["of"] != c.url {
				t.Errorf("%s has the record %s of the other: %v", c.url, id, r)
			}
		}
		if len(records) != n {
			t.Errorf("%s has %d records, want %d", c.url, len(records), n)
		}
		checkInbox(t, c, n)
	}
}

// TestNewerFolder starts the program on the folder of a newer one: whichever
// part's tables are newer, it must refuse and say so, and change nothing.
func TestNewerFolder(t *testing.T) {
	data := t.TempDir()
	s := start(t, folder(data))
	s.signUp("ann@example.com", "Ann's")
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.logged())
	}
	components := migrated(t, data)
	if len(components) < 8 {
		t.Fatalf("the tables of %v only", components)
	}
	for _, name := range components {
		t.Run(name, func(t *testing.T) {
			change(t, data, `INSERT INTO schema_migrations (component, version, name, checksum, applied) VALUES (?, 999, 'later', 'x', 0)`, name)
			s, err := launch(t, folder(data))
			if err == nil {
				t.Error("it started")
				s.kill()
			}
			<-s.done
			log := s.logged()
			if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log, "newer than this program") ||
				!strings.Contains(log, name) || strings.Contains(log, "goroutine ") {
				t.Errorf("exit code %d\n%s", code, log)
			}
			change(t, data, `DELETE FROM schema_migrations WHERE component = ? AND version = 999`, name)
		})
	}
	start(t, folder(data)).logIn("ann@example.com")
}

// migrated returns the components that have tables in the folder.
func migrated(t *testing.T, data string) (components []string) {
	t.Helper()
	db := bareFile(t, data)
	rows, err := db.QueryContext(t.Context(), `SELECT DISTINCT component FROM schema_migrations ORDER BY component`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		components = append(components, name)
	}
	if err := errors.Join(rows.Err(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return components
}

// change runs a statement on the folder of a server that is not running.
func change(t *testing.T, data, statement string, args ...any) {
	t.Helper()
	db := bareFile(t, data)
	_, err := db.ExecContext(t.Context(), statement, args...)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// bareFile opens the database without our driver, which would refuse one that
// is newer.
func bareFile(t *testing.T, data string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "acme.db"))
	if err != nil {
		t.Fatal(err)
	}
	return db
}
