package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUsersImport imports a file twice, and one with a line that is wrong.
func TestUsersImport(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "people.ndjson")
	line := `{"email":"ann@example.com","name":"Ann","external_id":"7","password_hash":"$2b$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC"}` + "\n"
	for _, c := range []struct {
		text   string
		code   int
		stdout string
		stderr string
	}{
		{line, 0, "1 people were imported, 0 were known", ""},
		{line, 0, "0 people were imported, 1 were known", ""},
		{line + strings.Replace(line, "$2b$05", "$2b$31", 1), 1, "0 people were imported", "line.2.password_hash"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"users", "import", file, "--data", data}, environment(nil), &stdout, &stderr)
		if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
			t.Errorf("code %d, %s, %s", code, stdout.String(), stderr.String())
		}
	}
	var out bytes.Buffer
	for _, args := range [][]string{{"users"}, {"users", "import"}, {"users", "import", "--data", data}, {"users", "export", file}} {
		if code := run(t.Context(), args, environment(nil), &out, &out); code != 2 {
			t.Errorf("%v: code %d", args, code)
		}
	}
	if code := run(t.Context(), []string{"users", "import", filepath.Join(dir, "none"), "--data", data}, environment(nil), &out, &out); code != 1 {
		t.Errorf("a file that is not there: code %d", code)
	}
}
