package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// replicated runs the test with two replicas on each set-up that makes them
// one: with PostgreSQL and Redis.
func replicated(t *testing.T, flags []string, test func(t *testing.T, set setup, at place, one, two *server)) {
	t.Helper()
	for _, s := range setups {
		if s.name == embedded || s.name == "postgres" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			at := s.place(t)
			test(t, s, at, start(t, at, flags...), start(t, at, flags...))
		})
	}
}

// on returns the client with another server in its place.
func (c *client) on(s *server) *client { return s.client(c.token) }

// TestRevocationCrosses ends sessions at one replica while the other has just
// found them good. Without a message between the two the other one would go on
// accepting each for as long as it keeps verdicts, which is 5 s.
func TestRevocationCrosses(t *testing.T) {
	replicated(t, nil, func(t *testing.T, _ setup, _ place, one, two *server) {
		one.signUp("ann@example.com", "Ann's")
		var took []time.Duration
		for range 10 {
			session := one.logIn("ann@example.com")
			session.on(two).want(http.StatusOK, "GET", "/v1/me", nil, nil)
			session.want(http.StatusNoContent, "POST", "/v1/auth/logout", map[string]any{}, nil)
			began := time.Now()
			session.want(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
			for session.on(two).do("GET", "/v1/me", nil).status != http.StatusUnauthorized {
				if time.Since(began) > patience {
					t.Fatal("the other replica never heard of it")
				}
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		t.Logf("a revocation took %v to %v, in the middle %v", took[0], took[9], took[5])
		if took[0] > 4*time.Second {
			t.Errorf("the fastest of ten revocations took %v", took[0])
		}
	})
}

// TestLiveUpdateCrosses follows inboxes at one replica while records are created
// at the other. Each organization hears of its own.
func TestLiveUpdateCrosses(t *testing.T) {
	replicated(t, nil, func(t *testing.T, _ setup, _ place, one, two *server) {
		ann, bob := one.signUp("ann@example.com", "Ann's"), one.signUp("bob@example.com", "Bob's")
		ofAnn, ofBob := ann.on(two).follow(), bob.on(two).follow()
		if a, b := ofAnn.next(), ofBob.next(); a.Unread != 0 || b.Unread != 0 {
			t.Fatalf("the streams begin with %+v and %+v", a, b)
		}
		var took []time.Duration
		for n := range 5 {
			if n == 0 {
				ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
			}
			ann.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{}}, nil)
			created := time.Now()
			for seen := ofAnn.next(); seen.Unread != n+1; seen = ofAnn.next() {
				if seen.Unread > n+1 {
					t.Fatalf("after %d records it says %+v", n+1, seen)
				}
			}
			took = append(took, time.Since(created))
		}
		t.Logf("a live update took %v", took)
		addRecords(bob, "notes", 0, 1)
		if seen := ofBob.next(); seen.Unread != 1 {
			t.Errorf("after one record of its own the other organization's stream says %+v", seen)
		}
	})
}

// TestLimitsAreShared makes more requests than pass, of several callers at
// once, over both replicas.
func TestLimitsAreShared(t *testing.T) {
	const limit, signIns = 40, 8
	flags := []string{"--rate-limit", fmt.Sprint(limit), "--sign-in-limit", fmt.Sprint(signIns)}
	replicated(t, flags, func(t *testing.T, _ setup, _ place, one, two *server) {
		ann, bob := one.signUp("ann@example.com", "Ann's"), two.signUp("bob@example.com", "Bob's")
		began := time.Now()
		count := func(c *client, n int, do func(*client) (answer, error)) map[int]int {
			var mu sync.Mutex
			var wg sync.WaitGroup
			got := map[int]int{}
			for _, s := range []*server{one, two, one, two} {
				wg.Go(func() {
					for range n / 4 {
						a, err := do(c.on(s))
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						got[a.status]++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			return got
		}
		me := func(c *client) (answer, error) { return c.try(t.Context(), "GET", "/v1/me", "", nil) }
		if got := count(ann, 2*limit, me); got[http.StatusOK] != limit || got[http.StatusTooManyRequests] != limit {
			t.Errorf("of %d requests passed: %v, want %d", 2*limit, got, limit)
		}
		if got := count(bob, limit, me); got[http.StatusOK] != limit {
			t.Errorf("another organization has a limit of its own, and got %v", got)
		}
		// Two sign-ups have passed already; the address is the same.
		logIn := func(c *client) (answer, error) {
			return c.try(t.Context(), "POST", "/v1/auth/login", "application/json",
				strings.NewReader(`{"email":"ann@example.com","password":"`+password+`"}`))
		}
		if got := count(&client{}, 2*signIns, logIn); got[http.StatusOK] != signIns-2 || got[http.StatusTooManyRequests] != signIns+2 {
			t.Errorf("of %d logins passed: %v, want %d", 2*signIns, got, signIns-2)
		}
		if took := time.Since(began); took > 50*time.Second {
			t.Fatalf("it took %v, in which a new window may have begun", took)
		}
	})
}

// TestJobsRunOnce has both replicas create records that a webhook hears of. The
// receiver refuses each delivery once and asks for it again a second later, so
// that whichever replica is at hand runs the job a second time: each is tried
// exactly twice, and each record has one message. A third replica that starts
// while deliveries are under way takes none of them for abandoned.
func TestJobsRunOnce(t *testing.T) {
	flags := []string{"--webhooks-to-private"}
	replicated(t, flags, func(t *testing.T, _ setup, at place, one, two *server) {
		const records = 50
		r := &receiver{open: make(chan struct{}), attempts: map[string]int{}, under: map[string]int{}, heard: map[string]int{}}
		hook := httptest.NewServer(r)
		t.Cleanup(hook.Close)
		ann := one.signUp("ann@example.com", "Ann's")
		var endpoint struct{ ID string }
		ann.want(http.StatusCreated, "POST", "/v1/notify/endpoints", map[string]any{"url": hook.URL, "types": []string{"data.record.created"}}, &endpoint)
		ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
		var wg sync.WaitGroup
		for i, s := range []*server{one, two} {
			c := ann.on(s)
			wg.Go(func() {
				for n := range records / 2 {
					body := fmt.Sprintf(`{"id":"r%d-%d","data":{}}`, i, n)
					if a, err := c.try(t.Context(), "POST", "/v1/data/collections/notes/records", "application/json", strings.NewReader(body)); err != nil || a.status != http.StatusCreated {
						t.Errorf("create: %d %s %v", a.status, a.body, err)
					}
				}
			})
		}
		wg.Wait()
		// A replica has so many deliveries to one endpoint under way.
		const atOnce = 4
		eventually(t, "both replicas to be busy", func() bool { return r.size() == 2*atOnce })
		start(t, at, flags...)
		eventually(t, "the third replica to be busy, too", func() bool { return r.size() == 3*atOnce })
		close(r.open)
		eventually(t, "every delivery", func() bool {
			var page struct {
				Data []struct {
					Status   string
					Attempts []any
				}
			}
			ann.want(http.StatusOK, "GET", "/v1/notify/endpoints/"+endpoint.ID+"/deliveries?limit=100", nil, &page)
			done := 0
			for _, d := range page.Data {
				if d.Status == "delivered" && len(d.Attempts) == 2 {
					done++
				}
			}
			return done == records
		})
		checkInbox(t, ann.on(two), records)
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.attempts) != records || len(r.heard) != records {
			t.Errorf("%d deliveries of %d records, want %d", len(r.attempts), len(r.heard), records)
		}
		if r.overlaps > 0 {
			t.Errorf("%d deliveries were tried twice at once", r.overlaps)
		}
		for id, n := range r.attempts {
			if n != 2 {
				t.Errorf("delivery %s was tried %d times, want 2", id, n)
			}
		}
		for id, n := range r.heard {
			if n != 1 {
				t.Errorf("the event of record %s was taken %d times", id, n)
			}
		}
	})
}

// receiver takes a delivery when it comes for the second time, and answers
// nothing until it is open.
type receiver struct {
	open     chan struct{}
	mu       sync.Mutex
	attempts map[string]int // by delivery
	under    map[string]int // those that are under way
	overlaps int
	heard    map[string]int // by record, of those that were taken
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var event struct{ Data struct{ ID string } }
	body, err := io.ReadAll(req.Body)
	if err != nil || json.Unmarshal(body, &event) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	id := req.Header.Get("Webhook-Id")
	r.mu.Lock()
	if r.under[id]++; r.under[id] > 1 {
		r.overlaps++
	}
	r.attempts[id]++
	again := r.attempts[id] > 1
	if again {
		r.heard[event.Data.ID]++
	}
	r.mu.Unlock()
	select {
	case <-r.open:
	case <-req.Context().Done():
	}
	r.mu.Lock()
	r.under[id]--
	r.mu.Unlock()
	if !again {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// size is how many deliveries were begun.
func (r *receiver) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.attempts)
}

// TestKillReplicas kills one of two replicas again and again while both are
// under load, starts it again while the other goes on serving, and at last kills
// both: nothing that either has acknowledged is lost or doubled.
func TestKillReplicas(t *testing.T) {
	replicated(t, nil, func(t *testing.T, set setup, at place, one, two *server) {
		c := one.signUp("ann@example.com", "Ann's")
		for _, name := range []string{"created", "imported"} {
			c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": name}, nil)
		}
		replicas := []*server{one, two}
		rounds := set.atMost(4, 2)
		acked := ledger{lines: set.atMost(importSize, 20)}
		for round := range rounds {
			victim, other := round%2, 1-round%2
			again := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() { load(c.on(replicas[other]), rounds+round, &acked, func() { <-again }) })
			load(c.on(replicas[victim]), round, &acked, replicas[victim].kill)
			before := acked.size()
			eventually(t, "the other replica to serve", func() bool { return acked.size() > before+20 })
			s, err := launch(t, at)
			close(again)
			wg.Wait()
			if err != nil {
				t.Fatalf("start: %v\n%s", err, s.logged())
			}
			replicas[victim] = s
		}
		load(c.on(replicas[0]), 2*rounds, &acked, func() {
			replicas[0].kill()
			replicas[1].kill()
		})
		one, two = start(t, at), start(t, at)
		acked.check(t, c.on(one))
		if a, b := len(everyRecord(t, c.on(one), "created")), len(everyRecord(t, c.on(two), "created")); a != b {
			t.Errorf("one replica has %d records, the other %d", a, b)
		}
		t.Logf("acknowledged %d created records, %d imports, %d events", len(acked.created), len(acked.imports), len(acked.events))
	})
}
