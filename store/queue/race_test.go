package queue_test

import (
	"context"
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
	"github.com/acme/platform/store/queue"
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

// The workers of two processes share the jobs, and nobody runs one of another's.
func TestTwoProcessesShare(t *testing.T) {
	const jobs = 2000
	place := testdb.NewPlace(t)
	db := place.Open(t)
	var (
		mu   sync.Mutex
		runs = make(map[string]int)
		by   [2]int
	)
	queues := make([]*queue.Queue, 2)
	for i, db := range []testdb.DB{db, place.Another(t, db)} {
		queues[i] = newQueue(t, queue.Config{DB: db, Workers: 16, Interval: 5 * time.Millisecond})
		for _, kind := range []string{"a", "b"} {
			queues[i].Handle(kind, func(_ context.Context, j queue.Job) error {
				mu.Lock()
				defer mu.Unlock()
				runs[j.ID]++
				by[i]++
				return nil
			}, queue.Options{})
		}
		start(t, queues[i])
	}
	var all sync.WaitGroup
	for i, tenant := range []platform.TenantID{acme, beta} {
		all.Go(func() {
			for range jobs / 2 / 20 {
				var some []queue.Job
				for n := range 20 {
					some = append(some, queue.Job{Kind: []string{"a", "b"}[n%2]})
				}
				enqueue(t, queues[i], db, tenant, some...)
			}
		})
	}
	all.Wait()
	until(t, "all jobs are done", func() bool { return stats(t, queues[0]) == (queue.Stats{}) })
	mu.Lock()
	defer mu.Unlock()
	if len(runs) != jobs || by[0]+by[1] != jobs {
		t.Errorf("%d jobs in %d runs, want %d", len(runs), by[0]+by[1], jobs)
	}
	if by[0] == 0 || by[1] == 0 {
		t.Errorf("one of the processes ran nothing: %v", by)
	}
}

// Of many who enqueue with one key at once, all get the same job.
func TestUniqueKeyAtOnce(t *testing.T) {
	place := testdb.NewPlace(t)
	db := place.Open(t)
	q := newQueue(t, queue.Config{DB: db})
	start(t, q) // no worker knows the kind
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := make(map[string]bool)
	for range 16 {
		all.Go(func() {
			id := enqueue(t, q, db, acme, queue.Job{Kind: "job", UniqueKey: "k"})[0]
			mu.Lock()
			defer mu.Unlock()
			ids[id] = true
		})
	}
	all.Wait()
	if s := stats(t, q); len(ids) != 1 || s.Ready != 1 {
		t.Errorf("%d ids, %+v", len(ids), s)
	}
}

// A key whose jobs come and go beside those who enqueue: each call ends well, and
// what the last one asked for is run after it.
func TestUniqueKeyBesideWorkers(t *testing.T) {
	place := testdb.NewPlace(t)
	db := place.Open(t)
	q := newQueue(t, queue.Config{DB: db, Interval: 20 * time.Millisecond})
	var asked, seen atomic.Int64
	q.Handle("job", func(ctx context.Context, _ queue.Job) error {
		for now := asked.Load(); seen.Load() < now; {
			seen.Store(now)
		}
		return nil
	}, queue.Options{})
	start(t, q)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				enqueue(t, q, db, acme, queue.Job{Kind: "job", UniqueKey: "k"})
			}
		})
	}
	all.Wait()
	until(t, "no job is left", func() bool { return stats(t, q) == (queue.Stats{}) })
	asked.Store(1)
	enqueue(t, q, db, acme, queue.Job{Kind: "job", UniqueKey: "k"})
	until(t, "the last one has run", func() bool { return seen.Load() == 1 })
}

// A job that waits when its key is enqueued again runs after the transaction that
// did so, and sees what that has written.
func TestUniqueKeyKeepsTheJobWaiting(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("there is one writer")
	}
	for name, runAt := range map[string]time.Duration{"scheduled": 5 * time.Second, "ready": 0} {
		testdb.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			place := testdb.NewPlace(t)
			db, other := place.Open(t), place.Open(t)
			q := newQueue(t, queue.Config{DB: db, Interval: 100 * time.Millisecond})
			var ran atomic.Int32
			q.Handle("job", func(context.Context, queue.Job) error { ran.Add(1); return nil }, queue.Options{})
			asking := newQueue(t, queue.Config{DB: other})
			start(t, asking)
			first := enqueue(t, asking, other, acme, queue.Job{Kind: "job", UniqueKey: "k", RunAt: time.Now().Add(runAt)})[0]
			asked, commit, done := make(chan string), make(chan struct{}), make(chan error)
			go func() {
				done <- other.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
					id, err := asking.Enqueue(ctx, tx, queue.Job{Kind: "job", UniqueKey: "k"})
					asked <- id
					<-commit
					return err
				})
			}()
			if id := <-asked; id != first {
				t.Errorf("%s: got %s, want %s", name, id, first)
			}
			start(t, q)
			time.Sleep(15 * time.Second)
			if n := ran.Load(); n != 0 {
				t.Errorf("%s: the job ran beside the transaction that asks for it", name)
			}
			close(commit)
			if err := <-done; err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if n := ran.Load(); n != 1 {
				t.Errorf("%s: the job ran %d times after the commit", name, n)
			}
		})
	}
}

