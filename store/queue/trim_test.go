package queue_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// A trim whose commit fails has counted a full batch: it must wait for the next
// round and not try for ever.
func TestTrimThatFailsWaits(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := &testdb.Faulty{DB: testdb.NewPlace(t).Open(t)}
		q := newQueue(t, queue.Config{DB: db, DeadRetention: time.Hour, Interval: time.Hour, Lease: 30 * time.Hour})
		q.Handle("fail", func(context.Context, queue.Job) error { return errBoom }, queue.Options{MaxAttempts: 1, Timeout: time.Hour})
		start(t, q)
		jobs := make([]queue.Job, 1200) // more than two transactions remove
		for i := range jobs {
			jobs[i].Kind = "fail"
		}
		enqueue(t, q, db, acme, jobs...)
		synctest.Wait()
		if n := stats(t, q).Dead; n != 1200 {
			t.Fatalf("%d jobs are dead", n)
		}
		counting := &counter{Faulty: db}
		next := newQueue(t, queue.Config{DB: counting, DeadRetention: time.Hour, Interval: time.Hour, Lease: 30 * time.Hour})
		time.Sleep(150 * time.Minute)
		stop(t, q)
		if n := stats(t, q).Dead; n != 0 {
			t.Errorf("%d dead jobs are left after their retention", n)
		}
		enqueue(t, q, db, acme, jobs...)
		exec(t, db, `UPDATE jobs SET state = 3, died = 1`)
		start(t, next)
		synctest.Wait() // the first 500 are removed
		db.Full.Store(true)
		counting.on.Store(true)
		time.Sleep(210 * time.Minute)
		counting.on.Store(false)
		db.Full.Store(false)
		// Each hour there is a round of the trimmer, and a look of the batcher.
		if n := counting.n.Load(); n < 5 || n > 20 {
			t.Errorf("%d transactions in three hours while the disk is full", n)
		}
		time.Sleep(time.Hour)
		if n := stats(t, next).Dead; n != 0 {
			t.Errorf("%d dead jobs are left once there is room", n)
		}
	})
}

// counter counts transactions, and ends a test that would never.
type counter struct {
	*testdb.Faulty
	on atomic.Bool
	n  atomic.Int64
}

func (c *counter) AcrossTenants(ctx context.Context, by store.Crossing, fn func(context.Context, store.CrossTx) error, opts ...store.TxOption) error {
	if c.on.Load() && c.n.Add(1) > 1000 {
		<-ctx.Done()
	}
	return c.Faulty.AcrossTenants(ctx, by, fn, opts...)
}

func exec(t *testing.T, db store.Relational, text string) {
	t.Helper()
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
