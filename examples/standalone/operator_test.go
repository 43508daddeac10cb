package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestOperatorKey makes a key by the command and uses it at a server over the
// same data.
func TestOperatorKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"operator", "key", "ops laptop", "--data", data}, environment(nil), &stdout, &stderr); code != 0 {
		t.Fatalf("code %d: %s", code, stderr.String())
	}
	key, _, _ := strings.Cut(stdout.String(), "\n")

	o, err := parse([]string{"--data", data}, environment(nil), &stderr)
	if err != nil {
		t.Fatal(err)
	}
	p, err := assembleAndStart(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"/v1/operator/organizations": http.StatusOK, "/v1/members": http.StatusForbidden} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	// The server holds the file.
	stderr.Reset()
	code := run(t.Context(), []string{"operator", "key", "second", "--data", data}, environment(nil), &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "a running server holds the database") {
		t.Errorf("beside a server: code %d, %s", code, stderr.String())
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"operator"}, {"operator", "key"}, {"operator", "key", "--data", data}, {"operator", "list"}} {
		if code := run(t.Context(), args, environment(nil), &stdout, &stderr); code != 2 {
			t.Errorf("%v: code %d", args, code)
		}
	}
}
