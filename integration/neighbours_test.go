package integration

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var neighbours = flag.Int("neighbours", 0, "how many rounds TestNeighbours measures, each case for 3 s alone and 3 s attacked; 0 is none")

// neighbourSize is how many records, and how many events, the attacker has.
const neighbourSize = 100_000

// The load of the neighbour that is measured, and of the attacker.
const (
	readsPerSecond  = 100
	writesPerSecond = 20
	attackers       = 16
)

// attack is what one tenant asks, again and again, on many connections.
type attack struct {
	name, method, path string
	body               any
}

var attacks = []attack{
	{"count", "POST", "/v1/data/collections/many/records/count", map[string]any{"filter": map[string]any{"n": map[string]any{"$gte": 500}}}},
	{"sort", "POST", "/v1/data/collections/many/records/query", map[string]any{"sort": []string{"-n", "title"}, "limit": 10}},
	{"breakdown", "POST", "/v1/analytics/query/breakdown", map[string]any{
		"event": "page.viewed", "from": "2026-01-01", "to": "2026-02-01", "property": "country",
	}},
	{"export", "GET", "/v1/data/collections/many/records/export", nil},
}

// TestNeighbours prints how long the requests of one tenant take beside those
// of another that asks for scans. It checks no figure: a machine that does
// other things too makes its own.
func TestNeighbours(t *testing.T) {
	if *neighbours == 0 {
		t.Skip("-neighbours is 0")
	}
	for _, s := range setups {
		if s.name != embedded && s.name != "postgres" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			n := newNeighbours(t, start(t, s.place(t), "--rate-limit", "0", "--sign-in-limit", "0"))
			t.Run("a busy core", func(t *testing.T) {
				n.measure(t, "busy core", func(*answers) (stop func()) { return busyCore(t) })
			})
			for _, a := range attacks {
				t.Run(a.name, func(t *testing.T) {
					n.measure(t, a.name, func(asked *answers) (stop func()) { return n.attack(a, attackers, asked) })
				})
			}
		})
	}
}

// pair is an attacker and its neighbour.
type pair struct {
	t    *testing.T
	a, b *client
}

func newNeighbours(t *testing.T, s *server) *pair {
	t.Helper()
	p := &pair{t: t, a: s.signUp("a@example.com", "Attacker"), b: s.signUp("b@example.com", "Neighbour")}
	p.a.fillMany(neighbourSize)
	p.fillFew()
	return p
}

// fillFew gives the neighbour one record.
func (p *pair) fillFew() {
	p.b.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]string{"name": "few"}, nil)
	p.b.want(http.StatusCreated, "POST", "/v1/data/collections/few/records", map[string]any{"id": "one", "data": map[string]int{"n": 1}}, nil)
}

// fillMany gives a tenant records and events.
func (c *client) fillMany(size int) {
	c.t.Helper()
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]string{"name": "many"}, nil)
	var lines bytes.Buffer
	for i := range size {
		fmt.Fprintf(&lines, "{\"n\":%d,\"title\":\"record %08x\",\"tag\":\"tag%02d\"}\n", i*7919%1000, i*104729, i%50)
	}
	a, err := c.try(c.t.Context(), "POST", "/v1/data/collections/many/records/import", "application/x-ndjson", &lines)
	if err != nil || a.status != http.StatusOK {
		c.t.Fatalf("import: %d %s %v", a.status, a.body, err)
	}
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for done := 0; done < size; done += 1000 {
		events := make([]map[string]any, 1000)
		for i := range events {
			events[i] = map[string]any{
				"name": "page.viewed", "user": fmt.Sprintf("usr_%d", (done+i)%5000), "time": first.Add(time.Duration(done+i) * time.Second),
				"properties": map[string]any{"country": []string{"DE", "FR", "US", "IN"}[i%4], "path": fmt.Sprintf("/p/%d", i%300)},
			}
		}
		if a := c.do("POST", "/v1/analytics/events", map[string]any{"events": events}); a.status/100 != 2 {
			c.t.Fatalf("ingest: %d %s", a.status, a.body)
		}
	}
}

// busyCore keeps one core of the machine busy until stop is called. What it
// costs the neighbour is the floor for a scan, which may use one core too.
func busyCore(t *testing.T) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
}

