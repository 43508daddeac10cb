package integration

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/teststack"
)

// TestStopUnderLoad ends the server with SIGTERM in the middle of imports,
// creates and ingests. In contrast to a crash, whatever it took it also
// answers: it has exactly what it acknowledged.
func TestStopUnderLoad(t *testing.T) { everywhere(t, stopUnderLoad) }

func stopUnderLoad(t *testing.T, set setup, at place) {
	s := start(t, at)
	c := s.signUp("ann@example.com", "Ann's")
	for _, name := range []string{"created", "imported"} {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": name}, nil)
	}
	acked := ledger{lines: set.atMost(importSize, 20)}
	slowest := time.Duration(0)
	for round := range set.atMost(5, 2) {
		load(s.client(c.token), round, &acked, func() {
			began := time.Now()
			if code := s.stop(); code != 0 {
				t.Errorf("exit code %d\n%s", code, s.logged())
			}
			slowest = max(slowest, time.Since(began))
		})
		s = start(t, at)
		c = s.logIn("ann@example.com")
	}
	if n := acked.check(t, c); n != 0 {
		t.Errorf("%d records and events were taken and not acknowledged", n)
	}
	t.Logf("acknowledged %d created records, %d imports, %d events; slowest stop %v",
		len(acked.created), len(acked.imports), len(acked.events), slowest.Round(time.Millisecond))
	if len(acked.created) < 5 || len(acked.imports) == 0 || len(acked.events) < 5 {
		t.Error("the load was too small to prove anything")
	}
}

// TestStopWithClientThatHangs stops the server while a client holds a request
// open. The request is cut in time for the rest to end as it should.
func TestStopWithClientThatHangs(t *testing.T) { everywhere(t, stopWithClientThatHangs) }

func stopWithClientThatHangs(t *testing.T, set setup, at place) {
	if set.slow() {
		teststack.SkipCase(t, "mongo", "a commit of 500 records takes longer than the server has to stop")
	}
	s := start(t, at, "--shutdown-timeout", "4s")
	c := s.signUp("ann@example.com", "Ann's")
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	c.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"id": "one", "data": map[string]any{}}, nil)

	body, feed := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		_, err := c.try(context.Background(), "POST", "/v1/data/collections/notes/records/import", "application/x-ndjson", body)
		answered <- err
	}()
	if _, err := io.WriteString(feed, strings.Repeat("{\"n\":1}\n", 5000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the begin of the import", func() bool {
		var n struct{ Count int }
		c.want(http.StatusOK, "POST", "/v1/data/collections/notes/records/count", map[string]any{}, &n)
		return n.Count > 1
	})
	began := time.Now()
	code := s.stop()
	took := time.Since(began)
	_ = feed.Close()
	<-answered
	log := s.logged()
	if code != 1 || !strings.Contains(log, "requests were cut off") {
		t.Errorf("exit code %d, want 1 and the reason\n%s", code, log)
	}
	if took > 10*time.Second {
		t.Errorf("it took %v to stop, with a timeout of 4s", took)
	}
	if !strings.Contains(log, `"msg":"platform stopped","errors":0`) {
		t.Errorf("the modules did not end as they should:\n%s", log)
	}
	c = start(t, s.at).logIn("ann@example.com")
	c.want(http.StatusOK, "GET", "/v1/data/collections/notes/records/one", nil, nil)
}

// TestStopWithStream stops the server while a client follows its inbox: the
// stream ends, and holds up nothing.
func TestStopWithStream(t *testing.T) {
	s := start(t, folder(t.TempDir()))
	stream := s.signUp("ann@example.com", "Ann's").follow()
	if first := stream.next(); first.Unread != 0 {
		t.Errorf("the stream of a new inbox begins with %+v", first)
	}
	if code := s.stop(); code != 0 || strings.Contains(s.logged(), "cut off") {
		t.Errorf("exit code %d\n%s", code, s.logged())
	}
	if !stream.ended() {
		t.Error("the stream goes on")
	}
}
