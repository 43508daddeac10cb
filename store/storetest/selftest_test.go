package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broken is a store with one fault, and the case that must find it.
type broken[S any] struct {
	fault string
	found string // the name of the case
	open  func(testing.TB) S
}

// finds runs the named case on each broken store.
func finds[S any](t *testing.T, cases []testCase[S], faults []broken[S]) {
	t.Helper()
	for _, b := range faults {
		t.Run(b.fault, func(t *testing.T) {
			for _, c := range cases {
				if c.name != b.found {
					continue
				}
				if failures := c.failures(t.Context(), b.open(t), time.Second); len(failures) == 0 {
					t.Errorf("case %s does not find it", c.name)
				}
				return
			}
			t.Fatalf("there is no case %s", b.found)
		})
	}
}

// clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func openCache(testing.TB) CacheStore {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return CacheStore{
		Cache:   memory.NewCache(64<<20, memory.WithNow(c.Now)),
		Advance: func(d time.Duration) { c.now = c.now.Add(d) },
	}
}

func TestCacheFindsFaults(t *testing.T) {
	with := func(f func(store.Cache) store.Cache) func(testing.TB) CacheStore {
		return func(tb testing.TB) CacheStore {
			s := openCache(tb)
			s.Cache = f(s.Cache)
			return s
		}
	}
	finds(t, cacheCases, []broken[CacheStore]{
		{"one tenant for all", "TenantsAreApart", with(func(c store.Cache) store.Cache { return oneTenantCache{c} })},
		{"one tenant for all, at random", "TenantsAreApartAtRandom", with(func(c store.Cache) store.Cache { return oneTenantCache{c} })},
		{"any tenant will do", "BadTenant", with(func(c store.Cache) store.Cache { return oneTenantCache{c} })},
		{"nothing expires", "Expires", with(func(c store.Cache) store.Cache { return foreverCache{c} })},
		{"everybody gets the lock", "SetIfAbsentIsALock", with(func(c store.Cache) store.Cache { return openLockCache{c} })},
		{"an increment prolongs", "CounterEndsAfterItsFirstIncrement", with(func(c store.Cache) store.Cache { return &slidingCache{Cache: c} })},
		{"deletes nothing", "SetGetDelete", with(func(c store.Cache) store.Cache { return keepsCache{c} })},
		{"a cancelled call goes on", "Cancelled", with(func(c store.Cache) store.Cache { return deafCache{c} })},
	})
}

type deafCache struct{ store.Cache }

func (c deafCache) Increment(ctx context.Context, t platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	n, left, err := c.Cache.Increment(context.WithoutCancel(ctx), t, key, delta, ttl)
	return n, left, errors.Join(err, ctx.Err())
}

type oneTenantCache struct{ store.Cache }

func (c oneTenantCache) Get(ctx context.Context, _ platform.TenantID, key string) ([]byte, bool, error) {
	return c.Cache.Get(ctx, "all", key)
}

func (c oneTenantCache) Set(ctx context.Context, _ platform.TenantID, key string, v []byte, ttl time.Duration) error {
	return c.Cache.Set(ctx, "all", key, v, ttl)
}

func (c oneTenantCache) Delete(ctx context.Context, _ platform.TenantID, keys ...string) error {
	return c.Cache.Delete(ctx, "all", keys...)
}

type foreverCache struct{ store.Cache }

func (c foreverCache) Set(ctx context.Context, t platform.TenantID, key string, v []byte, _ time.Duration) error {
	return c.Cache.Set(ctx, t, key, v, 1000*time.Hour)
}

type openLockCache struct{ store.Cache }

func (c openLockCache) SetIfAbsent(context.Context, platform.TenantID, string, []byte, time.Duration) (bool, error) {
	return true, nil
}

type slidingCache struct {
	store.Cache
	n int64
}

func (c *slidingCache) Increment(_ context.Context, _ platform.TenantID, _ string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	c.n += delta
	return c.n, ttl, nil
}

type keepsCache struct{ store.Cache }

func (keepsCache) Delete(context.Context, platform.TenantID, ...string) error { return nil }

