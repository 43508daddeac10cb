package data

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform"
)

// largeAnswer is from how many bytes of data on an answer counts as large. Small
// ones never wait for large ones.
const largeAnswer = 64 << 10

// answers bounds the data of the large answers that are under way: a client that
// reads slowly keeps what it is sent in memory. A share of tenants has a part
// of it only, so that its slow clients do not keep others waiting.
type answers struct {
	total, part int64

	mu      sync.Mutex
	used    int64
	held    map[string]int64 // by share; those that hold nothing are not there
	waiting []*waiter        // in the order in which they came
}

// waiter waits for room.
type waiter struct {
	share   string
	size    int64
	granted chan struct{} // closed with the room
}

// shareParts is how many shares can have all they may have at once.
const shareParts = 4

func newAnswers(total int64) *answers {
	return &answers{total: total, part: total / shareParts, held: make(map[string]int64)}
}

// counted is what an answer takes of the room: one that is larger than the part
// of a share goes alone.
func (a *answers) counted(size int) int64 { return min(int64(size), a.part) }

// try takes room where there is some and nobody was there before.
func (a *answers) try(share string, size int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.fits(share, size) || slices.ContainsFunc(a.waiting, func(w *waiter) bool {
		return w.share == share || a.inPart(w.share, w.size)
	}) {
		return false
	}
	a.take(share, size)
	return true
}

func (a *answers) inPart(share string, size int64) bool { return a.held[share]+size <= a.part }

func (a *answers) fits(share string, size int64) bool {
	return a.inPart(share, size) && a.used+size <= a.total
}

func (a *answers) take(share string, size int64) {
	a.used += size
	a.held[share] += size
}

// wait takes room once there is some. The error is that of ctx.
func (a *answers) wait(ctx context.Context, share string, size int64) error {
	w := &waiter{share: share, size: size, granted: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, w)
	a.grant()
	a.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.waiting, w); i >= 0 {
		a.waiting = slices.Delete(a.waiting, i, i+1)
	} else {
		a.give(share, size) // it came at the same moment
	}
	a.grant() // those behind it may go now
	return ctx.Err()
}

// grant lets in who fits, in order. Who waits for other answers of the share lets
// others pass; who waits for room at all does not.
func (a *answers) grant() {
	var left []*waiter
	for i, w := range a.waiting {
		switch {
		case a.fits(w.share, w.size):
			a.take(w.share, w.size)
			close(w.granted)
			continue
		case a.inPart(w.share, w.size):
			a.waiting = append(left, a.waiting[i:]...)
			return
		}
		left = append(left, w)
	}
	a.waiting = left
}

// release gives room back.
func (a *answers) release(share string, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.give(share, size)
	a.grant()
}

func (a *answers) give(share string, size int64) {
	a.used -= size
	if a.held[share] -= size; a.held[share] == 0 {
		delete(a.held, share)
	}
}

// resize makes what was taken as large as it has turned out to be.
func (a *answers) resize(share string, from, to int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.take(share, to)
	a.give(share, from)
	a.grant()
}

// loads bounds how many short reads of records go on at once in the store, where
// records may be so large that its connections are too many of them. Long reads
// are bounded as scans. Nil is no bound.
type loads chan struct{}

// newLoads has room for half of what all answers may take: a record on its way is
// in memory more than once.
func newLoads(maxRecord int, memory int64) loads {
	if maxRecord <= 1<<20 {
		return nil
	}
	return make(loads, max(1, memory/2/int64(maxRecord)))
}

func (l loads) begin(ctx context.Context) error {
	if l == nil {
		return nil
	}
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l loads) end() {
	if l != nil {
		<-l
	}
}

// answerPatience is how long an answer waits for room before it is refused.
const answerPatience = 5 * time.Second

// holding loads what is about to be sent, whose size load tells, and takes room
// for it where it is large; done gives that back. While it waits for room it
// holds nothing: it loads again. A patience of 0 waits as long as ctx does.
func holding[T any](
	ctx context.Context, s *Service, tenant platform.TenantID, patience time.Duration, load func(context.Context) (T, int, error),
) (T, func(), error) {
	v, size, err := load(ctx)
	if err != nil || size <= largeAnswer {
		return v, func() {}, err
	}
	limits, err := s.limits.Of(ctx, tenant)
	if err != nil {
		return v, nil, err
	}
	taken := s.answers.counted(size)
	if s.answers.try(limits.Share, taken) {
		return v, s.answers.giving(limits.Share, taken), nil
	}
	return holdingLater(ctx, s, limits.Share, taken, patience, load)
}

// holdingLater is holding for what has to wait; its caller holds nothing of it.
func holdingLater[T any](
	ctx context.Context, s *Service, share string, taken int64, patience time.Duration, load func(context.Context) (T, int, error),
) (v T, done func(), err error) {
	if err := s.awaitRoom(ctx, share, taken, patience); err != nil {
		return v, nil, err
	}
	v, size, err := load(ctx)
	if err != nil {
		s.answers.release(share, taken)
		return v, nil, err
	}
	now := s.answers.counted(size)
	s.answers.resize(share, taken, now)
	return v, s.answers.giving(share, now), nil
}

// giving returns what gives room back, once.
func (a *answers) giving(share string, size int64) func() {
	return sync.OnceFunc(func() { a.release(share, size) })
}

func (s *Service) awaitRoom(ctx context.Context, share string, size int64, patience time.Duration) error {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		waiting, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	err := s.answers.wait(waiting, share, size)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return answersBusy()
	}
	return err
}

func answersBusy() error {
	e := platform.Errorf(platform.KindLimited, "answers_busy",
		"too many large answers are under way; read those that were asked for, ask for fewer at once or for smaller pages")
	e.RetryAfter = answerPatience
	return e
}
