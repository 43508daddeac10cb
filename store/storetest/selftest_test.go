package storetest

import (
	"context"
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
		{"any tenant will do", "BadTenant", with(func(c store.Cache) store.Cache { return oneTenantCache{c} })},
		{"nothing expires", "Expires", with(func(c store.Cache) store.Cache { return foreverCache{c} })},
		{"everybody gets the lock", "SetIfAbsentIsALock", with(func(c store.Cache) store.Cache { return openLockCache{c} })},
		{"an increment prolongs", "CounterEndsAfterItsFirstIncrement", with(func(c store.Cache) store.Cache { return &slidingCache{Cache: c} })},
		{"deletes nothing", "SetGetDelete", with(func(c store.Cache) store.Cache { return keepsCache{c} })},
	})
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
	finds(t, pubSubCases, []broken[store.PubSub]{
		{"one tenant for all", "TenantsAndTopicsAreApart", with(func(s store.PubSub) store.PubSub { return oneTenantPubSub{s} })},
		{"outlives its context", "ContextEndsTheSubscription", with(func(s store.PubSub) store.PubSub { return deafPubSub{s} })},
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
