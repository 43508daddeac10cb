package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// smallDisk mounts a file system of 24 MiB, of which a file takes 8. The test is
// skipped where that is not allowed.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast = filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, ballast
}

// fill creates records until five were refused for want of room, and returns how
// many were acknowledged.
func fill(s *server, c *client) (acked int) {
	c.t.Helper()
	text := strings.Repeat("x", 20_000)
	for i, refused := 0, 0; refused < 5; i++ {
		a := c.do("POST", "/v1/data/collections/notes/records", map[string]any{"id": fmt.Sprintf("r%d", i), "data": map[string]any{"t": text}})
		switch {
		case a.status == http.StatusCreated:
			acked++
		case a.status == http.StatusServiceUnavailable && strings.Contains(string(a.body), "store_full"):
			if after, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || after < 1 {
				c.t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
			}
			refused++
		default:
			c.t.Fatalf("record %d: got %d %s\n%s", i, a.status, a.body, s.logged())
		}
		if i > 5000 {
			c.t.Fatal("the disk did not fill")
		}
	}
	return acked
}

// TestFullDisk fills a small disk. Writes are refused in time, with Retry-After,
// and /readyz says so; signing in and out, reading and deleting work on, also
// after another start. What was acknowledged is there, and everything works again
// once there is room.
func TestFullDisk(t *testing.T) {
	dir, ballast := smallDisk(t)
	at := folder(filepath.Join(dir, "data"))
	s := start(t, at, "--disk-reserve", "4")
	c := s.signUp("ann@example.com", "Ann's")
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	acked := fill(s, c)
	works := func(s *server, deleted string) {
		t.Helper()
		if a := s.client("").do("GET", "/readyz", nil); a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), `"sqlite":"failed"`) {
			t.Errorf("/readyz says %d %s", a.status, a.body)
		}
		c := s.logIn("ann@example.com")
		c.want(http.StatusOK, "GET", "/v1/data/collections/notes/records/r1", nil, nil)
		c.want(http.StatusNoContent, "DELETE", "/v1/data/collections/notes/records/"+deleted, nil, nil)
		acked--
		if a := c.do("POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{}}); a.status != http.StatusServiceUnavailable {
			t.Errorf("a write: %d %s", a.status, a.body)
		}
		for range 50 { // the reserve lasts
			s.logIn("ann@example.com").want(http.StatusNoContent, "POST", "/v1/auth/logout", nil, nil)
		}
	}
	works(s, "r2")
	s.kill()
	s, err := launch(t, at, "--disk-reserve", "4")
	if err == nil || !strings.Contains(err.Error(), "not ready: 503") {
		t.Fatalf("started on a full disk: %v\n%s", err, s.logged())
	}
	works(s, "r3")

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c = s.logIn("ann@example.com")
	eventually(t, "the server to be ready", func() bool { return c.do("GET", "/readyz", nil).status == http.StatusOK })
	c.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{}}, nil)
	checkRecords(t, c, acked)
	t.Logf("%d records acknowledged before the disk was full", acked)
}

// TestDiskWithoutReserve fills the disk to its end, as another program might. The
// server refuses and loses nothing.
func TestDiskWithoutReserve(t *testing.T) {
	dir, ballast := smallDisk(t)
	at := folder(filepath.Join(dir, "data"))
	s := start(t, at, "--disk-reserve", "0")
	c := s.signUp("ann@example.com", "Ann's")
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	acked := fill(s, c)
	if a := c.do("GET", "/readyz", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("/readyz says %d %s", a.status, a.body)
	}
	c.want(http.StatusOK, "GET", "/v1/data/collections/notes/records/r0", nil, nil) // reading goes on
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writing after room was made", func() bool {
		return c.do("POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{}}).status == http.StatusCreated
	})
	s.kill()
	checkRecords(t, start(t, at, "--disk-reserve", "0").logIn("ann@example.com"), acked)
}

// checkRecords counts the records that fill made.
func checkRecords(t *testing.T, c *client, want int) {
	t.Helper()
	found := 0
	for id := range everyRecord(t, c, "notes") {
		if strings.HasPrefix(id, "r") && !strings.HasPrefix(id, "rec_") {
			found++
		}
	}
	if found != want {
		t.Errorf("%d records were acknowledged, %d are there", want, found)
	}
}
