package notify_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

// What one process commits reaches the streams of another, those of the user
// and the tenant alone, and so does what the user reads there.
func TestStreamAcrossProcesses(t *testing.T) {
	bus := memory.NewPubSub()
	a := start(t, withBus(bus))
	b := a.replica(withBus(bus))
	old := a.send(acme, "ann")
	ann, leaveAnn, annEnded := b.stream(acme, "ann")
	bob, leaveBob, bobEnded := b.stream(acme, "bob")
	// A user of the other tenant with the same id.
	twin, leaveTwin, twinEnded := b.stream(other, "ann")
	if n, latest := ann.event(t); n != 1 || latest != old {
		t.Errorf("at first: %d, %s", n, latest)
	}
	for _, c := range []*client{bob, twin} {
		if n, latest := c.event(t); n != 0 || latest != "" {
			t.Errorf("at first: %d, %s", n, latest)
		}
	}
	id := a.send(acme, "ann", "bob")
	if n, latest := ann.event(t); n != 2 || latest != id {
		t.Errorf("after a message: %d, %s", n, latest)
	}
	if n, latest := bob.event(t); n != 1 || latest != id {
		t.Errorf("bob, after a message: %d, %s", n, latest)
	}
	if _, err := a.svc.Read(context.Background(), platform.System(acme, "ann"), id); err != nil {
		t.Fatal(err)
	}
	if n, _ := ann.event(t); n != 1 {
		t.Errorf("after reading: %d", n)
	}
	if n, err := a.svc.ReadAll(context.Background(), platform.System(acme, "ann")); err != nil || n != 1 {
		t.Errorf("read %d, %v", n, err)
	}
	if n, _ := ann.event(t); n != 0 {
		t.Errorf("after reading all: %d", n)
	}
	for _, c := range []*client{ann, bob, twin} {
		if c.header.Get("Content-Type") != "text/event-stream" || c.header.Get("Cache-Control") != "no-store" {
			t.Errorf("header %v", c.header)
		}
	}
	for leave, ended := range map[*func()]chan struct{}{&leaveAnn: annEnded, &leaveBob: bobEnded, &leaveTwin: twinEnded} {
		(*leave)()
		<-ended
	}
	if len(twin.lines)+len(bob.lines)+len(ann.lines) != 0 {
		t.Errorf("another's changes came: %d, %d, %d", len(twin.lines), len(bob.lines), len(ann.lines))
	}
	if streams, tenants := b.svc.Streams(); streams != 0 || tenants != 0 {
		t.Errorf("%d streams and %d subscriptions are left", streams, tenants)
	}
}

// A stream is woken when what it is to read is committed, however long that
// takes, and not by a transaction that fails.
func TestStreamAfterCommit(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(c *notify.Config) {
			c.PubSub = memory.NewPubSub()
			c.NewID = func(prefix string) string {
				if prefix == "evt" { // the rows are written
					time.Sleep(time.Second)
				}
				return platform.NewID(prefix)
			}
		})
		c, leave, ended := w.stream(acme, "ann")
		c.event(t)
		id := w.send(acme, "ann")
		if n, latest := c.event(t); n != 1 || latest != id {
			t.Errorf("got %d, %s", n, latest)
		}
		refused := errors.New("no")
		err := w.db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
			if _, err := w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, notify.Message{
				To: notify.Audience{Users: []string{"ann"}}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "Hi",
			}); err != nil {
				return err
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		leave()
		<-ended
		if len(c.lines) != 0 {
			t.Errorf("got %q", <-c.lines)
		}
	})
}

func TestStreamTime(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(c *notify.Config) { c.PubSub, c.StreamTTL = memory.NewPubSub(), 50*time.Second })
		began := time.Now()
		c, leave, ended := w.stream(acme, "ann")
		defer leave()
		<-ended
		if took := time.Since(began); took != 50*time.Second {
			t.Errorf("it ended after %v", took)
		}
		var lines []string
		for len(c.lines) > 0 {
			lines = append(lines, <-c.lines)
		}
		if want := []string{`event: inbox data: {"unread":0,"latest":""}`, ":", ":"}; !slices.Equal(lines, want) {
			t.Errorf("got %q", lines)
		}
	})
}

// A client that does not read costs one event of memory and ten seconds; the
// others are served meanwhile.
func TestSlowStream(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, withBus(memory.NewPubSub()))
		slow, leaveSlow, slowEnded := w.stream(acme, "ann")
		defer leaveSlow()
		brisk, leaveBrisk, briskEnded := w.stream(acme, "ann")
		slow.event(t)
		brisk.event(t)
		synctest.Wait()
		slow.stuck = make(chan struct{})
		last := ""
		for n := range 20 {
			last = w.send(acme, "ann")
			if unread, _ := brisk.event(t); unread != n+1 {
				t.Fatalf("event %d: %d unread", n, unread)
			}
			synctest.Wait() // the slow one has got as far as it gets
		}
		close(slow.stuck) // it reads again: what it missed is one event
		if unread, _ := slow.event(t); unread != 1 {
			t.Errorf("the event that was being written has %d", unread)
		}
		if unread, latest := slow.event(t); unread != 20 || latest != last {
			t.Errorf("got %d, %s", unread, latest)
		}
		synctest.Wait()
		if len(slow.lines) != 0 {
			t.Errorf("%d more events", len(slow.lines))
		}
		slow.stuck = make(chan struct{})
		began := time.Now()
		w.send(acme, "ann")
		<-slowEnded
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("a client that does not read was kept for %v", took)
		}
		leaveBrisk()
		<-briskEnded
	})
}

