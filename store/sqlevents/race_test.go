package sqlevents_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlevents"
)

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); runtime.Gosched() {
		if time.Since(began) > time.Minute {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// An append that commits late is not passed over by a consumer: what is appended
// after it waits for it.
func TestLateCommit(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("there is one writer")
	}
	place := testdb.NewPlace(t)
	db, other := place.Open(t), place.Open(t)
	e, second := start(t, sqlevents.Config{DB: db, Interval: time.Millisecond}), start(t, sqlevents.Config{DB: other})
	var l log
	consume(t, e, "g", l.handle)
	appended, commit := make(chan struct{}), make(chan struct{})
	var publishers sync.WaitGroup
	publishers.Go(func() {
		err := db.AcrossTenants(context.Background(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			err := e.PublishTx(ctx, tx, event(acme, 0))
			close(appended)
			<-commit
			return err
		})
		if err != nil {
			t.Errorf("the late append: %v", err)
		}
	})
	<-appended
	publishers.Go(func() {
		if err := second.Publish(context.Background(), event(beta, 1)); err != nil {
			t.Errorf("the append after it: %v", err)
		}
	})
	until(t, "the second append waits or is read", func() bool { return waiting(t, db) || len(l.ids()) > 0 })
	close(commit)
	publishers.Wait()
	until(t, "the second event is read", func() bool {
		ids := l.ids() // once: it grows meanwhile
		return len(ids) >= 1 && ids[len(ids)-1] == "evt_1"
	})
	wantIDs(t, "in the order of the commits", l.ids(), 0, 2)
}

func waiting(t *testing.T, db store.Relational) bool {
	t.Helper()
	n := 0
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&n)
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// TestManyPublishers has publishers in two processes beside a consumer in each:
// each event arrives once, those of a subject in order.
func TestManyPublishers(t *testing.T) {
	const publishers, each = 8, 300
	place := testdb.NewPlace(t)
	db := place.Open(t)
	streams := []*sqlevents.Events{
		start(t, sqlevents.Config{DB: db, Interval: 5 * time.Millisecond}),
		start(t, sqlevents.Config{DB: place.Another(t, db), Interval: 5 * time.Millisecond}),
	}
	var l log
	for _, e := range streams {
		consume(t, e, "g", l.handle)
	}
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for n := 0; n < each; {
				var events []platform.Event
				for range min(1+(p*31+n*7)%20, each-n) {
					e := event(acme, n)
					e.ID, e.Subject = fmt.Sprintf("%d.%d", p, n), fmt.Sprint(p)
					events = append(events, e)
					n++
				}
				if err := streams[p%2].Publish(context.Background(), events...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	until(t, "all have arrived", func() bool { return len(l.ids()) >= publishers*each })
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) != publishers*each {
		t.Errorf("%d events arrived, want %d", len(l.events), publishers*each)
	}
	next := make(map[string]int)
	for _, e := range l.events {
		if want := fmt.Sprintf(`{"n":%d}`, next[e.Subject]); string(e.Data) != want {
			t.Fatalf("publisher %s: %s comes where %s should", e.Subject, e.Data, want)
		}
		next[e.Subject]++
	}
}
