package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
)

// notNow is how long a relay lets the outbox be that nobody wakes: so long that
// only what wakes it counts.
const notNow = time.Hour

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); runtime.Gosched() {
		if time.Since(began) > time.Minute {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A row whose number is lower than those that were moved already, because its
// transaction commits late, is moved too.
func TestLateCommits(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("there is one writer")
	}
	place := testdb.NewPlace(t)
	db, other := place.Open(t), place.Open(t)
	for name, start := range map[string]func(*testing.T) (moved func() []string, stop func(context.Context) error){
		"remote": func(t *testing.T) (func() []string, func(context.Context) error) {
			t.Helper()
			to := &remote{}
			return to.ids, startRelay(t, outbox.Config{DB: db, Events: to, Interval: notNow}).Stop
		},
		"in the store": func(t *testing.T) (func() []string, func(context.Context) error) {
			t.Helper()
			e := startEvents(t, db, outbox.Config{Interval: notNow})
			return collect(t, e), e.Relay().Stop
		},
	} {
		t.Run(name, func(t *testing.T) {
			moved, stop := start(t)
			emitted, commit, committed := make(chan struct{}), make(chan struct{}), make(chan error)
			go func() {
				committed <- db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
					// By hand, since Emit takes its numbers with the commit; it is
					// here to wake the relay.
					ev := event(acme, 1)
					_, err := tx.Exec(ctx, `INSERT INTO outbox (id, source, type, tenant, subject, time, actor, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
						ev.ID, ev.Source, ev.Type, string(acme), ev.Subject, ev.Time.UnixMicro(), ev.Actor, string(ev.Data))
					close(emitted)
					<-commit
					return errors.Join(err, tx.Emit(ctx, event(acme, 2)))
				})
			}()
			<-emitted
			for n := 3; n < 40; n++ { // of other subjects
				emit(t, other, n*7, n*7+1)
			}
			emit(t, db, 300, 301) // it wakes the relay
			until(t, "the others are moved", func() bool { return len(moved()) == 38 })
			close(commit)
			if err := <-committed; err != nil {
				t.Fatal(err)
			}
			until(t, "the late one is moved", func() bool { return len(moved()) == 40 })
			if got := moved(); got[38] != "evt_1" {
				t.Errorf("the last but one is %s", got[38])
			}
			if err := stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestManyWritersAndRelays has 16 writers, whose transactions commit in another
// order than they began, and a relay in each of two processes: no event is lost
// or published twice, and those of a subject are in order.
func TestManyWritersAndRelays(t *testing.T) {
	const writers, each = 16, 1250
	place := testdb.NewPlace(t)
	db := place.Open(t)
	to := &remote{}
	stores := []testdb.DB{db, place.Another(t, db)}
	for i, db := range stores {
		if i == 0 || testdb.OnPostgres() { // on SQLite there is one process
			startRelay(t, outbox.Config{DB: db, Events: to, Batch: 300, Interval: 20 * time.Millisecond})
		}
	}
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			tenant := []platform.TenantID{acme, beta}[w%2]
			for n := 0; n < each; {
				err := stores[w/2%2].InTenant(context.Background(), tenant, func(ctx context.Context, tx store.Tx) error {
					size := min(1+(w*31+n*7)%50, each-n)
					var events []platform.Event
					for i := range size {
						e := event(tenant, 0)
						e.ID = fmt.Sprintf("%d.%d", w, n+i)
						e.Subject = fmt.Sprint("writer ", w)
						e.Data = json.RawMessage(fmt.Sprint(n + i))
						events = append(events, e)
					}
					half := size / 2
					if err := tx.Emit(ctx, events[:half]...); err != nil {
						return err
					}
					runtime.Gosched() // others number theirs and commit
					if err := tx.Emit(ctx, events[half:]...); err != nil {
						return err
					}
					n += size
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	until(t, "all are published", func() bool { return len(to.ids()) >= writers*each })
	if n := len(to.ids()); n != writers*each {
		t.Errorf("%d events were published, want %d", n, writers*each)
	}
	next := make(map[string]int)
	to.mu.Lock()
	defer to.mu.Unlock()
	for _, e := range to.events {
		if want := fmt.Sprint(next[e.Subject]); string(e.Data) != want {
			t.Fatalf("%s: event %s comes where %s should", e.Subject, e.Data, want)
		}
		next[e.Subject]++
	}
}

// With two relays that both meet an event that no stream takes, no other one is
// dead-lettered in its stead.
func TestPoisonOfTwoRelays(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		emit(t, db, 0, 60)
		to := &remote{refuse: "evt_17"}
		first := startRelay(t, outbox.Config{DB: db, Events: to})
		if testdb.OnPostgres() {
			startRelay(t, outbox.Config{DB: place.Another(t, db), Events: to})
		}
		time.Sleep(30 * time.Second)
		if got := to.ids(); len(got) != 59 {
			t.Errorf("published %v", got)
		}
		if s := stats(t, first); s.Depth != 0 || s.Dead != 1 {
			t.Errorf("left: %+v", s)
		}
	})
}

// An event that another relay has dead-lettered already is not there when this one
// comes to do so: the one that is first now has done nothing.
func TestRefusedEventThatIsGone(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	to := &remote{}
	r := startRelay(t, outbox.Config{DB: db, Events: to})
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	emit(t, db, 0, 2)
	if err := r.MoveRefused(t.Context(), -1, errors.New("too large")); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, "published", to.ids(), 0, 1)
	if s := stats(t, r); s.Depth != 1 || s.Dead != 0 {
		t.Errorf("left: %+v", s)
	}
}

// counted counts the transactions that may write.
type counted struct {
	testdb.DB

	n atomic.Int32
}

func (c *counted) AcrossTenants(ctx context.Context, by store.Crossing, fn func(context.Context, store.CrossTx) error, opts ...store.TxOption) error {
	if !store.NewTxOptions(opts).ReadOnly {
		c.n.Add(1)
	}
	return c.DB.AcrossTenants(ctx, by, fn, opts...)
}

// turns is a stream that lets a test step in while it publishes.
type turns struct {
	remote

	began chan struct{} // one for each call
	end   chan error    // how it ends; nil publishes
}

func (s *turns) Publish(ctx context.Context, events ...platform.Event) error {
	s.began <- struct{}{}
	select {
	case err := <-s.end:
		if err != nil {
			return err
		}
		return s.remote.Publish(ctx, events...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A relay whose connection is lost in the middle has lost its turn: another one
// publishes what it had.
func TestRelayThatIsCutOff(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("there is one process")
	}
	place := testdb.NewPlace(t)
	db, other := place.Open(t), place.Open(t)
	emit(t, db, 0, 5)
	held := &turns{began: make(chan struct{}, 10), end: make(chan error)}
	startRelay(t, outbox.Config{DB: db, Events: held, Interval: notNow})
	<-held.began
	to, tries := &remote{}, &counted{DB: other}
	startRelay(t, outbox.Config{DB: tries, Events: to, Interval: 10 * time.Millisecond})
	before := tries.n.Load()
	until(t, "the other relay has tried again and again, and not waited", func() bool { return tries.n.Load() > before+5 })
	wantIDs(t, "while the first one has the turn", to.ids(), 0, 0)
	place.Alter(t, db, `SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
		WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()`)
	until(t, "the other one has published", func() bool { return len(to.ids()) == 5 })
	wantIDs(t, "the other relay", to.ids(), 0, 5)
}

// A stream that hangs ends a publish, not the relay, and no other relay waits for
// longer than that.
func TestStreamThatHangs(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		emit(t, db, 0, 5)
		to := &turns{began: make(chan struct{}, 10), end: make(chan error, 1)}
		began := time.Now()
		r := startRelay(t, outbox.Config{DB: db, Events: to, PublishTimeout: 7 * time.Second})
		<-to.began
		<-to.began // again, after the pause
		if took := time.Since(began); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("a publish that hangs took %v", took)
		}
		to.end <- nil
		time.Sleep(time.Second)
		wantIDs(t, "when it goes on", to.ids(), 0, 5)
		if s := stats(t, r); s.Depth != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}
