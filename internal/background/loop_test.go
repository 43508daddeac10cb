package background_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/background"
)

func TestBackoff(t *testing.T) {
	b := background.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
	for n, want := range map[int]time.Duration{
		0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 7: 6400 * time.Millisecond,
		8: 10 * time.Second, 9: 10 * time.Second, 63: 10 * time.Second, 64: 10 * time.Second, 1 << 40: 10 * time.Second,
	} {
		if got := b.Bound(n); got != want {
			t.Errorf("bound of failure %d is %v, want %v", n, got, want)
		}
	}
	for random, want := range map[float64]time.Duration{0: 100 * time.Millisecond, 0.5: 150 * time.Millisecond} {
		b.Rand = func() float64 { return random }
		if got := b.Pause(2); got != want {
			t.Errorf("pause with %v is %v, want %v", random, got, want)
		}
	}
	long := background.Backoff{Min: 200 * 24 * time.Hour, Max: 1<<63 - 1}
	for n := range 70 {
		if long.Bound(n) < long.Min {
			t.Fatalf("bound of failure %d is %v", n, long.Bound(n))
		}
	}
	if turned := (background.Backoff{Min: time.Hour, Max: time.Second}); turned.Bound(1) != time.Second {
		t.Errorf("a least pause above the greatest: %v", turned.Bound(1))
	}
}

func TestSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := background.NewSignal()
		began := time.Now()
		s.Set()
		s.Set()
		if !s.Wait(t.Context(), time.Hour) || time.Since(began) != 0 {
			t.Error("a signal that was set before the wait is lost")
		}
		if s.Wait(t.Context(), time.Hour) || time.Since(began) != time.Hour {
			t.Error("two signals woke twice")
		}
		go func() {
			time.Sleep(time.Minute)
			s.Set()
		}()
		if !s.Wait(t.Context(), time.Hour) || time.Since(began) != time.Hour+time.Minute {
			t.Error("a signal did not end the wait")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.Wait(ctx, time.Hour) || time.Since(began) != time.Hour+time.Minute+time.Second {
			t.Error("the end of the context did not end the wait")
		}
	})
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			g     background.Group
			at    []time.Duration
			began = time.Now()
		)
		g.Go(func(ctx context.Context) {
			background.Sweep(ctx, time.Hour, func(context.Context) bool {
				at = append(at, time.Since(began).Round(time.Minute))
				return len(at) < 3 // the first round has three steps, the others one
			})
		})
		time.Sleep(150 * time.Minute)
		if err := g.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		want := []time.Duration{0, 0, 0, time.Hour, 2 * time.Hour}
		if len(at) != len(want) {
			t.Fatalf("steps at %v, want %v", at, want)
		}
		for i := range want {
			if at[i] != want[i] {
				t.Fatalf("steps at %v, want %v", at, want)
			}
		}
	})
}
