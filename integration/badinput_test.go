package integration

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBadInput sends what is wrong and sees a clear problem, and that nothing
// was lost or written.
func TestBadInput(t *testing.T) { everywhere(t, badInput) }

func badInput(t *testing.T, _ setup, at place) {
	s := start(t, at)
	c := s.signUp("ann@example.com", "Ann's")
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	first := c.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"id": "one", "data": map[string]any{"n": 1}}, nil)
	c.want(http.StatusOK, "PUT", "/v1/data/collections/notes/records/one", map[string]any{"data": map[string]any{"n": 2}}, nil)
	big := append([]byte(`{"data":{"x":"`), bytes.Repeat([]byte("a"), 50<<20)...)
	big = append(big, `"}}`...)

	for _, x := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"malformed JSON", "POST", "/v1/data/collections/notes/records", `{"data":`, nil, 400, "malformed"},
		{"not an object", "POST", "/v1/data/collections/notes/records", `{"data":[1]}`, nil, 422, "/data"},
		{"an unknown field", "POST", "/v1/data/collections/notes/records", `{"data":{},"tenant":"org_x"}`, nil, 422, "tenant"},
		{"50 MB", "POST", "/v1/data/collections/notes/records", string(big), nil, 413, "too_large"},
		{"an unknown operator", "POST", "/v1/data/collections/notes/records/query", `{"filter":{"n":{"$where":"1"}}}`, nil, 422, "/filter/n/$where"},
		{"a stale If-Match", "PUT", "/v1/data/collections/notes/records/one", `{"data":{"n":3}}`, []string{"If-Match", first.header.Get("ETag")}, 412, "stale"},
		{"a bad cursor", "GET", "/v1/data/collections/notes/records?cursor=abc", "", nil, 400, "cursor"},
		{"a bad limit", "GET", "/v1/data/collections/notes/records?limit=-1", "", nil, 422, "query.limit"},
		{"an unknown route", "GET", "/v1/nothing", "", nil, 404, "not_found"},
		{"a wrong method", "PATCH", "/v1/auth/login", "{}", nil, 405, "method"},
		{"a wrong media type", "POST", "/v1/data/collections/notes/records/import", "x", []string{"Content-Type", "application/xml"}, 415, "application/x-ndjson"},
		{"an event without a name", "POST", "/v1/analytics/events", `{"id":"e1","user":"u"}`, nil, 422, `"path":"/events/0","code":"name_required"`},
		{"an unknown zone", "POST", "/v1/analytics/query/series", `{"event":"e","from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z","interval":"day","timezone":"Mars/Base"}`, nil, 422, "/timezone"},
	} {
		t.Run(x.name, func(t *testing.T) {
			header := append([]string{"Content-Type", "application/json"}, x.header...)
			a, err := c.try(t.Context(), x.method, x.path, "", strings.NewReader(x.body), header...)
			if err != nil && x.status == 413 && (errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)) {
				t.Skipf("the server closed the connection before the body was sent: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.status != x.status || !strings.Contains(string(a.body), x.says) {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("content type %q", a.header.Get("Content-Type"))
			}
		})
	}
	var rec struct{ Data struct{ N int } }
	c.want(http.StatusOK, "GET", "/v1/data/collections/notes/records/one", nil, &rec)
	var n struct{ Count int }
	c.want(http.StatusOK, "POST", "/v1/data/collections/notes/records/count", map[string]any{}, &n)
	if rec.Data.N != 2 || n.Count != 1 {
		t.Errorf("after bad input there are %d records, one says %d", n.Count, rec.Data.N)
	}
}

func TestExpiredToken(t *testing.T) {
	s := start(t, folder(t.TempDir()), "--access-token-ttl", "1s")
	c := s.signUp("ann@example.com", "Ann's")
	eventually(t, "the end of the token", func() bool {
		a := c.do("GET", "/v1/me", nil)
		return a.status == http.StatusUnauthorized && strings.Contains(string(a.body), "request_id")
	})
}

// TestUnreachableSMTP sees that a message to a mail server that is away is
// kept, says why, and waits for its next attempt.
func TestUnreachableSMTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close() // nobody listens there now
	s := start(t, folder(t.TempDir()), "--smtp-addr", addr, "--smtp-from", "platform@example.com", "--smtp-tls", "none")
	c := s.signUp("ann@example.com", "Ann's")
	a := c.do("POST", "/v1/notify/messages", map[string]any{
		"to": map[string]any{"roles": []string{"owner"}}, "channels": []string{"inbox", "email"}, "title": "hello", "body": "you",
	})
	if a.status/100 != 2 {
		t.Fatalf("send: %d %s", a.status, a.body)
	}
	var sent struct{ ID string }
	a.into(t, &sent)
	var body string
	eventually(t, "a failed attempt that is kept", func() bool {
		body = string(c.want(http.StatusOK, "GET", "/v1/notify/messages/"+sent.ID, nil, nil).body)
		return strings.Contains(body, `"attempts":[{`)
	})
	if !strings.Contains(body, `"email"`) || strings.Contains(body, `"status":"failed"`) {
		t.Errorf("one failed attempt must not be the end: %s", body)
	}
	var page inboxPage
	c.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &page)
	if len(page.Data) != 1 {
		t.Errorf("the other channel must not wait: %+v", page)
	}
}

// TestCannotStart sees a clear message and a quick end for what keeps the
// server from starting.
func TestCannotStart(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := start(t, folder(t.TempDir()))
	for name, x := range map[string]struct {
		at    place
		flags []string
		says  string
	}{
		"port in use":              {folder(t.TempDir()), []string{"--addr", busy.Addr().String()}, "address already in use"},
		"a folder under a file":    {folder(filepath.Join(file, "data")), nil, file},
		"a folder on a read-only":  {folder("/proc/acme-data"), nil, "/proc/acme-data"},
		"a folder that is in use":  {used.at, nil, "open already"},
		"an address of no machine": {folder(t.TempDir()), []string{"--addr", "no port"}, "--addr"},
		"an unknown flag":          {folder(t.TempDir()), []string{"--nonsense"}, "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := launch(t, x.at, x.flags...)
			if err == nil {
				t.Fatal("it started")
			}
			<-s.done
			if code := s.cmd.ProcessState.ExitCode(); code != 1 && code != 2 {
				t.Errorf("exit code %d", code)
			}
			log := s.logged()
			if !strings.Contains(log, x.says) || strings.Contains(log, "goroutine ") {
				t.Errorf("it says:\n%s", log)
			}
		})
	}
}
