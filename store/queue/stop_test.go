package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/queue"
)

func TestStopWaitsForHandlers(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Workers: 1})
		runs := 0
		q.Handle("job", func(ctx context.Context, _ queue.Job) error {
			runs++
			time.Sleep(5 * time.Second)
			return ctx.Err()
		}, queue.Options{})
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		enqueue(t, q, db, acme, queue.Job{Kind: "job"}, queue.Job{Kind: "job"})
		synctest.Wait()
		began := time.Now()
		stop(t, q)
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("Stop took %v", waited)
		}
		if s := stats(t, q); runs != 1 || s.Ready != 1 || s.Running != 0 {
			t.Errorf("ran %d, then %+v; want the second job left", runs, s)
		}
	})
}

func TestStopEndsHandlersAndPutsJobsBack(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		q.Handle("job", func(ctx context.Context, _ queue.Job) error {
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, queue.ErrStopping) {
				t.Errorf("cause %v", cause)
			}
			return ctx.Err()
		}, queue.Options{Timeout: time.Hour, MaxAttempts: 1})
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := enqueue(t, q, db, acme, queue.Job{Kind: "job"})[0]
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if err := q.Stop(ctx); err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited != 4*time.Second {
			t.Errorf("handlers got %v, want half of the time", waited)
		}
		next := newQueue(t, queue.Config{DB: db})
		ran := make(chan queue.Job, 1)
		next.Handle("job", func(_ context.Context, j queue.Job) error { ran <- j; return nil }, queue.Options{MaxAttempts: 1})
		start(t, next)
		began = time.Now()
		if j := <-ran; j.ID != id || j.Attempt != 1 || time.Since(began) != 0 {
			t.Errorf("the next start got %+v after %v", j, time.Since(began))
		}
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		gate := make(chan struct{})
		q.Handle("deaf", func(context.Context, queue.Job) error { <-gate; return nil }, queue.Options{})
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		enqueue(t, q, db, acme, queue.Job{Kind: "deaf"})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		if err := q.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		// The handler may still have effects: its job stays leased.
		if s := stats(t, q); s.Running != 1 {
			t.Errorf("got %+v", s)
		}
		close(gate)
	})
}

func TestStopWithoutStart(t *testing.T) {
	q := newQueue(t, queue.Config{DB: testdb.NewPlace(t).Open(t)})
	stop(t, q)
}
