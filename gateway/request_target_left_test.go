package gateway_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/gateway"
)

// downTargets are replicas of which those in down cannot be connected to.
type downTargets struct {
	mu    sync.Mutex
	down  map[string]bool
	tries []string
}

func (d *downTargets) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries = append(d.tries, r.URL.Host)
	if d.down[r.URL.Host] {
		return nil, errDial
	}
	return answer(r, http.StatusOK), nil
}

func (d *downTargets) set(host string, down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down[host] = down
}

// tried returns the hosts that were tried since the last call.
func (d *downTargets) tried() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	tries := d.tries
	d.tries = nil
	return tries
}

func leftOut(t *testing.T, d *downTargets, urls ...string) *gateway.Gateway {
	t.Helper()
	u := remote(urls...)
	u.BreakAfter, u.BreakFor, u.Transport = 1, 10*time.Second, d
	return remoteGateway(t, u)
}

// When every replica is left out, each request tries them all the same, and
// first the one that has been left out for longest.
func TestLeftOutAreTriedWhenNobodyElseIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &downTargets{down: map[string]bool{}}
		g := leftOut(t, d, "http://a.test", "http://b.test", "http://c.test")
		for _, host := range []string{"c.test", "b.test"} {
			d.set(host, true)
			for range 3 { // one of them begins at it
				if w := call(g, "GET", "/v1/open"); w.Code != 200 {
					t.Errorf("without %s: %d %s", host, w.Code, w.Body)
				}
			}
			time.Sleep(time.Second)
		}
		d.tried()
		d.set("a.test", true)
		w := call(g, "GET", "/v1/open")
		wantProblem(t, w, 503, "upstream_unavailable")
		if w.Header().Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
		if tries := d.tried(); !slices.Equal(tries, []string{"a.test", "c.test", "b.test"}) {
			t.Errorf("tried in the order %v", tries)
		}
		wantProblem(t, call(g, "POST", "/v1/open"), 503, "upstream_unavailable")
		if tries := d.tried(); len(tries) != 3 {
			t.Errorf("all are left out, tried are %v", tries)
		}
		d.set("b.test", false)
		for range 4 {
			if w := call(g, "POST", "/v1/open"); w.Code != 200 {
				t.Errorf("after b came back: %d %s", w.Code, w.Body)
			}
		}
		// b takes requests again from its first answer on.
		if tries := d.tried(); len(tries) > 6 || !slices.Equal(tries[len(tries)-3:], []string{"b.test", "b.test", "b.test"}) {
			t.Errorf("after b came back: %v", tries)
		}
	})
}

// A rolling restart refuses nothing: one replica ends and comes back while it
// is still left out, then the other one does.
func TestRollingRestartRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &downTargets{down: map[string]bool{}}
		g := leftOut(t, d, "http://a.test", "http://b.test")
		get := func() {
			t.Helper()
			for range 6 {
				for _, method := range []string{"GET", "POST"} {
					if w := call(g, method, "/v1/open"); w.Code != 200 {
						t.Errorf("%s: %d %s", method, w.Code, w.Body)
					}
				}
			}
		}
		for _, host := range []string{"a.test", "b.test", "a.test"} {
			d.set(host, true)
			get()
			d.set(host, false)
			time.Sleep(time.Second) // less than it is left out for
		}
		get()
	})
}

// Replicas that are left out and hang hold a bounded number of requests; the
// others are answered at once.
func TestLeftOutThatHangHoldFewRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		waiting := 0
		var mu sync.Mutex
		fail := true
		u := remote("http://a.test")
		u.BreakAfter = 1
		u.Transport = tripper(func(r *http.Request) (*http.Response, error) {
			if fail {
				return nil, errDial
			}
			mu.Lock()
			waiting++
			mu.Unlock()
			<-hang
			return answer(r, 200), nil
		})
		g := remoteGateway(t, u)
		wantProblem(t, call(g, "GET", "/v1/open"), 502, "bad_gateway")
		fail = false
		var codes [100]int
		var calls sync.WaitGroup
		for i := range codes {
			calls.Go(func() { codes[i] = call(g, "GET", "/v1/open").Code })
		}
		synctest.Wait()
		if waiting != 32 {
			t.Errorf("%d requests wait for a target that hangs, want 32", waiting)
		}
		close(hang)
		calls.Wait()
		count := map[int]int{}
		for _, code := range codes {
			count[code]++
		}
		if count[200] != 32 || count[503] != 68 {
			t.Errorf("answers by status: %v", count)
		}
	})
}
