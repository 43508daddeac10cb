package retention_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/retention"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

func open(t *testing.T) store.Relational {
	t.Helper()
	db := testdb.NewPlace(t).Open(t)
	if err := retention.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// clock is a time that a test moves.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.micros.Store(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// run runs a replica until the test ends.
func run(t *testing.T, db store.Relational, now func() time.Time, task retention.Task) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	removal := retention.New(retention.Config{DB: db, Now: now}, task)
	done := make(chan struct{})
	go func() {
		defer close(done)
		removal.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func TestStepsUntilThereIsNoMore(t *testing.T) {
	db := open(t)
	steps := make(chan int, 10)
	n := 0
	run(t, db, newClock().now, retention.Task{Name: "a", Step: func(context.Context) (bool, error) {
		n++
		steps <- n
		return n < 4, nil
	}})
	for want := 1; want <= 4; want++ {
		if got := <-steps; got != want {
			t.Fatalf("step %d, want %d", got, want)
		}
	}
}

// Of several replicas one carries a round out, and none begins another before
// the task is due again.
func TestOneReplicaAtATime(t *testing.T) {
	db, c := open(t), newClock()
	var (
		atWork, rounds atomic.Int32
		ended          atomic.Bool
	)
	begun, end := make(chan struct{}, 100), make(chan struct{})
	task := retention.Task{Name: "a", Every: time.Millisecond, Step: func(context.Context) (bool, error) {
		if atWork.Add(1) > 1 {
			t.Error("two replicas are at work")
		}
		defer atWork.Add(-1)
		rounds.Add(1)
		begun <- struct{}{}
		<-end
		return false, nil
	}}
	run(t, db, c.now, task)
	<-begun
	looks := make(chan struct{})
	run(t, db, func() time.Time {
		select {
		case looks <- struct{}{}:
		default:
		}
		if ended.Load() {
			c.advance(time.Second)
		}
		return c.now()
	}, task)
	for range 3 { // at the third the second replica has looked for the lease twice
		<-looks
	}
	if n := rounds.Load(); n != 1 {
		t.Errorf("%d rounds, want 1", n)
	}
	close(end)
	ended.Store(true)
	<-begun // it is due again
}

// A replica that died in the middle leaves the task to the others.
func TestLeaseOfTheDeadEnds(t *testing.T) {
	db, c := open(t), newClock()
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `INSERT INTO retention_leases (task, owner, until) VALUES ('a', 'dead', ?)`, c.now().Add(time.Minute).UnixMicro())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	stepped := make(chan struct{}, 1000)
	run(t, db, c.now, retention.Task{Name: "a", Every: time.Millisecond, Step: func(context.Context) (bool, error) {
		stepped <- struct{}{}
		return false, nil
	}})
	select {
	case <-stepped:
		t.Fatal("the lease of another was not respected")
	default:
	}
	c.advance(2 * time.Minute)
	<-stepped
}

func TestFailedStepIsTriedAgain(t *testing.T) {
	db, c := open(t), newClock()
	tries := make(chan struct{}, 1000)
	run(t, db, func() time.Time {
		c.advance(time.Second)
		return c.now()
	}, retention.Task{Name: "a", Every: time.Millisecond, Step: func(context.Context) (bool, error) {
		tries <- struct{}{}
		return true, errors.New("the disk is full")
	}})
	<-tries
	<-tries // the failed round gave the lease up
}

func TestStopEndsTheRound(t *testing.T) {
	db, c := open(t), newClock()
	for range 2 { // the first gives the lease up, and the second need not wait for its end
		stepped := make(chan struct{}, 1)
		stop := run(t, db, c.now, retention.Task{Name: "a", Step: func(context.Context) (bool, error) {
			select {
			case stepped <- struct{}{}:
			default:
			}
			return true, nil
		}})
		<-stepped
		stop()
	}
}
