package notify_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/queue"
)

// suspensions are said by the test.
type suspensions struct {
	mu      sync.Mutex
	of      map[platform.TenantID]bool
	changed []func(platform.TenantID)
}

func (s *suspensions) Suspended(_ context.Context, t platform.TenantID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[t], nil
}

func (s *suspensions) OnSuspension(changed func(platform.TenantID)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, changed)
}

func (s *suspensions) set(t platform.TenantID, suspended bool) {
	s.mu.Lock()
	s.of = map[platform.TenantID]bool{t: suspended}
	changed := s.changed
	s.mu.Unlock()
	for _, f := range changed {
		f(t)
	}
}

// suspendable is a world whose tenants can be suspended.
func suspendable(t *testing.T) (*world, *suspensions) {
	t.Helper()
	s := &suspensions{}
	place := testdb.NewPlace(t)
	db := place.Open(t)
	jobs, err := queue.New(queue.Config{DB: db, Interval: time.Hour, Lease: 3 * time.Hour, Suspensions: s})
	if err != nil {
		t.Fatal(err)
	}
	w := openOn(t, place, db, everybody(), func(c *notify.Config) {
		c.Queue, c.PubSub = jobs, memory.NewPubSub()
	}, nil)
	t.Cleanup(w.close)
	return w, s
}

// The live streams of a suspended tenant end and new ones are refused; those of
// another tenant go on.
func TestSuspensionEndsStreams(t *testing.T) {
	w, s := suspendable(t)
	ann, leaveAnn, annEnded := w.stream(acme, "ann")
	defer leaveAnn()
	zoe, leaveZoe, zoeEnded := w.stream(other, "zoe")
	ann.event(t)
	zoe.event(t)
	s.set(acme, true)
	select {
	case <-annEnded:
	case <-time.After(20 * time.Second):
		t.Fatal("the stream goes on")
	}
	w.send(other, "zoe")
	if n, _ := zoe.event(t); n != 1 {
		t.Errorf("the other tenant's stream: %d", n)
	}
	if status, body := w.call(acme, "ann", http.MethodGet, "/v1/notify/inbox/stream", nil); status != 403 || body["code"] != "organization_suspended" {
		t.Errorf("a new stream: %d %v", status, body)
	}
	s.set(acme, false)
	again, leaveAgain, againEnded := w.stream(acme, "ann")
	again.event(t)
	leaveAgain()
	leaveZoe()
	<-againEnded
	<-zoeEnded
}

// What happens in a suspended tenant has no effect until it is resumed, and then
// each has its one effect. Another tenant's rules and webhooks go on.
func TestEventsOfASuspendedTenantWait(t *testing.T) {
	w, s := suspendable(t)
	r := &receiver{}
	w.svc.SetTransport(r)
	for _, tenant := range []platform.TenantID{acme, other} {
		w.want(201, tenant, "ann", "POST", "/v1/notify/endpoints", map[string]any{
			"url": "https://" + string(tenant[4:]) + ".example.com/in", "types": []string{"data.*"},
		})
		w.want(201, tenant, "ann", "POST", "/v1/notify/rules", map[string]any{
			"name": "created", "event": "data.record.created", "channels": []string{"inbox"},
			"to": map[string]any{"everyone": true}, "title": "New", "body": "A record",
		})
	}
	s.set(acme, true)
	for n := range 5 {
		w.emit(recordCreated(acme, n), recordCreated(other, n))
	}
	eventually(t, "the other tenant's messages and webhooks", func() bool {
		return w.inbox(other, "zoe").Unread == 5 && len(r.all()) == 5
	})
	if n := w.inbox(acme, "ann").Unread; n != 0 {
		t.Errorf("%d messages of a suspended tenant's rule", n)
	}
	s.set(acme, false)
	eventually(t, "what waited", func() bool { return w.inbox(acme, "ann").Unread == 5 && len(r.all()) == 10 })
	ids := make(map[string]bool)
	for _, c := range r.all() {
		ids[c.header.Get("Webhook-Id")] = true
	}
	if len(ids) != 10 {
		t.Errorf("%d webhooks of 10", len(ids))
	}
}
