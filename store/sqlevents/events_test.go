package sqlevents_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlevents"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

const (
	acme = platform.TenantID("org_acme")
	beta = platform.TenantID("org_beta")
)

var errBoom = errors.New("boom")

// start makes and starts a stream that is stopped at the end of the test.
func start(tb testing.TB, cfg sqlevents.Config) *sqlevents.Events {
	tb.Helper()
	e, err := sqlevents.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e
}

func event(tenant platform.TenantID, n int) platform.Event {
	return platform.Event{
		ID: fmt.Sprintf("evt_%d", n), Source: "/test", Type: "test.thing.done", Tenant: tenant, Subject: "thing",
		Time: time.Date(2026, 11, 22, 1, 2, 3, 4000, time.UTC), Actor: "usr_1", Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

func publish(tb testing.TB, e *sqlevents.Events, tenant platform.TenantID, from, to int) {
	tb.Helper()
	var events []platform.Event
	for n := from; n < to; n++ {
		events = append(events, event(tenant, n))
	}
	if err := e.Publish(context.Background(), events...); err != nil {
		tb.Fatal(err)
	}
}

// log is a handler that keeps what it was given.
type log struct {
	mu      sync.Mutex
	events  []platform.Event
	batches []int
}

func (l *log) handle(_ context.Context, batch []platform.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, batch...)
	l.batches = append(l.batches, len(batch))
	return nil
}

func (l *log) ids() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		ids = append(ids, e.ID)
	}
	return ids
}

func wantIDs(t *testing.T, what string, got []string, from, to int) {
	t.Helper()
	var want []string
	for n := from; n < to; n++ {
		want = append(want, fmt.Sprintf("evt_%d", n))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %d events %.200v, want %d in order", what, len(got), got, len(want))
	}
}

// consume runs Consume until the returned function is called.
func consume(t *testing.T, e *sqlevents.Events, group string, h store.EventHandler) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Consume(ctx, group, h) }()
	var once sync.Once
	end = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Consume: %v", err)
			}
		})
	}
	t.Cleanup(end)
	return end
}

func stats(t *testing.T, e *sqlevents.Events) sqlevents.Stats {
	t.Helper()
	s, err := e.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDeliversInOrderToEachGroup(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		e := start(t, sqlevents.Config{DB: testdb.NewPlace(t).Open(t), Batch: 100})
		publish(t, e, acme, 0, 300) // before the groups exist
		var a, b log
		consume(t, e, "a", a.handle)
		consume(t, e, "b", b.handle)
		synctest.Wait()
		began := time.Now()
		publish(t, e, beta, 300, 777)
		synctest.Wait()
		if time.Since(began) != 0 {
			t.Error("a consumer of this process waited for its poll")
		}
		wantIDs(t, "group a", a.ids(), 0, 777)
		wantIDs(t, "group b", b.ids(), 0, 777)
		got, want := a.events[776], event(beta, 776)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		time.Sleep(time.Second)
		for _, g := range stats(t, e).Groups {
			if !g.Active || g.Lag != 0 || g.Oldest != 0 || g.Lost != 0 {
				t.Errorf("figures: %+v", g)
			}
		}
	})
}

func TestRepublishDoesNotDouble(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		e := start(t, sqlevents.Config{DB: testdb.NewPlace(t).Open(t)})
		publish(t, e, acme, 0, 60)
		publish(t, e, acme, 0, 60)
		publish(t, e, acme, 30, 90)
		var l log
		consume(t, e, "g", l.handle)
		synctest.Wait()
		wantIDs(t, "after three publishes", l.ids(), 0, 90)
		// An id is a tenant's: another one cannot suppress an event by using it first.
		publish(t, e, beta, 0, 1)
		synctest.Wait()
		if n := len(l.ids()); n != 91 {
			t.Errorf("another tenant's event with a used id: %d events, want 91", n)
		}
	})
}

func TestPublishRefuses(t *testing.T) {
	e := start(t, sqlevents.Config{DB: testdb.NewPlace(t).Open(t)})
	bad := event(acme, 1)
	bad.Subject = ""
	if err := e.Publish(t.Context(), event(acme, 0), bad); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("without subject: %v", err)
	}
	none := event("", 1)
	if err := e.Publish(t.Context(), none); !errors.Is(err, platform.ErrNoTenant) {
		t.Errorf("without tenant: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Publish(ctx, event(acme, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is done: %v", err)
	}
	if n := stats(t, e).Events; n != 0 {
		t.Errorf("%d events of refused publishes", n)
	}
	if err := e.Publish(t.Context()); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

func TestContinuesWhereItEnded(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		e := start(t, sqlevents.Config{DB: db})
		publish(t, e, acme, 0, 10)
		var first log
		end := consume(t, e, "g", first.handle)
		synctest.Wait()
		end()
		wantIDs(t, "first run", first.ids(), 0, 10)
		publish(t, e, acme, 10, 20)
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		e = start(t, sqlevents.Config{DB: place.Open(t)})
		var second log
		consume(t, e, "g", second.handle)
		synctest.Wait()
		wantIDs(t, "second run", second.ids(), 10, 20)
	})
}

