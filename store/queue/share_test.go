package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// gauge counts what runs at once.
type gauge struct {
	mu       sync.Mutex
	now, max map[string]int
}

func newGauge() *gauge { return &gauge{now: make(map[string]int), max: make(map[string]int)} }

func (g *gauge) run(names ...string) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range names {
		g.now[n]++
		g.max[n] = max(g.max[n], g.now[n])
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, n := range names {
			g.now[n]--
		}
	}
}

func TestCaps(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Workers: 10, TenantWorkers: 6})
		g := newGauge()
		handle := func(_ context.Context, j queue.Job) error {
			defer g.run(j.Kind, j.Kind+string(j.Tenant))()
			time.Sleep(time.Second)
			return nil
		}
		q.Handle("a", handle, queue.Options{Concurrency: 4, TenantConcurrency: 3})
		q.Handle("b", handle, queue.Options{})
		start(t, q)
		for _, tenant := range []platform.TenantID{acme, beta} {
			var jobs []queue.Job
			for range 30 {
				jobs = append(jobs, queue.Job{Kind: "a"}, queue.Job{Kind: "b"})
			}
			enqueue(t, q, db, tenant, jobs...)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for name, want := range map[string]int{
			"a": 4, "a" + string(acme): 3, "a" + string(beta): 3,
			"b": 10, "b" + string(acme): 6, "b" + string(beta): 6,
		} {
			if g.max[name] > want {
				t.Errorf("%s: %d at once, cap %d", name, g.max[name], want)
			}
		}
		if g.max["a"] != 4 || g.max["b"] != 10 {
			t.Errorf("the caps were not used: %v", g.max)
		}
		if s := stats(t, q); s != (queue.Stats{}) {
			t.Errorf("left: %+v", s)
		}
	})
}

// A tenant with a thousand jobs must not make another one's single job wait for
// them, whatever their priority; nor must a kind.
func TestTakesTurns(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Workers: 2, TenantWorkers: 2})
		var order []string
		var mu sync.Mutex
		handle := func(_ context.Context, j queue.Job) error {
			mu.Lock()
			order = append(order, string(j.Tenant)+" "+j.Kind)
			mu.Unlock()
			time.Sleep(time.Second)
			return nil
		}
		q.Handle("a", handle, queue.Options{})
		q.Handle("b", handle, queue.Options{})
		start(t, q)
		var flood []queue.Job
		for range 1000 {
			flood = append(flood, queue.Job{Kind: "a", Priority: 100})
		}
		enqueue(t, q, db, acme, flood...)
		time.Sleep(10*time.Second + time.Millisecond)
		mu.Lock()
		before := len(order)
		mu.Unlock()
		enqueue(t, q, db, beta, queue.Job{Kind: "a"})
		enqueue(t, q, db, acme, queue.Job{Kind: "b"})
		time.Sleep(5 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		after := order[before:]
		for _, want := range []string{"org_beta a", "org_acme b"} {
			if !slices.Contains(after[:min(len(after), 6)], want) {
				t.Errorf("%q did not run among the next six: %v", want, after)
			}
		}
	})
}

// A kind whose jobs hang takes no worker of another kind.
func TestEachKindHasItsWorkers(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Workers: 2, TenantWorkers: 2})
		gate := make(chan struct{})
		var hanging, quick atomic.Int32
		q.Handle("hangs", func(context.Context, queue.Job) error { hanging.Add(1); <-gate; return nil }, queue.Options{})
		q.Handle("quick", func(context.Context, queue.Job) error { quick.Add(1); return nil }, queue.Options{})
		start(t, q)
		for range 10 {
			enqueue(t, q, db, beta, queue.Job{Kind: "hangs"})
		}
		synctest.Wait()
		if n := hanging.Load(); n != 2 {
			t.Errorf("%d hang, want both workers of the kind", n)
		}
		for range 5 {
			enqueue(t, q, db, acme, queue.Job{Kind: "quick"})
		}
		synctest.Wait()
		if n := quick.Load(); n != 5 {
			t.Errorf("%d of 5 jobs of the other kind ran", n)
		}
		close(gate)
	})
}

