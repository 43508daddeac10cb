package data

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
)

func TestAnswersOfOneShareLeaveRoomForOthers(t *testing.T) {
	a := newAnswers(100)
	if !a.try("one", 25) || a.try("one", 1) {
		t.Error("a share has not a quarter exactly")
	}
	for _, share := range []string{"two", "three", "four"} {
		if !a.try(share, 25) {
			t.Errorf("no room for %s", share)
		}
	}
	if a.try("five", 1) {
		t.Error("there is more room than there is")
	}
	for _, share := range []string{"one", "two", "three", "four"} {
		a.release(share, 25)
	}
	if a.used != 0 || len(a.held) != 0 {
		t.Errorf("left are %d bytes of %v", a.used, a.held)
	}
}

// Who waits is let in in order, but not behind one who waits for answers of its
// own share.
func TestAnswersWaitInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers(100)
		in := map[string]chan error{}
		wait := func(name, share string, size int64) {
			done := make(chan error, 1)
			in[name] = done
			go func() { done <- a.wait(t.Context(), share, size) }()
			synctest.Wait()
		}
		letIn := func(names ...string) {
			t.Helper()
			synctest.Wait()
			for name, done := range in {
				if got := len(done) > 0; got != slices.Contains(names, name) {
					t.Errorf("%s is let in: %v", name, got)
				}
			}
		}
		a.try("one", 20)
		wait("own", "one", 20)
		wait("other", "two", 20)
		if a.try("one", 5) {
			t.Error("one went before another of its share")
		}
		letIn("other")
		a.try("three", 25)
		a.try("four", 25) // 90 are taken
		wait("large", "five", 15)
		if a.try("six", 5) {
			t.Error("one went before another who waits for room")
		}
		wait("small", "six", 5)
		a.release("two", 20)
		letIn("other", "large", "small")
		a.release("one", 20)
		letIn("other", "large", "small", "own")
	})
}

// Who gives up leaves the line, and gives back what came at the same moment.
func TestAnAnswerGivesUpWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswers(100)
		a.try("one", 25)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.wait(ctx, "one", 25) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || len(a.waiting) != 0 || a.used != 25 {
			t.Errorf("%v, %d wait, %d bytes are taken", err, len(a.waiting), a.used)
		}
	})
}

func room(t *testing.T) *Service {
	t.Helper()
	return &Service{answers: newAnswers(4 << 20)}
}

func loaded(size int, times *int) func(context.Context) (string, int, error) {
	return func(context.Context) (string, int, error) { *times++; return "answer", size, nil }
}

func TestAnAnswerWithoutRoomIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, times := room(t), 0
		_, done, err := holding(t.Context(), s, "org_a", answerPatience, loaded(1<<20, &times))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, _, err = holding(t.Context(), s, "org_a", answerPatience, loaded(1<<20, &times))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.KindLimited || e.CodeOrKind() != "answers_busy" || e.RetryAfter <= 0 {
			t.Errorf("one more: %v", err)
		}
		if time.Since(start) != answerPatience || times != 2 {
			t.Errorf("it waited %v, %d loads", time.Since(start), times)
		}
		// Small ones, and those of others, do not wait.
		for tenant, size := range map[platform.TenantID]int{"org_a": largeAnswer, "org_b": 1 << 20} {
			_, done, err := holding(t.Context(), s, tenant, answerPatience, loaded(size, &times))
			if err != nil {
				t.Errorf("%s, %d bytes: %v", tenant, size, err)
				continue
			}
			done()
		}
		done()
		done() // once is enough
		if s.answers.used != 0 {
			t.Errorf("%d bytes are still taken", s.answers.used)
		}
	})
}

// An answer that waits is not kept meanwhile: it is loaded again.
func TestAnAnswerThatWaitsIsLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, times := room(t), 0
		_, first, err := holding(t.Context(), s, "org_a", answerPatience, loaded(1<<20, &times))
		if err != nil {
			t.Fatal(err)
		}
		go func() { time.Sleep(time.Second); first() }()
		v, done, err := holding(t.Context(), s, "org_a", answerPatience, loaded(8<<20, &times)) // larger than a part
		if err != nil || v != "answer" || times != 3 || s.answers.used != 1<<20 {
			t.Errorf("%q, %v, %d loads, %d bytes", v, err, times, s.answers.used)
		}
		done()
		if s.answers.used != 0 {
			t.Errorf("%d bytes are still taken", s.answers.used)
		}
	})
}

func TestAnAnswerThatCannotBeLoadedTakesNoRoom(t *testing.T) {
	s := room(t)
	fault := errors.New("away")
	_, _, err := holding(t.Context(), s, "org_a", 0, func(context.Context) (int, int, error) { return 0, 0, fault })
	if !errors.Is(err, fault) || s.answers.used != 0 {
		t.Errorf("%v, %d bytes are taken", err, s.answers.used)
	}
	s.limits = func(context.Context, platform.TenantID) (platform.Limits, error) { return platform.Limits{}, fault }
	if _, _, err = holding(t.Context(), s, "org_a", 0, func(context.Context) (int, int, error) { return 0, 1 << 20, nil }); !errors.Is(err, fault) {
		t.Errorf("without limits: %v", err)
	}
}

func TestLargeBuffersAreNotKept(t *testing.T) {
	var s Service
	large := make([]byte, 0, maxRecycled+1)
	s.recycle(&large)
	if got := s.buffer(); cap(*got) > maxRecycled {
		t.Errorf("a buffer of %d bytes was kept", cap(*got))
	}
}