// A process that dies before the offset is stored has its events delivered
// again, in order, and none lost: after its lease, or at once to a process that
// knows that it is alone.
func TestCrashRedelivers(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		testdb.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			place := testdb.NewPlace(t)
			db := place.Open(t)
			e := start(t, sqlevents.Config{DB: db, Batch: 10})
			publish(t, e, acme, 0, 25)
			var first log
			consume(t, e, "g", func(ctx context.Context, batch []platform.Event) error {
				if batch[0].ID == "evt_20" {
					_ = first.handle(ctx, batch)
					return db.Close() // the effect is there, the offset cannot be
				}
				return first.handle(ctx, batch)
			})
			time.Sleep(time.Second)
			wantIDs(t, "before the crash", first.ids(), 0, 25)

			e = start(t, sqlevents.Config{DB: testdb.Alone(place.Open(t), exclusive)})
			var second log
			consume(t, e, "g", second.handle)
			time.Sleep(20 * time.Second)
			if got := len(second.ids()) > 0; got != exclusive {
				t.Errorf("exclusive %v: delivered within the lease: %v", exclusive, got)
			}
			time.Sleep(20 * time.Second)
			wantIDs(t, "after the crash", second.ids(), 20, 25)
		})
	}
}

func TestOneConsumerOfAGroup(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		e := start(t, sqlevents.Config{DB: db, Batch: 10})
		other := start(t, sqlevents.Config{DB: db, Batch: 10}) // as another process
		var all log
		var active atomic.Int32
		handle := func(ctx context.Context, batch []platform.Event) error {
			if active.Add(1) > 1 {
				t.Error("two consumers of one group at once")
			}
			defer active.Add(-1)
			time.Sleep(time.Second)
			return all.handle(ctx, batch)
		}
		ends := []func(){consume(t, e, "g", handle), consume(t, e, "g", handle), consume(t, other, "g", handle)}
		publish(t, e, acme, 0, 1000)
		for _, end := range ends {
			time.Sleep(30 * time.Second)
			end()
		}
		if n := len(all.ids()); n < 800 {
			t.Errorf("only %d events: the others did not take over at once", n)
		}
		wantIDs(t, "all", all.ids(), 0, len(all.ids()))
	})
}

// A consumer that is cut off loses the group to another, is told so, and cannot
// move the group's offset any more.
func TestLeaseEnds(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		cut := &testdb.Faulty{DB: db}
		a, b := start(t, sqlevents.Config{DB: cut}), start(t, sqlevents.Config{DB: db})
		publish(t, b, acme, 0, 5)
		began := make(chan struct{}, 1)
		var told atomic.Bool
		var back atomic.Bool
		consume(t, a, "g", func(ctx context.Context, batch []platform.Event) error {
			if back.Load() {
				return nil
			}
			began <- struct{}{}
			<-ctx.Done()
			told.Store(true)
			return nil // as if it had had its effect
		})
		<-began
		cut.Down.Store(true)
		var second log
		endB := consume(t, b, "g", second.handle)
		time.Sleep(25 * time.Second)
		if n := len(second.ids()); n != 0 {
			t.Errorf("%d events were delivered twice within the lease", n)
		}
		time.Sleep(20 * time.Second)
		wantIDs(t, "the second consumer", second.ids(), 0, 5)
		if !told.Load() {
			t.Error("the first consumer's handler was not told")
		}
		publish(t, b, acme, 5, 8)
		cut.Down.Store(false)
		time.Sleep(time.Minute)
		wantIDs(t, "the second consumer", second.ids(), 0, 8)
		back.Store(true)
		endB()
	})
}

// A long handler keeps its group.
func TestLeaseIsRenewed(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		a, b := start(t, sqlevents.Config{DB: db}), start(t, sqlevents.Config{DB: db})
		publish(t, a, acme, 0, 3)
		var first, second log
		consume(t, a, "g", func(ctx context.Context, batch []platform.Event) error {
			time.Sleep(10 * time.Minute)
			return first.handle(ctx, batch)
		})
		synctest.Wait()
		end := consume(t, b, "g", second.handle)
		time.Sleep(11 * time.Minute)
		end()
		wantIDs(t, "first", first.ids(), 0, 3)
		wantIDs(t, "second", second.ids(), 0, 0)
	})
}

func TestConsumeEnds(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		e, err := sqlevents.New(sqlevents.Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Consume(t.Context(), "", nil); err == nil {
			t.Error("a group without name")
		}
		// Before Start it waits.
		var l log
		end := consume(t, e, "early", l.handle)
		synctest.Wait()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish(t, e, acme, 0, 1)
		synctest.Wait()
		wantIDs(t, "a consumer from before Start", l.ids(), 0, 1)
		end()

		stopped := make(chan error, 1)
		go func() { stopped <- e.Consume(context.Background(), "g", l.handle) }()
		synctest.Wait()
		go func() { _ = e.Stop(context.Background()) }()
		if err := <-stopped; err == nil {
			t.Error("Consume on a stream that was stopped returned nil")
		}
		if err := e.Consume(t.Context(), "g", l.handle); err == nil {
			t.Error("Consume after Stop returned nil")
		}
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := sqlevents.New(sqlevents.Config{Batch: -1, Lease: time.Millisecond})
	if want := "events: Config.DB must be set; Config.Batch must be 1 to 10,000; Config.Lease must be at least 1 s"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
