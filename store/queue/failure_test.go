package queue_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

func TestBackoffIsCappedWithFullJitter(t *testing.T) {
	for _, c := range []struct {
		random float64
		want   []time.Duration // before each attempt but the first
	}{
		{0, []time.Duration{0, 0, 0, 0}},
		{0.5, []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 2500 * time.Millisecond}},
		{1, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second}},
	} {
		testdb.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			db := testdb.NewPlace(t).Open(t)
			q := newQueue(t, queue.Config{DB: db, Interval: time.Minute, Rand: func() float64 { return c.random }})
			var at []time.Time
			q.Handle("fail", func(_ context.Context, j queue.Job) error {
				if at = append(at, time.Now()); j.Attempt != len(at) {
					t.Errorf("attempt %d, want %d", j.Attempt, len(at))
				}
				return errBoom
			}, queue.Options{MaxAttempts: 5, Backoff: time.Second, MaxBackoff: 5 * time.Second})
			start(t, q)
			id := enqueue(t, q, db, acme, queue.Job{Kind: "fail", Payload: number(1)})[0]
			time.Sleep(time.Minute)
			stop(t, q)
			if len(at) != 5 {
				t.Fatalf("ran %d times, want 5", len(at))
			}
			for i, want := range c.want {
				if got := at[i+1].Sub(at[i]); got < want || got > want+10*time.Millisecond {
					t.Errorf("random %v: pause %d is %v, want %v", c.random, i+1, got, want)
				}
			}
			dead, err := q.Dead(t.Context(), acme, queue.DeadQuery{})
			if err != nil || len(dead) != 1 || dead[0].ID != id || dead[0].Cause != "boom" || dead[0].Attempt != 5 || string(dead[0].Payload) != "1" {
				t.Errorf("dead: %+v, %v", dead, err)
			}
		})
	}
}

func TestRetryAfterAndDiscard(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Interval: time.Minute})
		var at []time.Time
		q.Handle("busy", func(context.Context, queue.Job) error {
			if at = append(at, time.Now()); len(at) == 1 {
				return queue.RetryAfter(errBoom, 42*time.Second)
			}
			return queue.Discard(errBoom)
		}, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "busy"})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(at) != 2 {
			t.Fatalf("ran %d times, want 2", len(at))
		}
		if got := at[1].Sub(at[0]); got < 42*time.Second || got > 42*time.Second+10*time.Millisecond {
			t.Errorf("pause %v, want 42 s", got)
		}
		if s := stats(t, q); s != (queue.Stats{Dead: 1}) {
			t.Errorf("got %+v", s)
		}
		if err := queue.Discard(errBoom); !errors.Is(err, errBoom) {
			t.Error("Discard hides its cause")
		}
		if err := queue.RetryAfter(errBoom, 0); !errors.Is(err, errBoom) {
			t.Error("RetryAfter hides its cause")
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		q.Handle("panic", func(context.Context, queue.Job) error { panic("ouch") }, queue.Options{MaxAttempts: 1})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "panic"})
		time.Sleep(time.Second)
		dead, err := q.Dead(t.Context(), acme, queue.DeadQuery{})
		if err != nil || len(dead) != 1 || dead[0].Cause != "queue: panic: ouch" {
			t.Errorf("got %+v, %v", dead, err)
		}
	})
}

func TestTimeout(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Interval: time.Minute})
		began := time.Now()
		q.Handle("slow", func(ctx context.Context, _ queue.Job) error {
			<-ctx.Done()
			if got := time.Since(began); got != 3*time.Minute {
				t.Errorf("the context ended after %v", got)
			}
			return ctx.Err()
		}, queue.Options{MaxAttempts: 1, Timeout: 3 * time.Minute})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "slow"})
		time.Sleep(4 * time.Minute)
		dead, err := q.Dead(t.Context(), acme, queue.DeadQuery{})
		if err != nil || len(dead) != 1 || !strings.HasPrefix(dead[0].Cause, "queue: the attempt took too long") {
			t.Errorf("got %+v, %v", dead, err)
		}
	})
}

// A handler may take longer than the lease: it is renewed, and nobody else gets
// the job.
func TestLeaseIsRenewed(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var runs atomic.Int32
		handle := func(context.Context, queue.Job) error {
			runs.Add(1)
			time.Sleep(10 * time.Minute)
			return nil
		}
		a, b := newQueue(t, queue.Config{DB: db, Interval: time.Minute}), newQueue(t, queue.Config{DB: db, Interval: time.Minute})
		for _, q := range []*queue.Queue{a, b} {
			q.Handle("long", handle, queue.Options{Timeout: 2 * time.Hour})
			start(t, q)
		}
		enqueue(t, a, db, acme, queue.Job{Kind: "long"})
		time.Sleep(8 * time.Minute)
		if s := stats(t, a); s.Running != 1 || s.OldestRunning < 7*time.Minute {
			t.Errorf("meanwhile: %+v", s)
		}
		time.Sleep(10 * time.Minute)
		if n := runs.Load(); n != 1 {
			t.Errorf("ran %d times", n)
		}
		if s := stats(t, a); s != (queue.Stats{}) {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// A process that is cut off loses its job to another, learns of it, and can have
// no effect any more.
func TestLostLease(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		cut := &testdb.Faulty{DB: db}
		a := newQueue(t, queue.Config{DB: cut})
		var (
			cause  error
			finish = make(chan error, 2)
		)
		a.Handle("job", func(ctx context.Context, j queue.Job) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			err := db.InTenant(context.WithoutCancel(ctx), j.Tenant, func(ctx context.Context, tx store.Tx) error {
				return queue.Finish(ctx, tx, j)
			})
			finish <- err
			return err
		}, queue.Options{Timeout: time.Hour})
		start(t, a)
		enqueue(t, a, db, acme, queue.Job{Kind: "job"})
		synctest.Wait()
		cut.Down.Store(true)

		b := newQueue(t, queue.Config{DB: testdb.Alone(db, false)}) // of another process
		var second atomic.Int32                                     // the attempt
		gate := make(chan struct{})
		b.Handle("job", func(_ context.Context, j queue.Job) error {
			second.Store(int32(j.Attempt))
			<-gate
			return nil
		}, queue.Options{Timeout: time.Hour})
		start(t, b)
		time.Sleep(29 * time.Second)
		if second.Load() != 0 {
			t.Error("the job was taken before its lease ended")
		}
		time.Sleep(20 * time.Second)
		if n := second.Load(); n != 2 {
			t.Errorf("after the lease: attempt %d", n)
		}
		cut.Down.Store(false)
		if err := <-finish; !errors.Is(err, queue.ErrLeaseLost) || !errors.Is(cause, queue.ErrLeaseLost) {
			t.Errorf("the first worker: Finish %v, cause %v", err, cause)
		}
		time.Sleep(time.Minute)
		if s := stats(t, b); s.Running != 1 {
			t.Errorf("the second worker's job: %+v", s)
		}
		close(gate)
		time.Sleep(time.Second)
		if s := stats(t, b); s != (queue.Stats{}) {
			t.Errorf("at the end: %+v", s)
		}
	})
}