func TestStreamLimits(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.PubSub, c.MaxStreams = memory.NewPubSub(), 22 })
	var leaves []func()
	var ends []chan struct{}
	open := func(tenant platform.TenantID, user string) {
		c, leave, ended := w.stream(tenant, user)
		c.event(t)
		leaves, ends = append(leaves, leave), append(ends, ended)
	}
	for range 20 {
		open(acme, "ann")
	}
	refused := func(user string, status int) {
		t.Helper()
		if out := w.want(status, acme, user, "GET", "/v1/notify/inbox/stream", nil); out["code"] != "too_many_streams" {
			t.Errorf("got %v", out)
		}
	}
	refused("ann", 429)
	open(acme, "bob")
	open(other, "ann")
	refused("cat", 503)
	for i, leave := range leaves {
		leave()
		<-ends[i]
	}
	if streams, tenants := w.svc.Streams(); streams != 0 || tenants != 0 {
		t.Errorf("%d streams and %d subscriptions are left", streams, tenants)
	}
}

// frail is a PubSub that can be away, and loses its subscribers then.
type frail struct {
	*memory.PubSub
	mu   sync.Mutex
	away bool
	subs []store.Subscription
}

func (f *frail) Subscribe(ctx context.Context, tenant platform.TenantID, topic string) (store.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errors.New("away")
	}
	sub, err := f.PubSub.Subscribe(ctx, tenant, topic)
	f.subs = append(f.subs, sub)
	return sub, err
}

func (f *frail) set(away bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = away
	for _, s := range f.subs {
		if away {
			_ = s.Close()
		}
	}
}

// A PubSub that is away refuses new streams; those that there are come to know
// what they missed when it is back.
func TestStreamWithoutPubSub(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		bus := &frail{PubSub: memory.NewPubSub()}
		w := start(t, withBus(bus))
		bus.set(true)
		if out := w.want(503, acme, "ann", "GET", "/v1/notify/inbox/stream", nil); out["code"] != "live_unavailable" {
			t.Errorf("got %v", out)
		}
		bus.set(false)
		c, leave, ended := w.stream(acme, "ann")
		c.event(t)
		bus.set(true)
		id := w.send(acme, "ann")
		time.Sleep(10 * time.Second)
		if len(c.lines) != 0 {
			t.Fatalf("got %q", <-c.lines)
		}
		bus.set(false)
		if n, latest := c.event(t); n != 1 || latest != id {
			t.Errorf("got %d, %s", n, latest)
		}
		leave()
		<-ended
	})
}

// The streams end with the service, and earlier where the host's server shuts
// down.
func TestStreamsEnd(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, withBus(memory.NewPubSub()))
		c, leave, ended := w.stream(acme, "ann")
		defer leave()
		c.event(t)
		w.svc.EndStreams()
		<-ended
		w.want(503, acme, "ann", "GET", "/v1/notify/inbox/stream", nil)
	})
}

// Without a PubSub there is no route, and over a real server the stream comes
// event by event.
func TestStreamOverHTTP(t *testing.T) {
	if res := start(t, nil).request(acme, "ann", "GET", "/v1/notify/inbox/stream", nil); res.StatusCode != 404 {
		t.Errorf("without a PubSub: %d", res.StatusCode)
	}
	w := start(t, withBus(memory.NewPubSub()))
	w.want(401, "", "", "GET", "/v1/notify/inbox/stream", nil)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mux.ServeHTTP(rw, r.WithContext(platform.WithPrincipal(r.Context(),
			platform.Principal{Tenant: acme, Subject: "ann", Kind: platform.PrincipalUser})))
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/v1/notify/inbox/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	data := func() string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return text
			}
		}
		return ""
	}
	if got := data(); got != `{"unread":0,"latest":""}` {
		t.Errorf("got %q", got)
	}
	id := w.send(acme, "ann")
	if got := data(); got != `{"unread":1,"latest":"`+id+`"}` {
		t.Errorf("got %q", got)
	}
	cancel()
	eventually(t, "the end of the stream", func() bool { streams, _ := w.svc.Streams(); return streams == 0 })
}

// What waits to be published is bounded.
func TestChangesAreBounded(t *testing.T) {
	c := notify.NewChanges()
	many := make([]string, 600)
	for i := range many {
		many[i] = platform.NewID("usr")
	}
	c.Add(acme, many...)
	c.Add(acme, "ann")
	c.Add(other, many...)
	c.Add(other, many...) // 1,200 names, before it is known that they are the same
	c.Add(other, "ann")
	if got := c.Take(); got[acme] != 601 || got[other] != -1 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	for range 10_001 {
		c.Add(platform.TenantID(platform.NewID("org")), "ann")
	}
	if got := c.Take(); len(got) != 10_000 {
		t.Errorf("%d tenants", len(got))
	}
	if got := c.Take(); len(got) != 0 {
		t.Errorf("got %v again", got)
	}
}
