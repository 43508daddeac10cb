package outbox_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/sqlevents"
)

// unserved reports whether the check of a store says that no relay serves its
// outbox, and what to do about it.
func unserved(t *testing.T, db testdb.DB) bool {
	t.Helper()
	err := db.Check(t.Context())
	var e *platform.Error
	switch {
	case err == nil:
		return false
	case !errors.As(err, &e) || e.Code != "outbox_unserved" || e.Kind != platform.KindUnavailable:
		t.Fatalf("the check: %v", err)
	case !strings.Contains(err.Error(), "sqlevents.New(sqlevents.Config{DB: db})"):
		t.Errorf("it does not name the line to add: %v", err)
	}
	return true
}

// Events that wait a minute while no relay lives fail the check of the store, and
// a relay that comes mends it.
func TestUnservedOutboxIsFound(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		time.Sleep(time.Hour)
		if unserved(t, db) {
			t.Error("the outbox is empty")
		}
		emitNow(t, db)
		time.Sleep(59 * time.Second)
		if unserved(t, db) {
			t.Error("the event has waited for less than a minute")
		}
		time.Sleep(time.Second)
		if !unserved(t, db) {
			t.Error("nobody serves the outbox, and the check finds nothing")
		}
		startEvents(t, db, outbox.Config{})
		if unserved(t, db) {
			t.Error("the stream has begun to serve the outbox")
		}
	})
}

// A stream that is unavailable is no failure of the store, however long it takes.
func TestRelayThatWaitsForItsStreamServes(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		to := &remote{fail: platform.Errorf(platform.KindUnavailable, "stream_unavailable", "the stream is unavailable")}
		startRelay(t, outbox.Config{DB: db, Events: to})
		emitNow(t, db)
		for range 120 {
			time.Sleep(7 * time.Second)
			if unserved(t, db) {
				t.Fatal("a relay is there")
			}
		}
	})
}

// Where another process relays, or one starts beside old events, nothing is wrong:
// the relay of a process that died is missed after a minute.
func TestRelayOfAnotherProcessServes(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		first := place.Open(t)
		to := &remote{fail: platform.Errorf(platform.KindUnavailable, "stream_unavailable", "the stream is unavailable")}
		r := startRelay(t, outbox.Config{DB: first, Events: to})
		emitNow(t, first)
		time.Sleep(time.Hour)

		other := place.Another(t, first)
		if unserved(t, other) {
			t.Error("at the start: the first process relays")
		}
		time.Sleep(time.Hour)
		if unserved(t, other) {
			t.Error("the first process relays")
		}
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		if !unserved(t, other) {
			t.Error("the relay ended, and the check finds nothing")
		}
	})
}

// Right after its start a process has time to start its relay, and to hear of that
// of another one.
func TestNoAlarmAtTheStart(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		emitNow(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		db = place.Open(t)
		for range 59 {
			if unserved(t, db) {
				t.Fatal("it has just started")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		if !unserved(t, db) {
			t.Error("nobody came")
		}
	})
}

// An idle relay writes its heartbeat four times a minute, and not for every look;
// relays of several processes share it.
func TestHeartbeatIsCheap(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		counting := &writes{DB: db}
		for range 3 {
			startRelay(t, outbox.Config{DB: counting, Events: &remote{}})
		}
		time.Sleep(time.Second)
		before := counting.of("outbox.heartbeat")
		time.Sleep(10 * time.Minute)
		if n := counting.of("outbox.heartbeat") - before; n < 3*39 || n > 3*41 {
			t.Errorf("%d heartbeats in ten minutes", n)
		}
	})
}

// A stream that brings its relay refuses a second one, by a message that says what
// to do; one for another store is a relay like any other.
func TestSecondRelayIsRefused(t *testing.T) {
	testdb.SQLiteOnly(t)
	db := testdb.New(t)
	e, err := sqlevents.New(sqlevents.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.New(outbox.Config{DB: db, Events: e}); err == nil || !strings.Contains(err.Error(), "brings its own relay") {
		t.Errorf("got %v", err)
	}
	if _, err := outbox.New(outbox.Config{DB: testdb.New(t), Events: e}); err != nil {
		t.Errorf("of another store: %v", err)
	}
	for _, cfg := range []outbox.Config{{DB: db}, {Events: e}, {Batch: -1}} {
		if _, err := sqlevents.New(sqlevents.Config{DB: db, Relay: cfg}); err == nil || !strings.Contains(err.Error(), "Relay") {
			t.Errorf("%+v: got %v", cfg, err)
		}
	}
}

// emitNow emits an event of this moment.
func emitNow(t *testing.T, db store.Relational) {
	t.Helper()
	err := db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
		e := event(acme, 1)
		e.Time = time.Now()
		return tx.Emit(ctx, e)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// writes counts the transactions across tenants by who makes them.
type writes struct {
	testdb.DB

	mu sync.Mutex
	by map[string]int
}

func (w *writes) AcrossTenants(ctx context.Context, by store.Crossing, fn func(context.Context, store.CrossTx) error, opts ...store.TxOption) error {
	w.mu.Lock()
	if w.by == nil {
		w.by = map[string]int{}
	}
	w.by[by.Name()]++
	w.mu.Unlock()
	return w.DB.AcrossTenants(ctx, by, fn, opts...)
}

func (w *writes) of(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[name]
}
