package integration

import (
	"net/http"
	"strings"
	"testing"
)

// TestCombinations runs a short way over choices of stores that are no set-up:
// each part can be chosen by itself.
func TestCombinations(t *testing.T) {
	file := func(t *testing.T) place { return folder(t.TempDir()) }
	for name, parts := range map[string][]func(*testing.T) place{
		"file-redis":     {file, onRedis},
		"file-kafka":     {file, onKafka},
		"file-mongo":     {file, onMongo},
		"postgres-kafka": {onPostgres, onKafka},
		"postgres-mongo": {onPostgres, onMongo},
	} {
		t.Run(name, func(t *testing.T) {
			var at place
			for _, part := range parts {
				at = append(at, part(t)...)
			}
			s := start(t, at)
			ann, bob := s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's")
			inbox(t, ann, bob)
			ready := string(ann.want(http.StatusOK, "GET", "/readyz", nil, nil).body)
			for flag, module := range map[string]string{"--data": "sqlite", "--postgres": "postgres", "--redis": "redis", "--kafka": "kafka", "--mongo": "documents"} {
				if strings.Contains(ready, `"`+module+`":"ok"`) != (at.of(flag) != "") {
					t.Errorf("%s: the health report is %s", flag, ready)
				}
			}
			if code := s.stop(); code != 0 {
				t.Errorf("exit code %d\n%s", code, s.logged())
			}
			again := start(t, at).client(ann.token)
			again.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{}}, nil)
			eventually(t, "the inbox message after a restart", func() bool {
				var page inboxPage
				again.want(http.StatusOK, "GET", "/v1/notify/inbox?unread=true", nil, &page)
				return page.Unread == 1
			})
		})
	}
}