func TestPubSubFindsFaults(t *testing.T) {
	with := func(f func(store.PubSub) store.PubSub) func(testing.TB) store.PubSub {
		return func(testing.TB) store.PubSub { return f(memory.NewPubSub()) }
	}
	through := func(f func(int, store.Message) []store.Message) func(testing.TB) store.PubSub {
		return with(func(s store.PubSub) store.PubSub { return changingPubSub{s, f} })
	}
	finds(t, pubSubCases, []broken[store.PubSub]{
		{"one tenant for all", "TenantsAndTopicsAreApart", with(func(s store.PubSub) store.PubSub { return oneTenantPubSub{s} })},
		{"outlives its context", "ContextEndsTheSubscription", with(func(s store.PubSub) store.PubSub { return deafPubSub{s} })},
		{"a cancelled call goes on", "Cancelled", with(func(s store.PubSub) store.PubSub { return carriedPubSub{s} })},
		{"hides what was dropped", "ASlowSubscriberHoldsNobodyUp", through(func(_ int, m store.Message) []store.Message {
			m.Dropped = 0
			return []store.Message{m}
		})},
		{"is not yet in place", "SubscribersComeAndGo", through(func(i int, m store.Message) []store.Message {
			if i == 0 {
				return nil
			}
			return []store.Message{m}
		})},
		{"one copy for all", "EachReceiverHasItsOwnCopy", with(func(s store.PubSub) store.PubSub { return &sharingPubSub{PubSub: s} })},
		{"messages overtake", "DeliversInOrder", through(overtake())},
	})
}

type oneTenantPubSub struct{ store.PubSub }

func (s oneTenantPubSub) Publish(ctx context.Context, _ platform.TenantID, topic string, payload []byte) error {
	return s.PubSub.Publish(ctx, "all", topic, payload)
}

func (s oneTenantPubSub) Subscribe(ctx context.Context, _ platform.TenantID, topic string) (store.Subscription, error) {
	return s.PubSub.Subscribe(ctx, "all", topic)
}

// deafPubSub gives subscriptions one message that nobody sent.
type deafPubSub struct{ store.PubSub }

func (s deafPubSub) Subscribe(ctx context.Context, t platform.TenantID, topic string) (store.Subscription, error) {
	sub, err := s.PubSub.Subscribe(context.WithoutCancel(ctx), t, topic)
	if err == nil {
		err = s.Publish(ctx, t, topic, []byte("ghost"))
	}
	return sub, err
}

// carriedPubSub publishes although the context is done, and says that it is.
type carriedPubSub struct{ store.PubSub }

func (s carriedPubSub) Publish(ctx context.Context, t platform.TenantID, topic string, payload []byte) error {
	return errors.Join(s.PubSub.Publish(context.WithoutCancel(ctx), t, topic, payload), ctx.Err())
}

// changingPubSub changes the messages on their way: the i-th of a subscription
// becomes what f returns.
type changingPubSub struct {
	store.PubSub
	f func(i int, m store.Message) []store.Message
}

func (s changingPubSub) Subscribe(ctx context.Context, t platform.TenantID, topic string) (store.Subscription, error) {
	sub, err := s.PubSub.Subscribe(ctx, t, topic)
	if err != nil {
		return nil, err
	}
	changed := &changedSubscription{Subscription: sub, c: make(chan store.Message, 1000), done: make(chan struct{})}
	go changed.run(s.f)
	return changed, nil
}

type changedSubscription struct {
	store.Subscription
	c    chan store.Message
	done chan struct{}
	once sync.Once
}

func (s *changedSubscription) run(f func(int, store.Message) []store.Message) {
	defer close(s.c)
	i := 0
	for m := range s.Subscription.C() {
		for _, m := range f(i, m) {
			select {
			case s.c <- m:
			case <-s.done:
				return
			}
		}
		i++
	}
}

func (s *changedSubscription) C() <-chan store.Message { return s.c }

func (s *changedSubscription) Close() error {
	s.once.Do(func() { close(s.done) })
	return s.Subscription.Close()
}

// overtake turns the third and fourth message round.
func overtake() func(int, store.Message) []store.Message {
	var third store.Message
	return func(i int, m store.Message) []store.Message {
		switch i {
		case 2:
			third = m
			return nil
		case 3:
			return []store.Message{m, third}
		}
		return []store.Message{m}
	}
}

// sharingPubSub hands all receivers the same bytes.
type sharingPubSub struct {
	store.PubSub
	mu      sync.Mutex
	payload []byte
}

func (s *sharingPubSub) Publish(ctx context.Context, t platform.TenantID, topic string, payload []byte) error {
	s.mu.Lock()
	s.payload = bytes.Clone(payload)
	s.mu.Unlock()
	return s.PubSub.Publish(ctx, t, topic, payload)
}

func (s *sharingPubSub) Subscribe(ctx context.Context, t platform.TenantID, topic string) (store.Subscription, error) {
	return changingPubSub{s.PubSub, func(_ int, m store.Message) []store.Message {
		s.mu.Lock()
		defer s.mu.Unlock()
		m.Payload = s.payload
		return []store.Message{m}
	}}.Subscribe(ctx, t, topic)
}
