package queue_test

import (
	"context"
	"fmt"
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

// creators gives the tenants whose names begin alike one share.
func creators(deliveries int64) platform.LimitsFunc {
	return func(_ context.Context, t platform.TenantID) (platform.Limits, error) {
		return platform.Limits{Share: string(t[:5]), Deliveries: deliveries}, nil
	}
}

// Forty tenants of one share have as many workers as one of them, and another
// tenant's job begins while theirs hang.
func TestTenantsOfOneShareHaveItTogether(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Limits: creators(3)})
		gate := make(chan struct{})
		g := newGauge()
		q.Handle("job", func(_ context.Context, j queue.Job) error {
			defer g.run(string(j.Tenant[:5]))()
			<-gate
			return nil
		}, queue.Options{Concurrency: 10, Limit: func(l platform.Limits) int64 { return l.Deliveries }})
		start(t, q)
		for n := range 40 {
			enqueue(t, q, db, platform.TenantID(fmt.Sprintf("many_%02d", n)), queue.Job{Kind: "job"}, queue.Job{Kind: "job"})
		}
		synctest.Wait()
		enqueue(t, q, db, "other_1", queue.Job{Kind: "job"})
		synctest.Wait()
		if now := g.at(); now["many_"] != 3 || now["other"] != 1 {
			t.Errorf("at work: %v, want 3 of the many and the other's", now)
		}
		close(gate)
		time.Sleep(time.Second)
		if s := stats(t, q); s != (queue.Stats{}) {
			t.Errorf("left: %+v", s)
		}
	})
}

// at returns what runs now.
func (g *gauge) at() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := make(map[string]int)
	for name, n := range g.now {
		if n > 0 {
			now[name] = n
		}
	}
	return now
}

// While it is not known what a tenant's limits are, its jobs wait and those of
// others run.
func TestLimitsThatCannotBeReadHoldTheirTenant(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var broken atomic.Bool
		broken.Store(true)
		q := newQueue(t, queue.Config{DB: db, Limits: func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
			if tenant == acme && broken.Load() {
				return platform.Limits{}, errBoom
			}
			return platform.Limits{}, nil
		}})
		g := newGauge()
		q.Handle("job", func(_ context.Context, j queue.Job) error { g.run(string(j.Tenant)); return nil }, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "job"})
		enqueue(t, q, db, beta, queue.Job{Kind: "job"})
		time.Sleep(10 * time.Second)
		if now := g.at(); now[string(acme)] != 0 || now[string(beta)] != 1 {
			t.Errorf("ran: %v, want beta's job alone", now)
		}
		broken.Store(false)
		time.Sleep(5 * time.Second)
		if now := g.at(); now[string(acme)] != 1 {
			t.Errorf("after the limits can be read: %v", now)
		}
	})
}

// A kind that is run one at a time leaves the others their workers.
func TestOneAtATime(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		g, gate := newGauge(), make(chan struct{})
		for _, kind := range []string{"mail", "other"} {
			q.Handle(kind, func(_ context.Context, j queue.Job) error {
				defer g.run(j.Kind)()
				<-gate
				return nil
			}, queue.Options{Concurrency: 4, TenantConcurrency: 4})
		}
		start(t, q)
		q.OneAtATime("mail", true)
		for range 4 {
			enqueue(t, q, db, acme, queue.Job{Kind: "mail"}, queue.Job{Kind: "other"})
		}
		synctest.Wait()
		if now := g.at(); now["mail"] != 1 || now["other"] != 4 {
			t.Errorf("at work: %v", now)
		}
		q.OneAtATime("mail", false)
		synctest.Wait()
		if now := g.at(); now["mail"] != 4 {
			t.Errorf("afterwards: %v", now)
		}
		close(gate)
	})
}

// targets has one job run for as long as its target's gate is shut.
type targets struct {
	mu    sync.Mutex
	gates map[string]chan error
	runs  map[string]int
	g     *gauge
}

func newTargets(names ...string) *targets {
	w := &targets{gates: make(map[string]chan error), runs: make(map[string]int), g: newGauge()}
	for _, n := range names {
		w.gates[n] = make(chan error)
	}
	return w
}

// handle reports failures and recoveries as the test says over the gate.
func (w *targets) handle(q *queue.Queue, db store.Relational) queue.Handler {
	return func(ctx context.Context, j queue.Job) error {
		defer w.g.run(j.Target)()
		w.mu.Lock()
		w.runs[j.Target]++
		w.mu.Unlock()
		failed := <-w.gates[j.Target]
		return db.InTenant(ctx, j.Tenant, func(ctx context.Context, tx store.Tx) error {
			if failed != nil {
				if err := q.TargetFailed(ctx, tx, j.Kind, j.Target); err != nil {
					return err
				}
			} else if err := q.TargetRecovered(ctx, tx, j.Kind, j.Target); err != nil {
				return err
			}
			return queue.Finish(ctx, tx, j)
		})
	}
}

