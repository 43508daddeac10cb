package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// oneAtATime gives every tenant one scan, and organizations that begin with the
// same letter one share.
func oneAtATime(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
	return platform.Limits{Share: string(tenant[:1]), Scans: 1}, nil
}

func newScans(t *testing.T, cfg store.ScanConfig) *store.Scans {
	t.Helper()
	s, err := store.NewScans(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// begin starts a scan that runs until end is called, and returns when it runs
// or waits. Its error comes from done.
func begin(t *testing.T, s *store.Scans, tenant platform.TenantID) (end func(), done <-chan error) {
	t.Helper()
	ended, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- s.Scan(t.Context(), oneAtATime, tenant, func(ctx context.Context, _ *store.Budget) error {
			select {
			case <-ended:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	synctest.Wait()
	return func() { close(ended) }, result
}

func nothing(context.Context, *store.Budget) error { return nil }

func TestScansOfAShareAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScans(t, store.ScanConfig{Cores: 1, Open: 4, Line: 1})
		end, first := begin(t, s, "a1")
		end2, second := begin(t, s, "a2") // another tenant of the share
		if running, waiting := s.Running("a"), s.Waiting("a"); running != 1 || waiting != 1 {
			t.Errorf("%d run and %d wait, want 1 and 1", running, waiting)
		}
		err := s.Scan(t.Context(), oneAtATime, "a1", nothing)
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.KindLimited || e.Code != "scans_exceeded" || e.RetryAfter <= 0 {
			t.Errorf("error %v, want scans_exceeded with a time", err)
		}
		if err := s.Scan(t.Context(), oneAtATime, "b", nothing); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		// What reads little does not wait.
		if err := s.Run(t.Context(), oneAtATime, "a1", func(ctx context.Context, b *store.Budget) error { return b.Read(ctx, store.ShortReads) }); err != nil {
			t.Errorf("a short query: %v", err)
		}
		end()
		end2()
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if left := s.Running("a") + s.Waiting("a"); left != 0 {
			t.Errorf("%d are left", left)
		}
	})
}

func TestAQueryThatReadsMuchBecomesAScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScans(t, store.ScanConfig{MaxReads: 10_000})
		read := func(n int64) (short []bool, err error) {
			err = s.Run(t.Context(), oneAtATime, "a", func(ctx context.Context, b *store.Budget) error {
				if err := b.Begin(ctx); err != nil {
					return err
				}
				short = append(short, b.Short())
				if s.Running("a") == 1 == b.Short() {
					t.Error("a scan has a slot, and a short query none")
				}
				for range n {
					if err := b.Read(ctx, 1); err != nil {
						return err
					}
				}
				return nil
			})
			return short, err
		}
		for n, want := range map[int64][]bool{0: {true}, store.ShortReads: {true}, store.ShortReads + 1: {true, false}, 10_000: {true, false}} {
			if short, err := read(n); err != nil || !slices.Equal(short, want) {
				t.Errorf("%d reads: %v, %v; want %v", n, short, err, want)
			}
		}
		if _, err := read(10_001); !errors.Is(err, store.ErrTooCostly) {
			t.Errorf("error %v, want ErrTooCostly", err)
		}
		if s.Running("a") != 0 {
			t.Error("it is still under way")
		}
	})
}

func TestAScanEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScans(t, store.ScanConfig{MaxTime: 3 * time.Second, MaxWait: 2 * time.Second})
		end, done := begin(t, s, "a")
		defer end()
		_, waits := begin(t, s, "a")
		if err := <-waits; !errors.Is(err, platform.ErrLimited) {
			t.Errorf("one that waited: %v, want KindLimited", err)
		}
		if err := <-done; !errors.Is(err, store.ErrTooCostly) || !strings.Contains(err.Error(), "3s") {
			t.Errorf("one that ran: %v, want ErrTooCostly that names the time", err)
		}
		// One whose caller has gone is not too costly.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Scan(ctx, oneAtATime, "a", func(ctx context.Context, _ *store.Budget) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrTooCostly) {
			t.Errorf("error %v, want DeadlineExceeded", err)
		}
		if s.Running("a") != 0 {
			t.Error("it is still under way")
		}
	})
}

