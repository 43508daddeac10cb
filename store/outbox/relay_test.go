package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
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

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

const (
	acme = platform.TenantID("org_acme")
	beta = platform.TenantID("org_beta")
)

func startRelay(tb testing.TB, cfg outbox.Config) *outbox.Relay {
	tb.Helper()
	r, err := outbox.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := r.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Stop(context.Background()) })
	return r
}

// startEvents starts a stream in db and its own relay.
func startEvents(tb testing.TB, db store.Relational, relay outbox.Config) *sqlevents.Events {
	tb.Helper()
	e, err := sqlevents.New(sqlevents.Config{DB: db, Relay: relay})
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
		ID: fmt.Sprintf("evt_%d", n), Source: "/test", Type: "test.thing.done", Tenant: tenant, Subject: fmt.Sprintf("thing_%d", n%7),
		Time: time.Date(2000, 1, 1, 0, 0, 0, 4000, time.UTC), Actor: "usr_1", Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

// emit commits the events from..to-1, of alternating tenants, in transactions of
// at most ten.
func emit(tb testing.TB, db store.Relational, from, to int) {
	tb.Helper()
	for begin := from; begin < to; begin += 10 {
		err := db.AcrossTenants(context.Background(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			for n := begin; n < min(begin+10, to); n++ {
				tenant := acme
				if n%2 == 1 {
					tenant = beta
				}
				if err := tx.Emit(ctx, event(tenant, n)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func exec(tb testing.TB, db store.Relational, text string, args ...any) {
	tb.Helper()
	err := db.AcrossTenants(context.Background(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, text, args...)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func stats(t *testing.T, r *outbox.Relay) outbox.Stats {
	t.Helper()
	s, err := r.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// remote is a stream outside the store that can refuse and fail.
type remote struct {
	mu     sync.Mutex
	events []platform.Event
	calls  int
	fail   error  // every publish
	refuse string // publishes that hold the event of this id
	after  func() // called when events were taken, before Publish returns
}

func (r *remote) Publish(ctx context.Context, events ...platform.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	if r.fail != nil {
		return r.fail
	}
	for _, e := range events {
		if e.ID == r.refuse {
			return fmt.Errorf("remote: %w", platform.Errorf(platform.KindTooLarge, "", "too large"))
		}
	}
	r.events = append(r.events, events...)
	if r.after != nil {
		r.after()
	}
	return nil
}

func (r *remote) Consume(ctx context.Context, _ string, _ store.EventHandler) error {
	<-ctx.Done()
	return nil
}

func (r *remote) ids() (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
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
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %d events %.200v, want %d in order", what, len(got), got, len(want))
	}
}

// collect consumes the stream into the returned function's result.
func collect(t *testing.T, e store.Events) func() []string {
	t.Helper()
	var (
		mu  sync.Mutex
		ids []string
	)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- e.Consume(ctx, "test", func(_ context.Context, batch []platform.Event) error {
			mu.Lock()
			defer mu.Unlock()
			for _, ev := range batch {
				ids = append(ids, ev.ID)
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ids)
	}
}

func TestMovesInOrderWithinTheStore(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		emit(t, db, 0, 230) // what an earlier process left
		e := startEvents(t, db, outbox.Config{Batch: 100, Interval: time.Hour})
		got, r := collect(t, e), e.Relay()
		synctest.Wait()
		wantIDs(t, "what was left", got(), 0, 230)
		time.Sleep(time.Minute)
		began := time.Now()
		emit(t, db, 230, 777)
		for len(got()) < 777 && time.Since(began) < time.Second {
			time.Sleep(time.Millisecond)
		}
		wantIDs(t, "what was emitted then", got(), 0, 777)
		if waited := time.Since(began); waited > 15*time.Millisecond {
			t.Errorf("waited %v, want about the cooldown", waited)
		}
		if s := stats(t, r); s != (outbox.Stats{}) {
			t.Errorf("left: %+v", s)
		}
	})
}

func TestMovesToARemoteStream(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var to remote
		r := startRelay(t, outbox.Config{DB: db, Events: &to, Batch: 100})
		emit(t, db, 0, 777)
		time.Sleep(time.Second)
		wantIDs(t, "published", to.ids(), 0, 777)
		got, want := to.events[3], event(beta, 3)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if s := stats(t, r); s != (outbox.Stats{}) {
			t.Errorf("left: %+v", s)
		}
	})
}

// Rows are deleted exactly: one that is committed while a batch is published
// stays, wherever its number lies.
func TestDeletesOnlyWhatItPublished(t *testing.T) {
	testdb.SQLiteOnly(t) // the numbers are made up; see TestLateCommits
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		emit(t, db, 0, 3)
		exec(t, db, `UPDATE outbox SET seq = seq * 10`)
		late := event(acme, 99)
		to := &remote{}
		to.after = func() {
			to.after = nil
			exec(t, db, `INSERT INTO outbox (seq, id, source, type, tenant, subject, time, actor, data) VALUES (15, ?, ?, ?, ?, ?, ?, '', '')`,
				late.ID, late.Source, late.Type, string(late.Tenant), late.Subject, late.Time.UnixMicro())
		}
		startRelay(t, outbox.Config{DB: db, Events: to})
		time.Sleep(5 * time.Second)
		if got := fmt.Sprint(to.ids()); got != "[evt_0 evt_1 evt_2 evt_99]" {
			t.Errorf("published %s", got)
		}
	})
}

func TestStreamThatIsAway(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var logged strings.Builder
		to := &remote{fail: errors.New("unavailable")}
		r := startRelay(t, outbox.Config{DB: db, Events: to, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		emit(t, db, 0, 30)
		for range 600 { // commits meanwhile must not make it try more often
			time.Sleep(time.Second)
			exec(t, db, `UPDATE outbox SET actor = actor`)
		}
		if s := stats(t, r); s.Depth != 30 || s.Oldest == 0 || s.Dead != 0 {
			t.Errorf("while it is unavailable: %+v", s)
		}
		to.mu.Lock()
		if to.calls < 15 || to.calls > 50 {
			t.Errorf("%d tries in ten minutes", to.calls)
		}
		to.fail = nil
		to.mu.Unlock()
		time.Sleep(31 * time.Second)
		wantIDs(t, "when it is back", to.ids(), 0, 30)
		synctest.Wait() // the relay is at rest: nothing is written meanwhile
		if n := strings.Count(logged.String(), "cannot be published"); n != 1 {
			t.Errorf("logged %d times:\n%s", n, &logged)
		}
		if n := strings.Count(logged.String(), "published again"); n != 1 {
			t.Errorf("logged the end %d times", n)
		}
	})
}

// An event that no stream takes becomes a dead letter; those before and behind it are
// published, once and in order.
func TestPoison(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		emit(t, db, 0, 40)
		exec(t, db, `UPDATE outbox SET subject = '' WHERE id = 'evt_5'`)
		e := startEvents(t, db, outbox.Config{})
		got, r := collect(t, e), e.Relay()
		time.Sleep(time.Second)
		ids := got()
		if len(ids) != 39 || slices.Contains(ids, "evt_5") {
			t.Errorf("in the store: %v", ids)
		}
		if s := stats(t, r); s.Depth != 0 || s.Dead != 1 {
			t.Errorf("in the store: %+v", s)
		}
	})
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		emit(t, db, 0, 40)
		exec(t, db, `UPDATE outbox SET source = '' WHERE id = 'evt_30'`) // the stream would take it
		to := &remote{refuse: "evt_17"}
		r := startRelay(t, outbox.Config{DB: db, Events: to, Batch: 25})
		time.Sleep(time.Second)
		emit(t, db, 40, 50)
		time.Sleep(time.Second)
		var want []string
		for n := range 50 {
			if n != 17 && n != 30 {
				want = append(want, fmt.Sprintf("evt_%d", n))
			}
		}
		if got := to.ids(); !slices.Equal(got, want) {
			t.Errorf("remote: %v", got)
		}
		if to.calls > 1+25+3 {
			t.Errorf("%d calls: events were published singly for longer than needed", to.calls)
		}
		if s := stats(t, r); s.Depth != 0 || s.Dead != 2 {
			t.Errorf("remote: %+v", s)
		}
		var id, cause string
		err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, `SELECT id, cause FROM outbox_dead WHERE tenant = ? AND id = 'evt_17'`, string(beta)).Scan(&id, &cause)
		}, store.ReadOnly)
		if err != nil || id != "evt_17" || !strings.Contains(cause, "too large") {
			t.Errorf("dead letter: %q because of %q, %v", id, cause, err)
		}
	})
}

// A crash after the stream took the events and before they were deleted
// publishes them again: at least once, and none lost.
func TestCrashPublishesAgain(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		emit(t, db, 0, 20)
		to := &remote{}
		to.after = func() {
			to.after = nil
			if testdb.OnPostgres() {
				place.Alter(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
					WHERE datname = current_database() AND pid <> pg_backend_pid()`)
				return
			}
			_ = db.Close()
		}
		first := startRelay(t, outbox.Config{DB: db, Events: to})
		synctest.Wait()
		if err := first.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, "before the crash", to.ids(), 0, 20)
		r := startRelay(t, outbox.Config{DB: place.Open(t), Events: to})
		time.Sleep(time.Second)
		wantIDs(t, "after it", to.ids()[20:], 0, 20)
		if s := stats(t, r); s.Depth != 0 {
			t.Errorf("left: %+v", s)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	_, err := outbox.New(outbox.Config{Batch: -1})
	if want := "outbox: Config.DB must be set; Config.Events must be set; Config.Batch must be 1 to 10,000"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
