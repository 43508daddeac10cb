package sqlevents_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/sqlevents"
)

// A consumer that ends gives the group to one that stands by at once, not at
// its next look.
func TestTakesOverAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := start(t, sqlevents.Config{DB: openNew(t), Interval: time.Hour})
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
	synctest.Test(t, func(t *testing.T) {
		db := openNew(t)
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