func TestAScanThatPanicsGivesItsSlotBack(t *testing.T) {
	s := newScans(t, store.ScanConfig{Cores: 1, Open: 1, Line: 1})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		_ = s.Scan(t.Context(), oneAtATime, "a", func(ctx context.Context, b *store.Budget) error {
			_ = b.Begin(ctx)
			panic("a bug")
		})
	}()
	err := s.Scan(t.Context(), oneAtATime, "a", func(ctx context.Context, b *store.Budget) error { return b.Begin(ctx) })
	if err != nil {
		t.Error(err)
	}
}

// TestScansTakeTurnsOnACore has a long scan that is far from its end and a
// short one of another tenant, on one core.
func TestScansTakeTurnsOnACore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScans(t, store.ScanConfig{Cores: 1, Open: 4})
		var read atomic.Int64
		stop := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- s.Scan(t.Context(), oneAtATime, "a", func(ctx context.Context, b *store.Budget) error {
				if err := b.Begin(ctx); err != nil {
					return err
				}
				for {
					select {
					case <-stop:
						return nil
					default:
					}
					time.Sleep(time.Millisecond) // the work
					read.Add(1)
					if err := b.Read(ctx, 256); err != nil {
						return err
					}
				}
			})
		}()
		time.Sleep(100 * time.Millisecond)
		before := read.Load()
		err := s.Scan(t.Context(), oneAtATime, "b", func(ctx context.Context, b *store.Budget) error {
			if err := b.Begin(ctx); err != nil {
				return err
			}
			between := read.Load()
			time.Sleep(time.Second) // the other one waits meanwhile
			if read.Load() != between {
				t.Errorf("both ran at once on one core")
			}
			return nil
		})
		if err != nil || read.Load()-before > 20 {
			t.Errorf("the other scan went on for %d batches, %v", read.Load()-before, err)
		}
		before = read.Load()
		time.Sleep(100 * time.Millisecond)
		if read.Load() == before {
			t.Error("the long scan does not go on")
		}
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestScansNeedLimits(t *testing.T) {
	s := newScans(t, store.ScanConfig{})
	broken := errors.New("no plan")
	limits := func(context.Context, platform.TenantID) (platform.Limits, error) { return platform.Limits{}, broken }
	err := s.Scan(t.Context(), limits, "a", func(context.Context, *store.Budget) error {
		t.Error("it ran without a limit")
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, err := store.NewScans(store.ScanConfig{Line: -1, MaxTime: -1}); err == nil ||
		!strings.Contains(err.Error(), "Line") || !strings.Contains(err.Error(), "MaxTime") {
		t.Errorf("error %v, want one that names Line and MaxTime", err)
	}
	if err := s.Scan(t.Context(), nil, "a", nothing); err != nil {
		t.Errorf("the default limits: %v", err)
	}
}

func TestBudget(t *testing.T) {
	var none *store.Budget
	if none.Begin(t.Context()) != nil || none.Read(t.Context(), 1<<40) != nil || none.Short() || none.Spent() != 0 || none.TooMany() < 1<<40 {
		t.Error("nil has no bound")
	}
	b := store.NewBudget(10)
	if err := b.Read(t.Context(), 7); err != nil || b.TooMany() != 4 || !b.Short() {
		t.Errorf("%v, %d", err, b.TooMany())
	}
	if err := b.Read(t.Context(), 4); !errors.Is(err, store.ErrTooCostly) || !errors.Is(err, platform.ErrInvalid) || b.TooMany() != 1 {
		t.Errorf("%v, %d", err, b.TooMany())
	}
	if err := b.Begin(t.Context()); err != nil || b.Spent() != 0 { // run again
		t.Errorf("%v, %d", err, b.Spent())
	}
	if o := store.NewTxOptions([]store.TxOption{b.Reading}); !o.ReadOnly || o.Long {
		t.Errorf("%+v", o)
	}
	if o := store.NewTxOptions([]store.TxOption{store.NewBudget(1 << 20).Reading}); !o.ReadOnly || !o.Long {
		t.Errorf("%+v", o)
	}
}
