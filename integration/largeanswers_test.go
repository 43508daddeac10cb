package integration

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	// mostMemory is what a server may take, whatever is asked of it here.
	mostMemory = 300 << 20
	silent     = 64 // clients that ask and do not read
)

// Clients that ask for much and do not read it take neither the memory of the
// server nor the place of others.
func TestClientsThatDoNotReadTakeBoundedMemory(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Large")
		ben := s.signUp("ben@example.com", "Small")
		const records, size = 200, 1_000_000
		for _, c := range []*client{ann, ben} {
			c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]string{"name": "films"}, nil)
		}
		line := `{"text":"` + strings.Repeat("x", size) + "\"}\n"
		for c, n := range map[*client]int{ann: records, ben: 1} {
			a := c.send("POST", "/v1/data/collections/films/records/import", "application/x-ndjson", strings.NewReader(strings.Repeat(line, n)))
			if a.status != http.StatusOK {
				t.Fatalf("import: %d %s", a.status, a.body)
			}
		}
		var first struct{ Data []struct{ ID string } }
		ann.want(http.StatusOK, "GET", "/v1/data/collections/films/records?limit=1", nil, &first)
		t.Logf("before: %s", memory(t, s))
		for _, paths := range [][]string{{"/records?limit=200"}, {"/records/export", "/records/" + first.Data[0].ID}} {
			end := ann.askSilently(paths)
			// Others are served meanwhile, large answers too.
			if got := ben.list("films"); len(got) != 1 {
				t.Errorf("another tenant got %d records", len(got))
			}
			end()
			t.Logf("%s: %s", paths, memory(t, s))
		}
		if got := ann.list("films"); len(got) != records {
			t.Errorf("the pages hold %d records, want %d", len(got), records)
		}
		if peak := memory(t, s).peak; peak > mostMemory && !raced {
			t.Errorf("the server took up to %d MiB, want at most %d", peak>>20, mostMemory>>20)
		}
	})
}

// askSilently has many clients ask for the paths in a collection, in turn, and returns once each of them
// has the first byte of its answer; none reads more until end closes them.
func (c *client) askSilently(paths []string) (end func()) {
	c.t.Helper()
	at, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	for i := range silent {
		path := "/v1/data/collections/films" + paths[i%len(paths)]
		wg.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(c.t.Context(), "tcp", at.Host)
			if err != nil {
				c.t.Error(err)
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			_ = conn.(*net.TCPConn).SetReadBuffer(4096)
			_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", path, c.token)
			if err == nil {
				_, err = io.ReadFull(conn, make([]byte, 1))
			}
			if err != nil {
				c.t.Errorf("no answer: %v", err)
			}
		})
	}
	wg.Wait()
	return func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

// list walks all pages of a collection and returns the ids.
func (c *client) list(collection string) (ids []string) {
	c.t.Helper()
	cursor := ""
	for range 1000 {
		var page struct {
			Data       []struct{ ID string }
			NextCursor string `json:"next_cursor"`
		}
		a := c.want(http.StatusOK, "GET", "/v1/data/collections/"+collection+"/records?limit=200&cursor="+cursor, nil, &page)
		if len(a.body) > 3<<20 {
			c.t.Errorf("a page of %d bytes", len(a.body))
		}
		for _, r := range page.Data {
			ids = append(ids, r.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			return ids
		}
	}
	c.t.Fatal("the pages have no end")
	return nil
}

// taken is the memory of a server in bytes; zero where the system does not tell.
type taken struct{ now, peak int }

func (m taken) String() string { return fmt.Sprintf("%d MiB, at most %d", m.now>>20, m.peak>>20) }

func memory(t *testing.T, s *server) (m taken) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if errors.Is(err, fs.ErrNotExist) {
		return m
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			m.now = kib << 10
		case "VmHWM":
			m.peak = kib << 10
		}
	}
	return m
}
