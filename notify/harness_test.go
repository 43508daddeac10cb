package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/routes"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/sqlevents"
)

// people is a directory that tests write by hand.
type people struct {
	mu      sync.Mutex
	members map[platform.TenantID][]member
	err     error
	calls   int
}

type member struct {
	notify.Recipient
	roles []string
}

func (p *people) add(t platform.TenantID, id string, roles ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.members == nil {
		p.members = make(map[platform.TenantID][]member)
	}
	p.members[t] = append(p.members[t], member{notify.Recipient{ID: id, Email: id + "@example.com", Name: "User " + id}, roles})
}

func (p *people) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *people) Recipients(_ context.Context, t platform.TenantID, to notify.Audience) ([]notify.Recipient, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.err != nil {
		return nil, p.err
	}
	var out []notify.Recipient
	for _, m := range p.members[t] {
		if to.Everyone || slices.Contains(to.Users, m.ID) ||
			slices.ContainsFunc(m.roles, func(r string) bool { return slices.Contains(to.Roles, r) }) {
			out = append(out, m.Recipient)
		}
	}
	return out, nil
}

// granted lets everybody do everything; a test of who may do what has another.
type granted struct{}

func (granted) Authorize(context.Context, platform.Principal, string) error { return nil }

// everyone is a verified sender.
func everyone(context.Context, platform.Principal) (bool, error) { return true, nil }

// world is a platform with the service in it.
type world struct {
	t      testing.TB
	place  *testdb.Place
	db     testdb.DB
	owns   bool // the db
	events *sqlevents.Events
	queue  *queue.Queue
	svc    *notify.Service
	people *people
	mux    *http.ServeMux
	p      *platform.Platform
}

// open makes a world over a place; configure may change the Config.
func open(t testing.TB, place *testdb.Place, people *people, configure func(*notify.Config)) *world {
	t.Helper()
	return reopen(t, place, people, configure, nil)
}

// reopen is open with the way to the receivers in place before the jobs that
// an earlier world left behind can begin; nil is the real one.
func reopen(t testing.TB, place *testdb.Place, people *people, configure func(*notify.Config), way http.RoundTripper) *world {
	t.Helper()
	w := openOn(t, place, place.Open(t), people, configure, way)
	w.owns = true
	return w
}

// replica is another process over the same data, with the same people.
func (w *world) replica(configure func(*notify.Config)) *world {
	w.t.Helper()
	r := openOn(w.t, w.place, w.place.Another(w.t, w.db), w.people, configure, nil)
	w.t.Cleanup(r.close)
	return r
}

func openOn(t testing.TB, place *testdb.Place, db testdb.DB, people *people, configure func(*notify.Config), way http.RoundTripper) *world {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, people: people, place: place, db: db}
	// One process needs no looks at what others did; days of them would take
	// long even in a bubble.
	var err error
	w.events, err = sqlevents.New(sqlevents.Config{
		DB: w.db, Interval: time.Hour, Lease: 3 * time.Hour, Relay: outbox.Config{Interval: time.Hour},
	})
	must(err)
	w.queue, err = queue.New(queue.Config{DB: w.db, Interval: time.Hour, Lease: 3 * time.Hour})
	must(err)
	cfg := notify.Config{DB: w.db, Sealer: testseal.New(w.t), Events: w.events, Queue: w.queue, Directory: people, AllowPrivateNetworks: true, Authorizer: granted{}, VerifiedSender: everyone}
	if configure != nil {
		configure(&cfg)
	}
	w.queue = cfg.Queue // configure may have another one
	w.svc, err = notify.New(cfg)
	must(err)
	if way != nil {
		w.svc.SetTransport(way)
	}
	sealer, _ := cfg.Sealer.(platform.Module)
	w.p, err = platform.New(platform.Config{Elsewhere: []platform.Module{w.db}}, sealer, w.events, w.queue, w.svc)
	must(err)
	must(w.p.Start(ctx))
	w.mux = routes.Mux(w.svc.Routes())
	return w
}

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.p.Stop(ctx); err != nil {
		w.t.Errorf("stop: %v", err)
	}
	if !w.owns {
		return
	}
	if err := w.db.Close(); err != nil {
		w.t.Errorf("close the store: %v", err)
	}
}

const (
	acme  platform.TenantID = "org_acme"
	other platform.TenantID = "org_other"
)

// start is open with a fresh store and two tenants: in acme are ann (owner),
// bob and cat (members), in other is zoe (owner).
func start(t testing.TB, configure func(*notify.Config)) *world {
	w := open(t, testdb.NewPlace(t), everybody(), configure)
	t.Cleanup(w.close)
	return w
}

func everybody() *people {
	p := &people{}
	p.add(acme, "ann", "owner")
	p.add(acme, "bob", "member")
	p.add(acme, "cat", "member")
	p.add(other, "zoe", "owner")
	return p
}

// call makes a request as user of tenant.
func (w *world) call(tenant platform.TenantID, user, method, path string, body any) (int, map[string]any) {
	w.t.Helper()
	res := w.request(tenant, user, method, path, body)
	var out map[string]any
	if raw, _ := io.ReadAll(res.Body); len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			w.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return res.StatusCode, out
}

func (w *world) request(tenant platform.TenantID, user, method, path string, body any) *http.Response {
	w.t.Helper()
	var r io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case string:
		r = bytes.NewReader([]byte(b))
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req := httptest.NewRequest(method, path, r)
	req.Header.Set("Content-Type", "application/json")
	if tenant != "" {
		req = req.WithContext(platform.WithPrincipal(req.Context(),
			platform.Principal{Tenant: tenant, Subject: user, Kind: platform.PrincipalUser}))
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, req)
	return rec.Result()
}

// want is call that must answer status.
func (w *world) want(status int, tenant platform.TenantID, user, method, path string, body any) map[string]any {
	w.t.Helper()
	got, out := w.call(tenant, user, method, path, body)
	if got != status {
		w.t.Fatalf("%s %s: got %d, want %d: %v", method, path, got, status, out)
	}
	return out
}

// emit commits events to the outbox as another service would.
func (w *world) emit(events ...platform.Event) {
	w.t.Helper()
	for _, e := range events {
		err := w.db.InTenant(context.Background(), e.Tenant, func(ctx context.Context, tx store.Tx) error {
			return tx.Emit(ctx, e)
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

var created = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func recordCreated(tenant platform.TenantID, n int) platform.Event {
	return platform.Event{
		ID: fmt.Sprintf("evt_%s_%06d", tenant, n), Source: "/data", Type: "data.record.created", Tenant: tenant,
		Subject: fmt.Sprintf("rec_%d", n), Time: created, Actor: "bob",
		Data: json.RawMessage(fmt.Sprintf(`{"collection":"movies","id":"rec_%d","version":1,"n":%d}`, n, n)),
	}
}

// eventually waits until check returns true; it looks every few milliseconds,
// which in a bubble of synctest takes no time.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (w *world) inbox(tenant platform.TenantID, user string) notify.InboxPage {
	w.t.Helper()
	p, err := w.svc.Inbox(context.Background(), platform.System(tenant, user), notify.InboxQuery{Limit: 200})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func notifySign(secrets []string, id string, timestamp int64, body string) (string, error) {
	return notify.Signatures(secrets, id, timestamp, []byte(body))
}