func TestDeadJobsAreTheTenants(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, DeadRetention: 2 * time.Hour, Interval: time.Minute})
		fail := true
		ran := 0
		q.Handle("job", func(context.Context, queue.Job) error {
			if ran++; fail {
				return queue.Discard(errBoom)
			}
			return nil
		}, queue.Options{})
		start(t, q)
		var ids []string
		for i := range 5 {
			ids = append(ids, enqueue(t, q, db, acme, queue.Job{Kind: "job", Payload: number(i), UniqueKey: fmt.Sprint(i)})...)
			time.Sleep(time.Second)
		}
		if dead, err := q.Dead(t.Context(), beta, queue.DeadQuery{}); err != nil || len(dead) != 0 {
			t.Errorf("another tenant sees %v, %v", dead, err)
		}
		if _, err := q.Dead(t.Context(), "", queue.DeadQuery{}); !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("without tenant: %v", err)
		}
		var listed []string
		var after *queue.DeadJob
		for {
			page, err := q.Dead(t.Context(), acme, queue.DeadQuery{Kind: "job", Limit: 2, After: after})
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				listed = append(listed, d.ID)
			}
			after = &page[len(page)-1]
		}
		if want := fmt.Sprint([]string{ids[4], ids[3], ids[2], ids[1], ids[0]}); fmt.Sprint(listed) != want {
			t.Errorf("listed %v, want %v", listed, want)
		}
		if page, err := q.Dead(t.Context(), acme, queue.DeadQuery{Kind: "other"}); err != nil || len(page) != 0 {
			t.Errorf("of another kind: %v, %v", page, err)
		}

		synctest.Wait()
		fail = false
		if err := q.Retry(t.Context(), beta, ids[0]); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("another tenant's retry: %v", err)
		}
		if err := q.Retry(t.Context(), acme, ids[0]); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if err := q.Retry(t.Context(), acme, ids[0]); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("a retry of what is done: %v", err)
		}
		if s := stats(t, q); ran != 6 || s.Dead != 4 {
			t.Errorf("ran %d times, %+v", ran, s)
		}
		enqueue(t, q, db, acme, queue.Job{Kind: "job", UniqueKey: "1", RunAt: time.Now().Add(time.Hour)})
		if err := q.Retry(t.Context(), acme, ids[1]); !errors.Is(err, platform.ErrConflict) {
			t.Errorf("a retry beside a job with its key: %v", err)
		}
		time.Sleep(4 * time.Hour)
		if s := stats(t, q); s.Dead != 0 {
			t.Errorf("after the retention: %+v", s)
		}
	})
}

// The effect of a handler that uses Finish and the end of the job are one.
func TestFinish(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		q := newQueue(t, queue.Config{DB: db, Rand: func() float64 { return 1 }})
		effects := func() (n int) {
			err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
				return tx.QueryRow(ctx, `SELECT count(*) FROM effects`).Scan(&n)
			}, store.ReadOnly)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		table := &fstest.MapFile{Data: []byte("CREATE TABLE effects (tenant TEXT NOT NULL);\n")}
		err := db.Migrate(t.Context(), store.Migrations{Component: "effects", Files: fstest.MapFS{
			"sqlite/0001_effects.sql": table, "postgres/0001_effects.sql": table,
		}})
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		q.Handle("job", func(ctx context.Context, j queue.Job) error {
			runs++
			err := db.InTenant(ctx, j.Tenant, func(ctx context.Context, tx store.Tx) error {
				if _, err := tx.Exec(ctx, `INSERT INTO effects VALUES (?)`, string(j.Tenant)); err != nil {
					return err
				}
				if err := queue.Finish(ctx, tx, j); err != nil {
					return err
				}
				if runs == 1 {
					return errBoom // neither the effect nor the end
				}
				return nil
			})
			if runs == 1 {
				if n := effects(); n != 0 {
					t.Errorf("%d effects of a transaction that failed", n)
				}
				return err
			}
			return errBoom // too late: it is finished
		}, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "job"})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := effects(); n != 1 || runs != 2 {
			t.Errorf("%d effects in %d runs", n, runs)
		}
		if s := stats(t, q); s != (queue.Stats{}) {
			t.Errorf("left: %+v", s)
		}
		err = db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
			return queue.Finish(ctx, tx, queue.Job{ID: "job_x", Tenant: acme})
		})
		if err == nil {
			t.Error("Finish took a job that no handler was given")
		}
	})
}
