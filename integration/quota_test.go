package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What a tenant keeps and sends is bounded by its limits, also after a restart,
// and what it removes makes room.
func TestWhatATenantKeepsIsBounded(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		flags := []string{"--limit", "data.records=20", "--limit", "data.record_bytes=4000", "--limit", "data.collections=2", "--limit", "analytics.events=10"}
		s := start(t, at, flags...)
		ann := s.signUp("ann@example.com", "Acme")
		refused := func(code string, status int, a answer) {
			t.Helper()
			if a.status != status || !strings.Contains(string(a.body), `"`+code+`"`) {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, status, code)
			}
		}
		for _, name := range []string{"films", "books"} {
			ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]string{"name": name}, nil)
		}
		refused("limit_exceeded", http.StatusForbidden, ann.do("POST", "/v1/data/collections", map[string]string{"name": "third"}))

		a := ann.send("POST", "/v1/data/collections/films/records/import", "application/x-ndjson", strings.NewReader(strings.Repeat("{}\n", 100)))
		if a.status != http.StatusOK || !strings.Contains(string(a.body), `"imported":20,`) || strings.Count(string(a.body), "limit_exceeded") != 1 {
			t.Errorf("import: %d %s", a.status, a.body)
		}
		create := func(text string) answer {
			return ann.do("POST", "/v1/data/collections/books/records", map[string]any{"data": map[string]string{"text": text}})
		}
		refused("limit_exceeded", http.StatusForbidden, create("x"))
		s.stop()
		s = start(t, at, flags...)
		ann = ann.on(s)
		refused("limit_exceeded", http.StatusForbidden, create("x"))
		for _, id := range ann.list("films")[:2] {
			ann.want(http.StatusNoContent, "DELETE", "/v1/data/collections/films/records/"+id, nil, nil)
		}
		refused("limit_exceeded", http.StatusForbidden, create(strings.Repeat("x", 4000)))
		if a := create("x"); a.status != http.StatusCreated {
			t.Errorf("after a deletion: %d %s", a.status, a.body)
		}

		events := func(n int) answer {
			var list []map[string]string
			for i := range n {
				list = append(list, map[string]string{"id": fmt.Sprint(n, "-", i), "name": "film.seen"})
			}
			return ann.do("POST", "/v1/analytics/events", map[string]any{"events": list})
		}
		if a := events(8); a.status != http.StatusOK {
			t.Errorf("8 events: %d %s", a.status, a.body)
		}
		refused("rate_exceeded", http.StatusTooManyRequests, events(3))
		if a := events(2); a.status != http.StatusOK {
			t.Errorf("2 events: %d %s", a.status, a.body)
		}

		ben := s.signUp("ben@example.com", "Other")
		ben.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]string{"name": "films"}, nil)
		ben.want(http.StatusCreated, "POST", "/v1/data/collections/films/records", map[string]any{"data": map[string]string{}}, nil)
	})
}
