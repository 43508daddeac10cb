package integration

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestPowerCut takes the power away at the moment of an acknowledgement: it
// traces what the server writes and syncs, and makes for each cut the files as
// they are on a disk that has lost every byte that was not synced before. A
// server on these files must have all that was acknowledged by then.
func TestPowerCut(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	cuts := 20
	if testing.Short() {
		cuts = 3
	}
	data := filepath.Join(t.TempDir(), "data")
	trace := filepath.Join(t.TempDir(), "trace")
	acks := recordWrites(t, strace, data, trace)
	ops := readTrace(t, trace, data)
	syncs := 0
	for _, op := range ops {
		if op.call == "fsync" || op.call == "fdatasync" {
			syncs++
		}
	}
	if len(acks) < 200 {
		t.Fatalf("%d acknowledgements prove nothing", len(acks))
	}
	for i := range cuts {
		n := (i + 1) * len(acks) / cuts
		at := acks[n-1].at
		image := filepath.Join(t.TempDir(), "data")
		writeImage(t, ops, at, data, image)
		s := start(t, folder(image))
		there := everyRecord(t, s.logIn("ann@example.com"), "notes")
		for _, a := range acks[:n] {
			if _, ok := there[a.id]; !ok {
				t.Errorf("cut %d: record %s was acknowledged %v before and is lost", i, a.id, at.Sub(a.at))
			}
		}
		s.kill()
	}
	t.Logf("%d cuts over %d acknowledgements and %d syncs", cuts, len(acks), syncs)
}

type ack struct {
	id string
	at time.Time
}

// recordWrites runs writers against a traced server, kills it, and returns
// what it acknowledged in the order of time.
func recordWrites(t *testing.T, strace, data, trace string) []ack {
	t.Helper()
	cmd := exec.Command(strace, "-ff", "-ttt", "-T", "-y", "-xx", "-s", "1000000", "-o", trace,
		"-e", "trace=pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2",
		binary, "serve", "--addr", "127.0.0.1:0", "--data", data, "--log-format", "json", "--public-url", "http://platform.test", "--rate-limit", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the tracer's end is not the server's
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	s := &server{t: t, at: folder(data)}
	lines := bufio.NewScanner(stderr)
	for s.url == "" && lines.Scan() {
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			s.url = "http://" + line.Addr
		}
	}
	if s.url == "" {
		t.Skip("a process cannot be traced here")
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	c := s.signUp("ann@example.com", "Ann's")
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	var (
		mu   sync.Mutex
		acks []ack
		wg   sync.WaitGroup
	)
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				id := fmt.Sprintf("w%d-%d", w, i)
				a, err := c.try(t.Context(), "POST", "/v1/data/collections/notes/records", "application/json",
					strings.NewReader(`{"id":"`+id+`","data":{"text":"`+strings.Repeat("x", 300)+`"}}`))
				if err != nil || a.status != http.StatusCreated {
					t.Errorf("create: %v %d %s", err, a.status, a.body)
					return
				}
				mu.Lock()
				acks = append(acks, ack{id, time.Now()})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	end()
	return acks
}

// op is a traced system call on a file of the data folder.
type op struct {
	call       string
	path       string
	begin, end time.Time
	bytes      []byte
	offset     int64 // of a write; the size of a truncation
}

var traceLine = regexp.MustCompile(`^(\d+)\.(\d+) (\w+)\((.*)\) += (-?\d+).*<(\d+\.\d+)>$`)

// readTrace reads the files of strace -ff.
func readTrace(t *testing.T, trace, data string) []op {
	t.Helper()
	files, err := filepath.Glob(trace + ".*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no trace: %v", err)
	}
	var ops []op
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(raw) {
			m := traceLine.FindSubmatch(bytes.TrimSpace(line))
			if m == nil || m[5][0] == '-' {
				continue // a signal, the end of the thread, or a call that failed or never returned
			}
			o, ok := parseCall(t, string(m[3]), string(m[4]))
			if !ok || !strings.HasPrefix(o.path, data+"/acme.db") || strings.HasSuffix(o.path, "-shm") {
				continue // the shared memory is made again at every start
			}
			sec, _ := strconv.ParseInt(string(m[1]), 10, 64)
			usec, _ := strconv.ParseInt(string(m[2]), 10, 64)
			took, _ := strconv.ParseFloat(string(m[6]), 64)
			o.begin = time.Unix(sec, usec*1000)
			o.end = o.begin.Add(time.Duration(took * float64(time.Second)))
			ops = append(ops, o)
		}
	}
	slices.SortStableFunc(ops, func(a, b op) int { return a.begin.Compare(b.begin) })
	return ops
}

// parseCall reads the arguments of a call, in which all strings are in hex.
func parseCall(t *testing.T, call, args string) (op, bool) {
	t.Helper()
	o := op{call: call}
	switch call {
	case "fsync", "fdatasync":
		o.path = unhex(t, between(args, "<", ">"))
	case "ftruncate":
		o.path = unhex(t, between(args, "<", ">"))
		o.offset = lastNumber(t, args)
	case "pwrite64":
		o.path = unhex(t, between(args, "<", ">"))
		o.bytes = []byte(unhex(t, between(args, `"`, `"`)))
		o.offset = lastNumber(t, args)
	case "unlink", "unlinkat": // the latter of the keys of secrets alone, which have no part in a cut
		o.path = unhex(t, between(args, `"`, `"`))
	default:
		t.Fatalf("the replay does not know %s", call)
	}
	return o, true
}

func between(s, open, end string) string {
	_, s, _ = strings.Cut(s, open)
	s, _, _ = strings.Cut(s, end)
	return s
}

func lastNumber(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(s[strings.LastIndexByte(s, ',')+1:]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
	if err != nil {
		t.Fatalf("%.80s: %v", s, err)
	}
	return string(raw)
}

// writeImage makes the files as they are after a cut: of each file what a sync
// that ended before covers, which is every call on it that ended before that
// sync began. A removal is kept only if it cannot do harm; here it takes
// effect at once, as the rollback journal is only there before the first row.
func writeImage(t *testing.T, ops []op, cut time.Time, data, image string) {
	t.Helper()
	synced := map[string]time.Time{}
	for _, o := range ops {
		if (o.call == "fsync" || o.call == "fdatasync") && o.end.Before(cut) && o.begin.After(synced[o.path]) {
			synced[o.path] = o.begin
		}
	}
	files := map[string][]byte{}
	for _, o := range ops {
		if o.call == "unlink" {
			if o.end.Before(cut) {
				delete(files, o.path)
			}
			continue
		}
		if o.end.After(synced[o.path]) {
			continue
		}
		f := files[o.path]
		switch o.call {
		case "pwrite64":
			if need := int(o.offset) + len(o.bytes); need > len(f) {
				f = append(f, make([]byte, need-len(f))...)
			}
			copy(f[o.offset:], o.bytes)
		case "ftruncate":
			f = append(f, make([]byte, max(0, int(o.offset)-len(f)))...)[:o.offset]
		}
		files[o.path] = f
	}
	if err := os.MkdirAll(image, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(image, strings.TrimPrefix(path, data+"/")), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The keys of secrets are synced, with their folder, before the first of them
	// is used.
	keys, err := os.ReadFile(filepath.Join(data, "acme.keys"))
	if err == nil {
		err = os.WriteFile(filepath.Join(image, "acme.keys"), keys, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