// A handler that keeps its transaction open after Finish holds up nobody: other
// jobs run, leases are renewed, and its own job is nobody else's meanwhile.
func TestFinishThatTakesLong(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("there is one writer")
	}
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		var long, quick, slow atomic.Int32
		finished := make(chan error, 2)
		for _, db := range []testdb.DB{db, place.Open(t)} {
			q := newQueue(t, queue.Config{DB: db, Lease: 3 * time.Second, Interval: 100 * time.Millisecond})
			q.Handle("long", func(ctx context.Context, j queue.Job) error {
				long.Add(1)
				err := db.InTenant(ctx, j.Tenant, func(ctx context.Context, tx store.Tx) error {
					if err := queue.Finish(ctx, tx, j); err != nil {
						return err
					}
					time.Sleep(20 * time.Second)
					return ctx.Err()
				})
				finished <- err
				return err
			}, queue.Options{})
			q.Handle("slow", func(ctx context.Context, _ queue.Job) error {
				slow.Add(1)
				time.Sleep(15 * time.Second)
				return ctx.Err()
			}, queue.Options{})
			q.Handle("quick", func(context.Context, queue.Job) error { quick.Add(1); return nil }, queue.Options{})
			start(t, q)
		}
		asking := newQueue(t, queue.Config{DB: db})
		enqueue(t, asking, db, acme, queue.Job{Kind: "long"}, queue.Job{Kind: "slow"})
		time.Sleep(time.Second)
		for n := range 10 {
			enqueue(t, asking, db, acme, queue.Job{Kind: "quick"})
			time.Sleep(time.Second)
			if got := quick.Load(); got != int32(n+1) {
				t.Fatalf("%d quick jobs ran beside the long one, want %d", got, n+1)
			}
		}
		time.Sleep(30 * time.Second)
		if err := <-finished; err != nil || long.Load() != 1 || slow.Load() != 1 {
			t.Errorf("the long one: %v; it ran %d times, the slow one %d times", err, long.Load(), slow.Load())
		}
		if s := stats(t, asking); s != (queue.Stats{}) {
			t.Errorf("left: %+v", s)
		}
	})
}

// Two processes that wake the same scheduled jobs, and find the same leases ended,
// each take a part.
func TestTwoProcessesWakeAndRescue(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		// A process that is gone has left a hundred running jobs.
		gate := make(chan struct{})
		cut := &testdb.Faulty{DB: place.Another(t, db)}
		gone := newQueue(t, queue.Config{DB: cut, Workers: 100, TenantWorkers: 100, Lease: 5 * time.Second})
		gone.Handle("job", func(context.Context, queue.Job) error { <-gate; return nil }, queue.Options{})
		start(t, gone)
		var jobs []queue.Job
		for n := range 100 {
			jobs = append(jobs, queue.Job{Kind: "job", Payload: number(n)})
		}
		enqueue(t, gone, db, acme, jobs...)
		synctest.Wait()
		time.Sleep(time.Second)
		cut.Down.Store(true)
		for n := range jobs {
			jobs[n].Kind, jobs[n].RunAt = "later", time.Now().Add(8*time.Second)
		}
		enqueue(t, gone, db, beta, jobs...)
		var mu sync.Mutex
		runs := make(map[string]int)
		for _, db := range []testdb.DB{db, place.Another(t, db)} {
			q := newQueue(t, queue.Config{DB: db, Interval: 100 * time.Millisecond, Lease: 5 * time.Second})
			for _, kind := range []string{"job", "later"} {
				q.Handle(kind, func(_ context.Context, j queue.Job) error {
					mu.Lock()
					defer mu.Unlock()
					runs[fmt.Sprint(kind, " ", string(j.Payload))]++
					return nil
				}, queue.Options{})
			}
			start(t, q)
		}
		time.Sleep(30 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(runs) != 200 {
			t.Errorf("%d of 200 jobs ran", len(runs))
		}
		for job, n := range runs {
			if n != 1 {
				t.Errorf("%s ran %d times", job, n)
			}
		}
		close(gate)
	})
}
