package sqlevents_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/sqlevents"
)

// A consumer that ends gives the group to one that stands by at once, not at
// its next look.
func TestTakesOverAtOnce(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		e := start(t, sqlevents.Config{DB: testdb.NewPlace(t).Open(t), Interval: time.Hour})
		var second log
		end := consume(t, e, "g", func(ctx context.Context, _ []platform.Event) error {
			<-ctx.Done()
			return ctx.Err()
		})
		synctest.Wait()
		consume(t, e, "g", second.handle)
		publish(t, e, acme, 0, 3)
		synctest.Wait()
		wantIDs(t, "second, standing by", second.ids(), 0, 0)
		began := time.Now()
		end()
		synctest.Wait()
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %v", waited)
		}
		wantIDs(t, "second", second.ids(), 0, 3)
	})
}

// A consumer whose process stood still does not know that its lease ended: the
// store refuses its offset, and it stands by.
func TestOffsetOfTheFormerHolderIsRefused(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var mu sync.Mutex
		still, stands := time.Now(), true
		a := start(t, sqlevents.Config{DB: db, Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			if stands {
				return still
			}
			return time.Now()
		}})
		b := start(t, sqlevents.Config{DB: db})
		publish(t, b, acme, 0, 5)
		var first, second log
		gate := make(chan struct{})
		consume(t, a, "g", func(ctx context.Context, batch []platform.Event) error {
			<-gate
			return first.handle(ctx, batch)
		})
		synctest.Wait()
		hold := make(chan struct{})
		consume(t, b, "g", func(ctx context.Context, batch []platform.Event) error {
			<-hold // it is not done with them when the first one is
			return second.handle(ctx, batch)
		})
		time.Sleep(32 * time.Second)
		mu.Lock()
		stands = false
		mu.Unlock()
		close(gate)
		time.Sleep(5 * time.Second)
		publish(t, b, acme, 5, 10)
		time.Sleep(5 * time.Second)
		wantIDs(t, "the former holder", first.ids(), 0, 5)
		if g := stats(t, b).Groups[0]; g.Lag != 10 {
			t.Errorf("the former holder moved the offset: lag %d, want 10", g.Lag)
		}
		close(hold)
		time.Sleep(5 * time.Second)
		wantIDs(t, "the holder", second.ids(), 0, 10)
	})
}

// A host may stop what it never started, stop twice, and start too late. That no
// goroutine is left is for TestMain to see.
func TestStopInAnyOrder(t *testing.T) {
	e, err := sqlevents.New(sqlevents.Config{DB: testdb.NewPlace(t).Open(t)})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		waiting <- e.Consume(context.Background(), "g", func(context.Context, []platform.Event) error { return nil })
	}()
	for range 2 {
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-waiting; err == nil {
		t.Error("a Consume that waited for the start must say that the stream was stopped")
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Consume(t.Context(), "g", func(context.Context, []platform.Event) error { return nil }); err == nil {
		t.Error("Consume after Stop must fail")
	}
}