// A process that ends in the middle leaves its job to the next: at the latest
// after the lease, and at once where it knows that it is alone.
func TestCrash(t *testing.T) {
	for exclusive, most := range map[bool]time.Duration{false: 41 * time.Second, true: 0} {
		testdb.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			place := testdb.NewPlace(t)
			db := place.Open(t)
			dying := newQueue(t, queue.Config{DB: db})
			gate := make(chan struct{})
			dying.Handle("job", func(context.Context, queue.Job) error { <-gate; return nil }, queue.Options{})
			start(t, dying)
			id := enqueue(t, dying, db, acme, queue.Job{Kind: "job", Payload: number(5)})[0]
			synctest.Wait()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}

			db = place.Open(t)
			q := newQueue(t, queue.Config{DB: testdb.Alone(db, exclusive)})
			ran := make(chan queue.Job, 1)
			q.Handle("job", func(_ context.Context, j queue.Job) error { ran <- j; return nil }, queue.Options{})
			start(t, q)
			began := time.Now()
			if j := <-ran; j.ID != id || j.Attempt != 2 || string(j.Payload) != "5" {
				t.Errorf("got %+v", j)
			}
			if waited := time.Since(began); waited > most {
				t.Errorf("exclusive %v: waited %v", exclusive, waited)
			}
			close(gate)
		})
	}
}

// A job that ends every process that runs it must not do so for ever.
func TestJobThatKillsItsProcessDies(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		gate := make(chan struct{})
		for range 2 {
			db := place.Open(t)
			q := newQueue(t, queue.Config{DB: db})
			began := make(chan struct{}, 1)
			q.Handle("killer", func(context.Context, queue.Job) error { began <- struct{}{}; <-gate; return nil }, queue.Options{MaxAttempts: 2})
			start(t, q)
			enqueue(t, q, db, acme, queue.Job{Kind: "killer", UniqueKey: "one"})
			<-began
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		db := place.Open(t)
		q := newQueue(t, queue.Config{DB: db})
		q.Handle("killer", func(context.Context, queue.Job) error { t.Error("ran a third time"); return nil }, queue.Options{MaxAttempts: 2})
		start(t, q)
		time.Sleep(time.Minute)
		dead, err := q.Dead(t.Context(), acme, queue.DeadQuery{})
		if err != nil || len(dead) != 1 || dead[0].Cause != "queue: the process ended in the last attempt" {
			t.Errorf("got %+v, %v", dead, err)
		}
		close(gate)
	})
}

func TestStoreThatFailsForAWhile(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		cut := &testdb.Faulty{DB: db}
		q := newQueue(t, queue.Config{DB: cut})
		var runs atomic.Int32
		q.Handle("job", func(context.Context, queue.Job) error {
			runs.Add(1)
			cut.Down.Store(true) // before the result is stored
			return nil
		}, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "job"})
		time.Sleep(20 * time.Second)
		if s := stats(t, newQueue(t, queue.Config{DB: db})); s.Running != 1 {
			t.Errorf("while the store is unavailable: %+v", s)
		}
		cut.Down.Store(false)
		time.Sleep(time.Minute)
		if s := stats(t, q); s != (queue.Stats{}) || runs.Load() != 1 {
			t.Errorf("after: %+v, ran %d times", s, runs.Load())
		}
	})
}

func TestUnknownKindIsLeftAlone(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		old := newQueue(t, queue.Config{DB: db, Interval: time.Minute})
		old.Handle("old", func(context.Context, queue.Job) error { return nil }, queue.Options{})
		start(t, old)
		enqueue(t, old, db, acme, queue.Job{Kind: "new"}, queue.Job{Kind: "old"})
		time.Sleep(10 * time.Minute)
		if s := stats(t, old); s.Ready != 1 || s.Unknown != 1 || s.Dead != 0 || s.OldestReady < 9*time.Minute {
			t.Errorf("got %+v", s)
		}
		next := newQueue(t, queue.Config{DB: db, Interval: time.Minute})
		ran := make(chan queue.Job, 1)
		next.Handle("new", func(_ context.Context, j queue.Job) error { ran <- j; return nil }, queue.Options{})
		start(t, next)
		if j := <-ran; j.Attempt != 1 {
			t.Errorf("attempt %d", j.Attempt)
		}
	})
}
