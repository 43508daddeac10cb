package main

import (
	"bytes"
	"crypto/sha1"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestBreachList signs up at a server with --breach-list.
func TestBreachList(t *testing.T) {
	const breached = "orchid ladder 4 pelican"
	sum := fmt.Sprintf("%X", sha1.Sum([]byte(breached)))
	list := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/range/"+sum[:5] {
			_, _ = w.Write([]byte(sum[5:] + ":7\r\n"))
		}
	}))
	defer list.Close()
	defer http.DefaultClient.CloseIdleConnections()
	o, err := parse([]string{"--data", filepath.Join(t.TempDir(), "data"), "--breach-list", list.URL + "/range/", "--breach-list-unavailable", "refuse"},
		environment(nil), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := assembleAndStart(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for password, status := range map[string]int{breached: http.StatusUnprocessableEntity, "violet tractor 9 umbrella": http.StatusCreated} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/auth/signup",
			strings.NewReader(`{"email":"ann@example.com","name":"Ann","organization":"Acme","password":"`+password+`"}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%s: %d %s", password, w.Code, w.Body)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