// measure runs the neighbour alone and beside what begin begins, in turn.
func (p *pair) measure(t *testing.T, name string, begin func(*answers) (stop func())) {
	t.Helper()
	var alone, beside [2][]timings // reads, writes
	var asked answers
	for range *neighbours {
		reads, writes := p.neighbour()
		alone[0], alone[1] = append(alone[0], reads), append(alone[1], writes)
		stop := begin(&asked)
		time.Sleep(300 * time.Millisecond) // it is under way
		reads, writes = p.neighbour()
		beside[0], beside[1] = append(beside[0], reads), append(beside[1], writes)
		stop()
	}
	for i, what := range []string{"reads", "writes"} {
		t.Logf("%-9s (%s): %-6s p50 %6.1f → %7.1f ms, ratio %6.1f; p99 %6.1f → %7.1f ms, ratio %6.1f", name, &asked, what,
			middle(alone[i], 50), middle(beside[i], 50), middle(beside[i], 50)/middle(alone[i], 50),
			middle(alone[i], 99), middle(beside[i], 99), middle(beside[i], 99)/middle(alone[i], 99))
	}
}

// timings are how long requests took, in milliseconds.
type timings []float64

func (t timings) percentile(p int) float64 {
	slices.Sort(t)
	return t[(len(t)-1)*p/100]
}

// middle is the median over rounds of a percentile.
func middle(rounds []timings, p int) float64 {
	all := make([]float64, len(rounds))
	for i, r := range rounds {
		all[i] = r.percentile(p)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// neighbour reads and writes at a steady rate for 3 s, however long each takes.
func (p *pair) neighbour() (reads, writes timings) {
	var wg sync.WaitGroup
	wg.Go(func() {
		writes = p.steady(writesPerSecond, "PUT", http.StatusOK, map[string]any{"data": map[string]int{"n": 2}})
	})
	reads = p.steady(readsPerSecond, "GET", http.StatusOK, nil)
	wg.Wait()
	return reads, writes
}

func (p *pair) steady(perSecond int, method string, status int, body any) timings {
	out := make(timings, 3*perSecond)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range out {
		at := begin.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(at))
		wg.Go(func() {
			if a := p.b.do(method, "/v1/data/collections/few/records/one", body); a.status != status {
				p.t.Errorf("%s: %d %s", method, a.status, a.body)
			}
			out[i] = float64(time.Since(at).Microseconds()) / 1000
		})
	}
	wg.Wait()
	return out
}

// answers counts what the attacker is told.
type answers struct{ ok, limited, other atomic.Int64 }

func (a *answers) String() string {
	return fmt.Sprintf("%d answers, %d times 429", a.ok.Load(), a.limited.Load())
}

// count notes an answer. One that says "later" must say when.
func (a *answers) count(t *testing.T, status int, header http.Header, body string) {
	switch {
	case status == http.StatusOK:
		a.ok.Add(1)
	case status == http.StatusTooManyRequests && header.Get("Retry-After") != "":
		a.limited.Add(1)
	default:
		a.other.Add(1)
		t.Errorf("the attacker is told %d %v %s", status, header, body)
	}
}

// attack asks on n connections until stop is called.
func (p *pair) attack(a attack, n int, asked *answers) (stop func()) {
	var raw []byte
	if a.body != nil {
		var err error
		if raw, err = json.Marshal(a.body); err != nil {
			p.t.Fatal(err)
		}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				req, err := http.NewRequestWithContext(p.t.Context(), a.method, p.a.url+a.path, bytes.NewReader(raw))
				if err != nil {
					p.t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+p.a.token)
				if raw != nil {
					req.Header.Set("Content-Type", "application/json")
				}
				resp, err := p.a.http.Do(req)
				if err != nil {
					p.t.Errorf("%s: %v", a.name, err)
					return
				}
				var text strings.Builder
				_, err = io.Copy(io.Discard, io.TeeReader(resp.Body, limitedWriter{&text}))
				resp.Body.Close()
				asked.count(p.t, resp.StatusCode, resp.Header, text.String())
				if err != nil {
					p.t.Errorf("%s: %v", a.name, err)
				}
			}
		})
	}
	return func() {
		close(done)
		wg.Wait()
	}
}

// limitedWriter keeps the beginning.
type limitedWriter struct{ to *strings.Builder }

func (w limitedWriter) Write(b []byte) (int, error) {
	w.to.Write(b[:min(len(b), max(0, 500-w.to.Len()))])
	return len(b), nil
}
