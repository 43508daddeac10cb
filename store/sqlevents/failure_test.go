package sqlevents_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/sqlevents"
)

// One event that fails holds up what follows it, lets through what precedes it,
// and is alone when it is tried again.
func TestFailureIsIsolated(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		e := start(t, sqlevents.Config{DB: testdb.NewPlace(t).Open(t), Rand: func() float64 { return 1 }})
		publish(t, e, acme, 0, 1000)
		var (
			done    log
			mu      sync.Mutex
			broken  = true
			failed  []int // sizes of the batches that failed
			retries []time.Time
		)
		consume(t, e, "g", func(ctx context.Context, batch []platform.Event) error {
			mu.Lock()
			defer mu.Unlock()
			for _, ev := range batch {
				if ev.ID == "evt_700" && broken {
					failed = append(failed, len(batch))
					retries = append(retries, time.Now())
					return errBoom
				}
			}
			return done.handle(ctx, batch)
		})
		time.Sleep(5 * time.Minute)
		wantIDs(t, "while it fails", done.ids(), 0, 700)
		mu.Lock()
		if last := failed[len(failed)-1]; last != 1 || failed[0] != 500 {
			t.Errorf("sizes of failed batches: %v", failed)
		}
		for i := 1; i < len(retries); i++ {
			if got := retries[i].Sub(retries[i-1]); got > 31*time.Second {
				t.Errorf("pause %d is %v", i, got)
			}
		}
		if n := len(retries); n < 10 || n > 40 {
			t.Errorf("%d tries in five minutes", n)
		}
		broken = false
		mu.Unlock()
		time.Sleep(40 * time.Second)
		wantIDs(t, "at the end", done.ids(), 0, 1000)
	})
}

func TestPanicOfAHandler(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		e := start(t, sqlevents.Config{DB: testdb.NewPlace(t).Open(t)})
		publish(t, e, acme, 0, 3)
		var done log
		first := true
		consume(t, e, "g", func(ctx context.Context, batch []platform.Event) error {
			if first {
				first = false
				panic("ouch")
			}
			return done.handle(ctx, batch)
		})
		time.Sleep(time.Minute)
		wantIDs(t, "after the panic", done.ids(), 0, 3)
	})
}

// lines counts log lines that hold a text.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func TestStoreThatFailsIsLoggedOnce(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		cut := &testdb.Faulty{DB: db}
		var logged lines
		e := start(t, sqlevents.Config{DB: cut, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Lease: time.Hour})
		var l log
		consume(t, e, "g", l.handle)
		synctest.Wait()
		cut.Down.Store(true)
		time.Sleep(10 * time.Minute)
		cut.Down.Store(false)
		publish(t, e, acme, 0, 3)
		time.Sleep(time.Minute)
		wantIDs(t, "after the failure", l.ids(), 0, 3)
		if a, b := logged.count(`msg="the store fails"`), logged.count(`msg="the store fails no more"`); a != 1 || b != 1 {
			t.Errorf("logged the failure %d times, its end %d times:\n%s", a, b, logged.text.String())
		}
	})
}

func TestRetention(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var logged lines
		e := start(t, sqlevents.Config{DB: db, Retention: 2 * time.Hour, Interval: time.Minute, Lease: 10 * time.Minute, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		var behind, current log
		end := consume(t, e, "behind", behind.handle)
		consume(t, e, "current", current.handle)
		publish(t, e, acme, 0, 5)
		synctest.Wait()
		end()
		publish(t, e, acme, 5, 2505) // more than one transaction removes
		time.Sleep(time.Hour)
		publish(t, e, acme, 2505, 2510)
		time.Sleep(90 * time.Minute)
		if n := stats(t, e).Events; n != 5 {
			t.Errorf("%d events are kept, want the 5 young ones", n)
		}
		if groups := stats(t, e).Groups; len(groups) != 2 || groups[0].Lost != 2500 || groups[0].Lag != 5 || groups[1].Lost != 0 {
			t.Errorf("figures: %+v", groups)
		}
		if n := logged.count("a group lost events"); n == 0 {
			t.Error("the loss was not logged")
		}
		consume(t, e, "behind", behind.handle)
		synctest.Wait()
		if ids := behind.ids(); len(ids) != 10 || ids[5] != "evt_2505" {
			t.Errorf("the group that was behind got %v", ids)
		}
		wantIDs(t, "the group that was not", current.ids(), 0, 2510)
	})
}

// A clock that was a year ahead and was set right leaves events from the
// future in front. They must not keep the stream from being trimmed for a year.
func TestClockThatWasAhead(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		ahead.Store(int64(365 * 24 * time.Hour))
		cfg := sqlevents.Config{
			DB: testdb.NewPlace(t).Open(t), Retention: 5 * time.Hour, Interval: time.Hour, Lease: 10 * time.Hour,
			Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		}
		e := start(t, cfg)
		publish(t, e, acme, 0, 2100) // more than the trimmer looks at
		ahead.Store(0)
		publish(t, e, acme, 2100, 2110)
		time.Sleep(4 * time.Hour)
		if n := stats(t, e).Events; n != 2110 {
			t.Fatalf("%d events are kept within the retention, want all", n)
		}
		publish(t, e, acme, 2110, 2113)
		time.Sleep(3 * time.Hour)
		if n := stats(t, e).Events; n != 3 {
			t.Errorf("%d events are kept, want the 3 young ones", n)
		}
	})
}
