package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLostFiles takes a part of its folder from a server that was stopped or
// killed. It does not begin a new installation over what is left: it ends, says
// what is missing, and changes nothing, so that putting the part back is enough.
func TestLostFiles(t *testing.T) {
	for name, c := range map[string]struct {
		end   func(*server)
		file  string
		lose  func(path string) error
		reads string
	}{
		"the database is removed": {func(s *server) { s.stop() }, "acme.db", os.Remove, "the file is not there"},
		"the database is emptied": {func(s *server) { s.stop() }, "acme.db", func(path string) error { return os.Truncate(path, 0) }, "the file is empty"},
		"the log is removed":      {(*server).kill, "acme.db-wal", os.Remove, "write-ahead log"},
	} {
		t.Run(name, func(t *testing.T) {
			data := t.TempDir()
			s := start(t, folder(data))
			addRecords(s.signUp("ann@example.com", "Ann's"), "notes", 0, 3)
			c.end(s)
			path := filepath.Join(data, c.file)
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.lose(path); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s, err = launch(t, folder(data))
				if err == nil {
					t.Fatal("it started, and is ready")
				}
				<-s.done
				log := s.logged()
				if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log, c.reads) || !strings.Contains(log, "acme.db.state") {
					t.Errorf("exit code %d\n%s", code, log)
				}
			}
			if err := os.WriteFile(path, kept, 0o600); err != nil {
				t.Fatal(err)
			}
			if n := len(everyRecord(t, start(t, folder(data)).logIn("ann@example.com"), "notes")); n != 3 {
				t.Errorf("%d records after putting it back, want 3", n)
			}
		})
	}
}