func TestTargets(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		db := place.Open(t)
		w := newTargets("bad", "good")
		var queues []*queue.Queue
		for _, db := range []testdb.DB{db, place.Another(t, db)} {
			q := newQueue(t, queue.Config{DB: db, Interval: 100 * time.Millisecond})
			q.Handle("send", w.handle(q, db), queue.Options{Concurrency: 8, TenantConcurrency: 8, TargetConcurrency: 2})
			queues = append(queues, q)
		}
		q := queues[0]
		start(t, q)
		var jobs []queue.Job
		for range 30 {
			jobs = append(jobs, queue.Job{Kind: "send", Target: "bad"})
		}
		enqueue(t, q, db, acme, jobs...)
		synctest.Wait()
		enqueue(t, q, db, acme, queue.Job{Kind: "send", Target: "good"})
		enqueue(t, q, db, beta, queue.Job{Kind: "send", Target: "bad"})
		synctest.Wait()
		if now := w.g.at(); now["bad"] != 3 || now["good"] != 1 {
			t.Errorf("at work: %v, want 2 of the target, beta's, and the other target's", now)
		}
		w.gates["good"] <- nil
		// Which tenant's the first is, does not matter: with one failure in
		// each, both are probed.
		for range 3 {
			w.gates["bad"] <- errBoom
		}
		start(t, queues[1])
		for n := range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			if now := w.g.at(); now["bad"] != 1 {
				t.Fatalf("%d of a failing target run at once, in two processes, after %d probes", now["bad"], n)
			}
			w.gates["bad"] <- errBoom
		}
		time.Sleep(time.Second)
		synctest.Wait()
		before := stats(t, q).Ready
		time.Sleep(30 * time.Second)
		if after := stats(t, q); after.Ready != before || after.Running != 1 {
			t.Errorf("while a probe hangs, %d of %d jobs wait, %d run", after.Ready, before, after.Running)
		}
		w.gates["bad"] <- nil // recovered
		time.Sleep(time.Second)
		synctest.Wait()
		if now, want := w.g.at(), 2*len(queues); now["bad"] != want {
			t.Errorf("%d run after it recovered, want 2 in each process", now["bad"])
		}
		close(w.gates["bad"])
		time.Sleep(time.Second)
		if s := stats(t, q); s != (queue.Stats{}) {
			t.Errorf("left: %+v", s)
		}
		if w.runs["bad"] != 31 {
			t.Errorf("%d runs of 31 jobs", w.runs["bad"])
		}
	})
}

// However many failing targets hang, half of the workers are for those that work;
// and targets of one tenant take turns.
func TestFailingTargetsLeaveRoom(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db})
		g, gate := newGauge(), make(chan struct{})
		q.Handle("send", func(_ context.Context, j queue.Job) error {
			defer g.run(string(j.Tenant))()
			if j.Target == "bad" {
				<-gate
			}
			return nil
		}, queue.Options{Concurrency: 6})
		for n := range 10 {
			tenant := platform.TenantID(fmt.Sprintf("org_%02d", n))
			enqueueFailing(t, q, db, tenant)
		}
		start(t, q)
		synctest.Wait()
		if now := g.at(); len(now) != 3 {
			t.Errorf("at work: %v, want 3 probes in a pool of 6", now)
		}
		for range 50 {
			enqueue(t, q, db, "org_zz", queue.Job{Kind: "send", Target: "good"})
		}
		synctest.Wait()
		if s := stats(t, q); s.Ready != 10*2-3 {
			t.Errorf("%d wait, want those of failing targets alone", s.Ready)
		}
		close(gate)
	})
}

// enqueueFailing leaves a tenant with two jobs of a target that fails.
func enqueueFailing(t *testing.T, q *queue.Queue, db store.Relational, tenant platform.TenantID) {
	t.Helper()
	migrated(t, db)
	enqueue(t, q, db, tenant, queue.Job{Kind: "send", Target: "bad"}, queue.Job{Kind: "send", Target: "bad"})
	err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		return q.TargetFailed(ctx, tx, "send", "bad")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// migrated makes the tables of the queue.
func migrated(t *testing.T, db store.Relational) {
	t.Helper()
	q := newQueue(t, queue.Config{DB: db})
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop(t, q)
}
