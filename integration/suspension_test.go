package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	inmemory "github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/user"
)

// nobody is a directory without people.
type nobody struct{}

func (nobody) Recipients(context.Context, platform.TenantID, notify.Audience) ([]notify.Recipient, error) {
	return nil, nil
}

// suspendable is a process that a host has assembled: no route of the server
// suspends an organization.
type suspendable struct {
	users   *user.Service
	gateway *gateway.Gateway
}

func assembleSuspendable(t *testing.T, db store.Relational, bus store.PubSub, cache store.Cache) *suspendable {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sealer := testseal.New(t)
	users, err := user.New(user.Config{
		DB: db, Sealer: sealer, Issuer: "https://api.example.com", Cache: cache, PubSub: bus, VerifyTTL: time.Minute,
	})
	must(err)
	events, err := sqlevents.New(sqlevents.Config{
		DB: db, Interval: 50 * time.Millisecond, Relay: outbox.Config{Interval: 50 * time.Millisecond},
	})
	must(err)
	jobs, err := queue.New(queue.Config{
		DB: db, Limits: users.Limits(nil), Suspensions: users, Interval: 50 * time.Millisecond,
	})
	must(err)
	messages, err := notify.New(notify.Config{
		DB: db, Sealer: sealer, Events: events, Queue: jobs, Directory: nobody{}, PubSub: bus, Limits: users.Limits(nil), AllowPrivateNetworks: true,
	})
	must(err)
	gw, err := gateway.New(gateway.Config{
		Authenticators: gateway.Credentials(users), Authorizer: users, Cache: cache, RateLimit: gateway.NoLimit, SignInRateLimit: gateway.NoLimit,
	}, users, messages)
	must(err)
	p, err := platform.New(platform.Config{Elsewhere: []platform.Module{db.(platform.Module)}}, sealer, events, users, messages, jobs, gw)
	must(err)
	must(p.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return &suspendable{users: users, gateway: gw}
}

func (s *suspendable) call(token user.Secret, method, path string, body any) int {
	raw, _ := json.Marshal(body)
	req := httptest.NewRequest(method, path, bytes.NewReader(raw))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+string(token))
	rec := httptest.NewRecorder()
	s.gateway.ServeHTTP(rec, req)
	return rec.Code
}

// gatedReceiver answers webhooks once its gate is open.
type gatedReceiver struct {
	gate chan struct{}

	mu       sync.Mutex
	arrived  int
	now      int
	answered map[string]int // by webhook-id
}

func newGatedReceiver(t *testing.T) (*gatedReceiver, string) {
	t.Helper()
	r := &gatedReceiver{gate: make(chan struct{}), answered: make(map[string]int)}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	return r, srv.URL
}

func (r *gatedReceiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	r.count(1)
	defer r.count(-1)
	buffer := new(bytes.Buffer)
	_, _ = buffer.ReadFrom(req.Body) // or the server does not see the client leave
	select {
	case <-r.gate:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answered[req.Header.Get("Webhook-Id")]++
	case <-req.Context().Done():
	}
}

func (r *gatedReceiver) count(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now += n
	if n > 0 {
		r.arrived++
	}
}

func (r *gatedReceiver) state() (arrived, now, answered int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrived, r.now, len(r.answered)
}

func comesTrue(t *testing.T, what string, check func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// Suspending an organization stops its webhooks in every process at once, those
// that are under way among them, and its credentials; another organization's go
// on. After it is resumed all leave, each once.
func TestSuspensionStopsWork(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (first, second store.Relational){
		"sqlite": func(t *testing.T) (store.Relational, store.Relational) {
			db, err := testdb.Connect(t.Context(), filepath.Join(t.TempDir(), "acme.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db, db
		},
		"postgres": func(t *testing.T) (store.Relational, store.Relational) {
			url := teststack.Postgres(t)
			var dbs [2]store.Relational
			for i := range dbs {
				db, err := testdb.Connect(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				dbs[i] = db
			}
			return dbs[0], dbs[1]
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := open(t)
			testSuspension(t, first, second)
		})
	}
}

func testSuspension(t *testing.T, first, second store.Relational) {
	t.Helper()
	bus, cache := inmemory.NewPubSub(), inmemory.NewCache(8<<20)
	a, b := assembleSuspendable(t, first, bus, cache), assembleSuspendable(t, second, bus, cache)
	receiver, url := newGatedReceiver(t)
	others, othersURL := newGatedReceiver(t)
	close(others.gate)
	people := make([]user.SignedUp, 2)
	for i, to := range []string{url, othersURL} {
		var err error
		people[i], err = a.users.SignUp(t.Context(), user.SignUp{
			Email: fmt.Sprintf("user%d@example.com", i), Password: "violet tractor 9 umbrella", Name: "Ann", Organization: "Acme",
		})
		if err != nil {
			t.Fatal(err)
		}
		if code := a.call(people[i].Tokens.Access, "POST", "/v1/notify/endpoints", map[string]any{"url": to, "types": []string{"shop.*"}}); code != 201 {
			t.Fatalf("make an endpoint: %d", code)
		}
	}
	ann, ben := people[0], people[1]
	emit := func(to user.SignedUp, n int) {
		t.Helper()
		err := first.InTenant(t.Context(), to.Organization.ID, func(ctx context.Context, tx store.Tx) error {
			return tx.Emit(ctx, platform.Event{
				ID: platform.NewID("evt"), Source: "/shop", Type: "shop.order.placed", Tenant: to.Organization.ID,
				Subject: fmt.Sprintf("ord_%d", n), Time: time.Now(), Data: []byte(`{}`),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	const orders = 30
	for n := range orders {
		emit(ann, n)
	}
	comesTrue(t, "webhooks are under way", func() bool { _, now, _ := receiver.state(); return now >= 4 })
	for _, s := range []*suspendable{a, b} { // what it knows of the credential is to be forgotten
		if code := s.call(ann.Tokens.Access, "GET", "/v1/notify/endpoints", nil); code != 200 {
			t.Fatalf("before: %d", code)
		}
	}
	if err := a.users.SetOrganizationStatus(t.Context(), ann.Organization.ID, user.Suspended); err != nil {
		t.Fatal(err)
	}
	comesTrue(t, "those under way end", func() bool { _, now, _ := receiver.state(); return now == 0 })
	comesTrue(t, "the credential is refused everywhere", func() bool {
		return a.call(ann.Tokens.Access, "GET", "/v1/notify/endpoints", nil) == 401 &&
			b.call(ann.Tokens.Access, "GET", "/v1/notify/endpoints", nil) == 401
	})
	before, _, _ := receiver.state()
	emit(ann, orders) // by the host itself
	for n := range 10 {
		emit(ben, n)
	}
	comesTrue(t, "the other organization's webhooks leave", func() bool { _, _, answered := others.state(); return answered == 10 })
	if after, _, _ := receiver.state(); after != before {
		t.Errorf("%d webhooks left after the suspension", after-before)
	}
	close(receiver.gate)
	if err := b.users.SetOrganizationStatus(t.Context(), ann.Organization.ID, user.Active); err != nil {
		t.Fatal(err)
	}
	comesTrue(t, "all leave", func() bool { _, _, answered := receiver.state(); return answered == orders+1 })
	comesTrue(t, "the credential works", func() bool {
		return a.call(ann.Tokens.Access, "GET", "/v1/notify/endpoints", nil) == 200 &&
			b.call(ann.Tokens.Access, "GET", "/v1/notify/endpoints", nil) == 200
	})
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for id, n := range receiver.answered {
		if n != 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}
}
