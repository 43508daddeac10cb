package seal_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/seal"
)

// names are the keys as a line: * is the primary one, - a retired one.
func names(tb testing.TB, s *seal.Sealer) (line string) {
	tb.Helper()
	keys, err := s.List(tb.Context())
	must(tb, err)
	for i, k := range keys {
		mark := ""
		switch {
		case k.Primary:
			mark = "*"
		case k.Retired:
			mark = "-"
		}
		line += fmt.Sprintf("%d%s ", i, mark)
	}
	return line
}

// After a rotation old values open and are not current, until the old key is
// retired; restored, it opens again.
func TestRotation(t *testing.T) {
	s := sealer(t, seal.Memory(""))
	old := sealed(t, s, "old")
	first, err := s.List(t.Context())
	must(t, err)
	_, err = s.Rotate(t.Context())
	must(t, err)
	value := sealed(t, s, "new")
	opens(t, s, old, "old")
	opens(t, s, value, "new")
	if s.Current(old) || !s.Current(value) || names(t, s) != "0 1* " {
		t.Errorf("old current %v, new current %v, keys %s", s.Current(old), s.Current(value), names(t, s))
	}
	must(t, s.Retire(t.Context(), first[0].ID))
	closed(t, s, cell, old, "is retired; restore it")
	opens(t, s, value, "new")
	must(t, s.Restore(t.Context(), first[0].ID))
	opens(t, s, old, "old")
}

func TestRotationRefused(t *testing.T) {
	s := sealer(t, seal.Memory(""))
	sealed(t, s, "x")
	keys, err := s.List(t.Context())
	must(t, err)
	if err := s.Retire(t.Context(), keys[0].ID); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("the primary key is retired: %v", err)
	}
	for _, change := range []error{s.Retire(t.Context(), "00000000"), s.Promote(t.Context(), ""), s.Restore(t.Context(), "x")} {
		if platform.KindOf(change) != platform.KindNotFound {
			t.Errorf("a key that is not there: %v", change)
		}
	}
	second, err := s.Rotate(t.Context())
	must(t, err)
	must(t, s.Retire(t.Context(), keys[0].ID))
	if err := s.Promote(t.Context(), keys[0].ID); platform.KindOf(err) != platform.KindConflict {
		t.Errorf("a retired key is promoted: %v", err)
	}
	if all, err := s.List(t.Context()); err != nil || all[1].ID != second || !all[1].Primary {
		t.Errorf("got %v, %v", all, err)
	}
}

// Two processes share a place, and one rotates: the other opens the first value
// under the new key, at once, and seals under it within Reload. The clock stands
// still: the other one looks because of the key, not because of the time.
func TestAnotherProcessLearns(t *testing.T) {
	place := seal.Memory("")
	now := time.Unix(1_000_000, 0)
	at := func(c *seal.Config) { c.Now = func() time.Time { return now } }
	one, two := sealer(t, place, at), sealer(t, place, at)
	opens(t, two, sealed(t, one, "a"), "a")
	for range 5 { // also right after one another
		_, err := one.Rotate(t.Context())
		must(t, err)
		opens(t, two, sealed(t, one, "b"), "b")
	}
	_, err := one.Rotate(t.Context())
	must(t, err)
	if two.Current(sealed(t, one, "c")) {
		t.Error("a key that is not known is called current")
	}
	value := sealed(t, two, "d")
	now = now.Add(time.Minute)
	if two.Current(value) {
		t.Error("after Reload a value under the old key is called current")
	}
	if value = sealed(t, two, "e"); !one.Current(value) {
		t.Error("after Reload it seals under the old key")
	}
}

// Processes with copies of their own: the key is published everywhere first, and
// then nobody meets a value that cannot be opened.
func TestPublishThenPromote(t *testing.T) {
	ctx := t.Context()
	operator := seal.Memory("")
	admin := sealer(t, operator)
	sealed(t, admin, "x")
	copies := func() seal.Keys {
		text, err := seal.Text(ctx, operator)
		must(t, err)
		return seal.Memory(text)
	}
	id, err := admin.Publish(ctx)
	must(t, err)
	if names(t, admin) != "0* 1 " {
		t.Fatalf("published: %s", names(t, admin))
	}
	waiting := sealer(t, copies())
	must(t, admin.Promote(ctx, id))
	ahead := sealer(t, copies())
	opens(t, waiting, sealed(t, ahead, "x"), "x")
	opens(t, ahead, sealed(t, waiting, "y"), "y")
}

// Readers and writers in two processes go on while a third one rotates and the
// values are sealed again: no call fails, and in the end all is under the last key.
func TestRotationUnderLoad(t *testing.T) {
	ctx := t.Context()
	place := seal.Memory("")
	processes := []*seal.Sealer{sealer(t, place), sealer(t, place)}
	sealed(t, processes[0], "x")
	admin := sealer(t, place)
	var (
		cells [8]atomic.Pointer[[]byte]
		done  atomic.Bool
		all   sync.WaitGroup
		calls atomic.Int64
	)
	put := func(i int, s *seal.Sealer) {
		value := sealed(t, s, "secret")
		cells[i].Store(&value)
	}
	for i := range cells {
		put(i, processes[i%2])
	}
	for _, s := range processes {
		all.Go(func() { // reads
			for !done.Load() {
				for i := range cells {
					opens(t, s, *cells[i].Load(), "secret")
					calls.Add(1)
				}
			}
		})
		all.Go(func() { // writes
			for i := 0; !done.Load(); i++ {
				put(i%len(cells), s)
				calls.Add(1)
			}
		})
	}
	for range 10 {
		before := calls.Load()
		_, err := admin.Rotate(ctx)
		must(t, err)
		for calls.Load() < before+50 { // each key meets traffic
			runtime.Gosched()
		}
	}
	done.Store(true)
	all.Wait()
	for _, s := range processes { // as the work in the background does
		for i := range cells {
			opens(t, s, *cells[i].Load(), "secret")
		}
	}
	last := sealer(t, place)
	for i := range cells {
		value := sealed(t, last, "secret")
		cells[i].Store(&value)
	}
	keys, err := last.List(ctx)
	must(t, err)
	for _, k := range keys {
		if !k.Primary {
			must(t, last.Retire(ctx, k.ID))
		}
	}
	for i := range cells {
		opens(t, last, *cells[i].Load(), "secret")
	}
}

// Two operators rotate at once: none undoes the other's.
func TestRotatedTogether(t *testing.T) {
	place := seal.Memory("")
	sealed(t, sealer(t, place), "x")
	var all sync.WaitGroup
	var changed, refused atomic.Int64
	for range 20 {
		all.Go(func() {
			switch _, err := sealer(t, place).Rotate(t.Context()); {
			case err == nil:
				changed.Add(1)
			case errors.Is(err, seal.ErrChanged):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	keys, err := sealer(t, place).List(t.Context())
	must(t, err)
	if int64(len(keys)) != 1+changed.Load() || changed.Load()+refused.Load() != 20 {
		t.Errorf("%d keys after %d rotations", len(keys), changed.Load())
	}
}
