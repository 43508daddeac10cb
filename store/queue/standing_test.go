package queue_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/queue"
)

// suspensions are said by the test.
type suspensions struct {
	mu      sync.Mutex
	of      map[platform.TenantID]bool
	err     error
	asked   int
	changed []func(platform.TenantID)
}

func (s *suspensions) Suspended(_ context.Context, t platform.TenantID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.of[t], s.err
}

func (s *suspensions) OnSuspension(changed func(platform.TenantID)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = append(s.changed, changed)
}

// set suspends or resumes a tenant, and tells it if tell is set.
func (s *suspensions) set(t platform.TenantID, suspended, tell bool) {
	s.mu.Lock()
	if s.of == nil {
		s.of = make(map[platform.TenantID]bool)
	}
	s.of[t] = suspended
	changed := s.changed
	s.mu.Unlock()
	for _, f := range changed {
		if tell {
			f(t)
		}
	}
}

func (s *suspensions) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// The jobs of a suspended tenant wait: those that wait already, those that are
// enqueued, and those that run, which end. Each has its attempts when the tenant
// is resumed, and runs once. Other tenants notice nothing.
func TestSuspendedTenantsWait(t *testing.T) {
	for name, told := range map[string]bool{"told": true, "found out": false} {
		testdb.Prepare(t)
		synctest.Test(t, func(t *testing.T) {
			place := testdb.NewPlace(t)
			db := place.Open(t)
			s := &suspensions{}
			var (
				g     = newGauge()
				ended atomic.Int32
				gate  = make(chan struct{})
			)
			var queues []*queue.Queue
			for _, db := range []testdb.DB{db, place.Another(t, db)} {
				q := newQueue(t, queue.Config{DB: db, Suspensions: s, Workers: 2, TenantWorkers: 2})
				q.Handle("job", func(ctx context.Context, j queue.Job) error {
					select {
					case <-ctx.Done():
						if !errors.Is(context.Cause(ctx), queue.ErrSuspended) {
							t.Errorf("the cause is %v", context.Cause(ctx))
						}
						ended.Add(1)
						return ctx.Err()
					case <-gate:
					}
					if j.Attempt != 1 {
						t.Errorf("%s: attempt %d", name, j.Attempt)
					}
					g.run(string(j.Tenant))
					return nil
				}, queue.Options{Timeout: time.Hour})
				start(t, q)
				queues = append(queues, q)
			}
			q := queues[0]
			for range 10 {
				enqueue(t, q, db, acme, queue.Job{Kind: "job"})
			}
			time.Sleep(2 * time.Second)
			if got := stats(t, q); got.Running != 4 || got.Ready != 6 {
				t.Errorf("%s: before: %+v", name, got)
			}
			s.set(acme, true, told)
			synctest.Wait()
			if told && ended.Load() != 4 {
				t.Errorf("%d of 4 handlers ended at once", ended.Load())
			}
			time.Sleep(20 * time.Second)
			if n := ended.Load(); n != 4 {
				t.Errorf("%s: %d of 4 handlers ended", name, n)
			}
			enqueue(t, q, db, acme, queue.Job{Kind: "job"})
			close(gate)
			enqueue(t, q, db, beta, queue.Job{Kind: "job"})
			time.Sleep(2 * time.Second)
			if now := g.at(); now[string(acme)] != 0 || now[string(beta)] != 1 {
				t.Errorf("%s: while it is suspended: %v", name, now)
			}
			s.mu.Lock()
			before := s.asked
			s.mu.Unlock()
			time.Sleep(100 * time.Second)
			s.mu.Lock()
			// Each process asks once in 5 s.
			if asked := s.asked - before; asked > 2*2*20 {
				t.Errorf("%s: asked %d times in 100 s", name, asked)
			}
			s.mu.Unlock()
			if got := stats(t, q); got.Ready != 11 || got.Running != 0 {
				t.Errorf("%s: while it is suspended: %+v", name, got)
			}
			s.set(acme, false, told)
			if told {
				synctest.Wait()
			} else {
				time.Sleep(20 * time.Second)
			}
			time.Sleep(2 * time.Second)
			if now := g.at(); now[string(acme)] != 11 {
				t.Errorf("%s: after it was resumed %d of 11 ran", name, now[string(acme)])
			}
			if got := stats(t, q); got != (queue.Stats{}) {
				t.Errorf("%s: left: %+v", name, got)
			}
		})
	}
}

// A suspension between the claim and the handler is noticed too, and a question
// without answer lets nothing run.
func TestSuspensionIsAskedBeforeEachJob(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		s := &suspensions{}
		q := newQueue(t, queue.Config{DB: db, Suspensions: s})
		var ran atomic.Int32
		q.Handle("job", func(context.Context, queue.Job) error { ran.Add(1); return nil }, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "job"})
		synctest.Wait()
		if ran.Load() != 1 {
			t.Fatalf("ran %d jobs", ran.Load())
		}
		s.set(acme, true, false) // nobody tells: what is remembered is that it may
		enqueue(t, q, db, acme, queue.Job{Kind: "job"})
		synctest.Wait()
		if ran.Load() != 1 {
			t.Error("a job ran in spite of the suspension")
		}
		s.set(acme, false, true)
		synctest.Wait()
		if ran.Load() != 2 {
			t.Error("it did not run afterwards")
		}
		s.fail(errBoom)
		enqueue(t, q, db, acme, queue.Job{Kind: "job"})
		time.Sleep(time.Minute)
		if ran.Load() != 2 {
			t.Error("a job ran although it is not known whether it may")
		}
		s.fail(nil)
		time.Sleep(5 * time.Second)
		if ran.Load() != 3 {
			t.Error("it did not run once that was known")
		}
	})
}
