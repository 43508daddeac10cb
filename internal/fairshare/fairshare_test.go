package fairshare_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/acme/platform/internal/fairshare"
)

// take acquires what must be there at once.
func take(t *testing.T, s *fairshare.Slots, share string, limit int) (release func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	time := make(chan struct{})
	go func() { // in a bubble it runs out only once Acquire is blocked
		synctest.Wait()
		cancel()
		close(time)
	}()
	release, err := s.Acquire(ctx, share, limit)
	if err != nil {
		t.Fatalf("%s: %v", share, err)
	}
	<-time
	return release
}

// queue acquires in the background and notes in order who was served. Each
// gives its slot back when next is received from.
type queue struct {
	t     *testing.T
	slots *fairshare.Slots
	next  chan struct{}

	mu    sync.Mutex
	order []string
}

func (q *queue) add(ctx context.Context, share string, limit int) {
	go func() {
		release, err := q.slots.Acquire(ctx, share, limit)
		if err != nil {
			return
		}
		q.mu.Lock()
		q.order = append(q.order, share)
		q.mu.Unlock()
		<-q.next
		release()
	}()
	synctest.Wait()
}

func (q *queue) served() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.order)
}

func TestTheLineOfAShareIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fairshare.New(2, 2)
		release := take(t, s, "a", 1)
		q := &queue{t: t, slots: s, next: make(chan struct{})}
		q.add(t.Context(), "a", 1)
		q.add(t.Context(), "a", 1)
		if got := s.Waiting("a"); got != 2 {
			t.Fatalf("%d wait, want 2", got)
		}
		if _, err := s.Acquire(t.Context(), "a", 1); !errors.Is(err, fairshare.ErrFull) {
			t.Errorf("error %v, want ErrFull", err)
		}
		take(t, s, "b", 1)() // another share is not concerned
		release()
		q.next <- struct{}{}
		q.next <- struct{}{}
		synctest.Wait()
		if got := s.Running("a") + s.Waiting("a"); got != 0 {
			t.Errorf("%d are left", got)
		}
	})
}

func TestAShareHasItsLimitOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fairshare.New(3, 5)
		q := &queue{t: t, slots: s, next: make(chan struct{})}
		for range 4 {
			q.add(t.Context(), "a", 2)
		}
		if running, waiting := s.Running("a"), s.Waiting("a"); running != 2 || waiting != 2 {
			t.Errorf("%d run and %d wait, want 2 and 2", running, waiting)
		}
		take(t, s, "b", 2)()
		for range 4 {
			q.next <- struct{}{}
		}
	})
}

func TestNoSlotAtAll(t *testing.T) {
	s := fairshare.New(1, 1)
	if _, err := s.Acquire(t.Context(), "a", 0); !errors.Is(err, fairshare.ErrFull) {
		t.Errorf("error %v, want ErrFull", err)
	}
	release, err := s.Acquire(t.Context(), "a", -1)
	if err != nil {
		t.Fatal(err)
	}
	release()
	release()
	if release, err = s.Acquire(t.Context(), "a", -1); err != nil {
		t.Fatal(err)
	}
	defer release()
	if got := s.Running("a"); got != 1 {
		t.Errorf("%d run, want 1: a second release must do nothing", got)
	}
}

func TestSharesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fairshare.New(1, 10)
		release := take(t, s, "a", 2)
		q := &queue{t: t, slots: s, next: make(chan struct{})}
		for _, share := range []string{"a", "a", "a", "b", "b", "c"} {
			q.add(t.Context(), share, 2)
		}
		release()
		for range 6 {
			q.next <- struct{}{}
			synctest.Wait()
		}
		if want := []string{"b", "c", "a", "b", "a", "a"}; !slices.Equal(q.served(), want) {
			t.Errorf("served %v, want %v", q.served(), want)
		}
	})
}

// TestNobodyStarves has two shares that come again as soon as they are served.
func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fairshare.New(1, 10)
		take(t, s, "late", 1)() // it had its turn before
		release := take(t, s, "a", 1)
		q := &queue{t: t, slots: s, next: make(chan struct{})}
		q.add(t.Context(), "c", 1)
		q.add(t.Context(), "late", 1)
		release()
		synctest.Wait()
		q.add(t.Context(), "a", 1)
		q.next <- struct{}{}
		q.add(t.Context(), "c", 1)
		if want := []string{"c", "late"}; !slices.Equal(q.served(), want) {
			t.Errorf("served %v, want %v", q.served(), want)
		}
		for range 3 {
			q.next <- struct{}{}
		}
	})
}

func TestWhoGivesUpLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fairshare.New(1, 10)
		release := take(t, s, "a", 1)
		q := &queue{t: t, slots: s, next: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		q.add(ctx, "b", 1)
		q.add(t.Context(), "c", 1)
		cancel()
		synctest.Wait()
		if got := s.Waiting("b"); got != 0 {
			t.Errorf("%d of b wait", got)
		}
		release()
		synctest.Wait()
		if want := []string{"c"}; !slices.Equal(q.served(), want) {
			t.Errorf("served %v, want %v", q.served(), want)
		}
		q.next <- struct{}{}
		synctest.Wait()
		if _, err := s.Acquire(ctx, "b", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want Canceled", err)
		}
		take(t, s, "a", 1)()
	})
}

// TestManyAtOnce looks for slots that are lost or handed out twice where
// callers give up at any moment.
func TestManyAtOnce(t *testing.T) {
	const slots, limit = 3, 2
	s := fairshare.New(slots, 100)
	var mu sync.Mutex
	running := map[string]int{}
	all := 0
	var wg sync.WaitGroup
	for _, share := range []string{"a", "b", "c", "d"} {
		for range 20 {
			wg.Go(func() {
				for i := range 50 {
					ctx, cancel := context.WithCancel(t.Context())
					if i%3 == 0 {
						go cancel()
					}
					release, err := s.Acquire(ctx, share, limit)
					if err == nil {
						mu.Lock()
						running[share]++
						all++
						if running[share] > limit || all > slots {
							t.Errorf("%d run of %s, %d in all", running[share], share, all)
						}
						mu.Unlock()
						mu.Lock()
						running[share]--
						all--
						mu.Unlock()
						release()
					}
					cancel()
				}
			})
		}
	}
	wg.Wait()
	for range slots { // all are back
		if _, err := s.Acquire(t.Context(), "e", -1); err != nil {
			t.Fatal(err)
		}
	}
}
