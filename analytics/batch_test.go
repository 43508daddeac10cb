package analytics

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
)

// The tests of the batcher are inside the package: which calls share a
// transaction does not show outside.

// writes are the transactions of a batcher under test. Each waits to be let
// through.
type writes struct {
	let  chan error
	rows []int // of each transaction that began
	sum  map[platform.TenantID]int
}

func newWrites(maxPending int) (*writes, *batcher) {
	w := &writes{let: make(chan error), sum: make(map[platform.TenantID]int)}
	return w, newBatcher(maxPending, func(_ context.Context, tenant platform.TenantID, calls []*call) error {
		n := 0
		for _, c := range calls {
			n += len(c.rows)
		}
		w.rows = append(w.rows, n)
		if err := <-w.let; err != nil {
			return err
		}
		for _, c := range calls {
			c.fresh = len(c.rows)
		}
		w.sum[tenant] += n
		return nil
	})
}

// outcome is what became of a call.
type outcome struct {
	done  bool
	fresh int
	err   error
}

// send submits n rows in the background and returns when that waits.
func send(ctx context.Context, b *batcher, tenant platform.TenantID, n int) *outcome {
	o := &outcome{}
	go func() {
		o.fresh, o.err = b.submit(ctx, tenant, make([]row, n))
		o.done = true
	}()
	synctest.Wait()
	return o
}

// open lets a transaction through and returns when all has come to rest.
func (w *writes) open(err error) {
	w.let <- err
	synctest.Wait()
}

func TestBatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWrites(10_000)
		var calls []*outcome
		for _, n := range []int{2, 900, 100, 1, 1500, 3} {
			calls = append(calls, send(t.Context(), b, "org_a", n))
		}
		// The first began alone, at once. What fits is joined; what does not
		// fit with others goes alone, and nothing overtakes it.
		want := []int{2, 1000, 1, 1500, 3}
		acknowledged := [][]int{{0}, {1, 2}, {3}, {4}, {5}}
		for i := range want {
			if !slices.Equal(w.rows, want[:i+1]) {
				t.Fatalf("transactions of %v rows, want %v", w.rows, want[:i+1])
			}
			for _, c := range acknowledged[i] {
				if calls[c].done {
					t.Errorf("call %d was acknowledged before its commit", c)
				}
			}
			w.open(nil)
			for _, c := range acknowledged[i] {
				if !calls[c].done || calls[c].err != nil || calls[c].fresh == 0 {
					t.Errorf("call %d after its commit: %+v", c, *calls[c])
				}
			}
		}
		if len(b.waiting) != 0 || b.pending != 0 {
			t.Errorf("%d tenants and %d rows left", len(b.waiting), b.pending)
		}
	})
}

func TestTenantsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWrites(10)
		first, second := send(t.Context(), b, "org_a", 1), send(t.Context(), b, "org_b", 1)
		if len(w.rows) != 2 {
			t.Fatalf("%d transactions at once, want 2", len(w.rows))
		}
		w.open(nil)
		w.open(nil)
		if !first.done || !second.done || w.sum["org_a"] != 1 || w.sum["org_b"] != 1 {
			t.Errorf("got %+v, %+v, %v", *first, *second, w.sum)
		}
	})
}

func TestFailedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWrites(10)
		first, second, third := send(t.Context(), b, "org_a", 1), send(t.Context(), b, "org_a", 2), send(t.Context(), b, "org_a", 3)
		full := platform.Errorf(platform.KindUnavailable, "full", "no room")
		w.open(nil)
		w.open(full)
		if first.err != nil || !errors.Is(second.err, full) || !errors.Is(third.err, full) {
			t.Errorf("got %v, %v, %v", first.err, second.err, third.err)
		}
		again := send(t.Context(), b, "org_a", 2)
		w.open(nil)
		if again.err != nil || again.fresh != 2 {
			t.Errorf("once more: %+v", *again)
		}
	})
}

func TestPanic(t *testing.T) {
	b := newBatcher(10, func(context.Context, platform.TenantID, []*call) error { panic("broken") })
	for range 2 {
		if _, err := b.submit(t.Context(), "org_a", make([]row, 1)); err == nil || !strings.Contains(err.Error(), "panic: broken") {
			t.Errorf("got %v", err)
		}
	}
	if err := b.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCancelledCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWrites(10)
		during, cancelDuring := context.WithCancel(t.Context())
		meanwhile, cancelMeanwhile := context.WithCancel(t.Context())
		running := send(during, b, "org_a", 1)
		waiting := send(meanwhile, b, "org_a", 2)
		behind := send(t.Context(), b, "org_a", 4)

		cancelMeanwhile()
		cancelDuring()
		synctest.Wait()
		if !waiting.done || !errors.Is(waiting.err, context.Canceled) {
			t.Errorf("the call that waited: %+v", *waiting)
		}
		if running.done {
			t.Errorf("the call that was being written did not stay: %+v", *running)
		}
		w.open(nil)
		if !running.done || running.err != nil || running.fresh != 1 {
			t.Errorf("the call that was being written: %+v", *running)
		}
		w.open(nil)
		if behind.err != nil || behind.fresh != 4 || w.sum["org_a"] != 5 || b.pending != 0 {
			t.Errorf("the call behind: %+v; %v rows written, %d pending", *behind, w.sum, b.pending)
		}

		if gone := send(during, b, "org_a", 1); !errors.Is(gone.err, context.Canceled) || len(w.rows) != 2 {
			t.Errorf("a call that was gone before: %+v", *gone)
		}
	})
}

func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWrites(10)
		running := send(t.Context(), b, "org_a", 10)
		waiting := send(t.Context(), b, "org_a", 7)
		refused := send(t.Context(), b, "org_b", 4)
		var e *platform.Error
		if !errors.As(refused.err, &e) || e.Kind != platform.KindUnavailable || e.Code != "ingest_busy" || e.RetryAfter <= 0 {
			t.Errorf("got %+v", *refused)
		}
		fits := send(t.Context(), b, "org_b", 3)
		w.open(nil)
		w.open(nil)
		w.open(nil)
		for _, o := range []*outcome{running, waiting, fits} {
			if !o.done || o.err != nil {
				t.Errorf("got %+v", *o)
			}
		}
	})
}

func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, b := newWrites(10)
		running, waiting := send(t.Context(), b, "org_a", 1), send(t.Context(), b, "org_a", 2)

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.stop(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without enough time: %v", err)
		}
		if late := send(t.Context(), b, "org_a", 1); !errors.Is(late.err, platform.ErrUnavailable) {
			t.Errorf("a call after stop: %+v", *late)
		}
		var stopped bool
		go func() {
			if err := b.stop(t.Context()); err != nil {
				t.Error(err)
			}
			stopped = true
		}()
		w.open(nil)
		if stopped {
			t.Error("stop did not wait for the call that waited")
		}
		w.open(nil)
		if !stopped || running.fresh != 1 || waiting.fresh != 2 || running.err != nil || waiting.err != nil {
			t.Errorf("stopped %v; got %+v, %+v", stopped, *running, *waiting)
		}
	})
}
