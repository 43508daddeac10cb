package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

const (
	acme = platform.TenantID("org_acme")
	beta = platform.TenantID("org_beta")
)

func newQueue(t *testing.T, cfg queue.Config) *queue.Queue {
	t.Helper()
	q, err := queue.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// start starts q and has it stopped at the end of the test.
func start(t *testing.T, q *queue.Queue) {
	t.Helper()
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Stop(context.Background()) })
}

func stop(t *testing.T, q *queue.Queue) {
	t.Helper()
	if err := q.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func enqueue(t *testing.T, q *queue.Queue, db store.Relational, tenant platform.TenantID, jobs ...queue.Job) []string {
	t.Helper()
	var ids []string
	err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		ids = nil
		for _, j := range jobs {
			id, err := q.Enqueue(ctx, tx, j)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func stats(t *testing.T, q *queue.Queue) queue.Stats {
	t.Helper()
	s, err := q.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func number(n int) json.RawMessage { return json.RawMessage(fmt.Sprint(n)) }

var errBoom = errors.New("boom")

func TestRuns(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		got := make(chan queue.Job, 10)
		q.Handle("greet", func(_ context.Context, j queue.Job) error { got <- j; return nil }, queue.Options{})
		start(t, q)
		before := time.Now()
		id := enqueue(t, q, db, acme, queue.Job{Kind: "greet", Payload: json.RawMessage(`{"a":1}`), UniqueKey: "k"})[0]
		j := <-got
		if j.ID != id || j.Tenant != acme || j.Kind != "greet" || string(j.Payload) != `{"a":1}` || j.Attempt != 1 ||
			j.UniqueKey != "k" || j.EnqueuedAt.Before(before.Add(-time.Millisecond)) {
			t.Errorf("the handler got %+v", j)
		}
		// No time passes in a bubble unless all wait: the job ran without a poll.
		if waited := time.Since(before); waited != 0 {
			t.Errorf("ran after %v, want at the commit", waited)
		}
		stop(t, q)
		if s := stats(t, q); s != (queue.Stats{}) {
			t.Errorf("a finished job leaves %+v", s)
		}
	})
}

func TestRolledBackEnqueueLeavesNothing(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		q.Handle("greet", func(context.Context, queue.Job) error { t.Error("ran"); return nil }, queue.Options{})
		start(t, q)
		err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
			if _, err := q.Enqueue(ctx, tx, queue.Job{Kind: "greet"}); err != nil {
				return err
			}
			return errBoom
		})
		if !errors.Is(err, errBoom) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if s := stats(t, q); s.Ready+s.Running+s.Scheduled != 0 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestScheduledRunsOnTime(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Interval: time.Hour})
		ran := make(chan time.Time, 1)
		q.Handle("later", func(context.Context, queue.Job) error { ran <- time.Now(); return nil }, queue.Options{})
		start(t, q)
		due := time.Now().Add(90 * time.Second)
		enqueue(t, q, db, acme, queue.Job{Kind: "later", RunAt: due})
		if at := <-ran; at.Before(due) || at.After(due.Add(10*time.Millisecond)) {
			t.Errorf("ran %v after it was due", at.Sub(due))
		}
	})
}

func TestPriorityThenDueTime(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		ids := 0 // in the order of the calls, which is the wrong one
		q := newQueue(t, queue.Config{DB: db, Workers: 1, NewID: func(string) string { ids++; return fmt.Sprint("job_", ids) }})
		got := make(chan string, 10)
		q.Handle("job", func(_ context.Context, j queue.Job) error { got <- string(j.Payload); return nil }, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme,
			queue.Job{Kind: "job", Payload: number(2), Priority: -1},
			queue.Job{Kind: "job", Payload: number(1)},
			queue.Job{Kind: "job", Payload: number(0), Priority: 7})
		for want := range 3 {
			if g := <-got; g != fmt.Sprint(want) {
				t.Errorf("job %s ran at place %d", g, want)
			}
		}
	})
}

func TestUniqueKey(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		gate := make(chan struct{})
		q.Handle("one", func(context.Context, queue.Job) error { <-gate; return nil }, queue.Options{})
		start(t, q)
		unique := queue.Job{Kind: "one", UniqueKey: "x"}
		first := enqueue(t, q, db, acme, unique)[0]
		synctest.Wait()
		if again := enqueue(t, q, db, acme, unique)[0]; again != first {
			t.Errorf("a second job with the key while the first runs: %s, want %s", again, first)
		}
		if other := enqueue(t, q, db, beta, unique)[0]; other == first {
			t.Error("another tenant got the job of the first")
		}
		if kind := enqueue(t, q, db, acme, queue.Job{Kind: "other", UniqueKey: "x"})[0]; kind == first {
			t.Error("another kind got the job of the first")
		}
		close(gate)
		synctest.Wait()
		if after := enqueue(t, q, db, acme, unique)[0]; after == first {
			t.Error("a finished job still holds its key")
		}
	})
}

func TestEnqueueRefuses(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	q := newQueue(t, queue.Config{DB: db})
	start(t, q)
	long := make([]byte, 300)
	for _, c := range []struct {
		name string
		job  queue.Job
		want error
	}{
		{"no kind", queue.Job{}, platform.ErrInvalid},
		{"a payload that is not JSON", queue.Job{Kind: "a", Payload: json.RawMessage("{")}, platform.ErrInvalid},
		{"a payload that is too large", queue.Job{Kind: "a", Payload: make([]byte, queue.MaxPayload+1)}, platform.ErrInvalid},
		{"a long key", queue.Job{Kind: "a", UniqueKey: string(long)}, platform.ErrInvalid},
		{"another tenant", queue.Job{Kind: "a", Tenant: beta}, platform.ErrNoTenant},
	} {
		err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
			_, err := q.Enqueue(ctx, tx, c.job)
			return err
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		if _, err := q.EnqueueAcross(ctx, tx, queue.Job{Kind: "a"}); !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("without a tenant: got %v", err)
		}
		_, err := q.EnqueueAcross(ctx, tx, queue.Job{Kind: "a", Tenant: beta})
		return err
	})
	if err != nil {
		t.Errorf("with a tenant across tenants: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := queue.New(queue.Config{Workers: -1, Lease: time.Millisecond}); err == nil ||
		err.Error() != "queue: Config.DB must be set; Config.Workers must be 1 to 1,000; Config.TenantWorkers must be positive; Config.Lease must be at least 1 s" &&
			err.Error() != "queue: Config.DB must be set; Config.Workers must be 1 to 1,000; Config.Lease must be at least 1 s" {
		t.Errorf("got %v", err)
	}
}

func TestHandlePanicsOnMistakes(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	nop := func(context.Context, queue.Job) error { return nil }
	q := newQueue(t, queue.Config{DB: db})
	q.Handle("a", nop, queue.Options{})
	mustPanic := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	mustPanic("twice", func() { q.Handle("a", nop, queue.Options{}) })
	mustPanic("no name", func() { q.Handle("", nop, queue.Options{}) })
	mustPanic("nil", func() { q.Handle("b", nil, queue.Options{}) })
	mustPanic("negative", func() { q.Handle("b", nop, queue.Options{Timeout: -1}) })
	start(t, q)
	mustPanic("late", func() { q.Handle("b", nop, queue.Options{}) })
}
