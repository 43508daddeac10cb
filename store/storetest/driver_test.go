package storetest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/storetest"
)

// mapCache is a driver that a reader may begin their own from: a [store.Cache]
// in a map. Nothing bounds it, so it is no use beyond that.
type mapCache struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[cacheKey]cacheEntry
}

// cacheKey keeps tenant and key apart: joined in one string, two pairs could
// be spelled alike.
type cacheKey struct {
	tenant platform.TenantID
	key    string
}

type cacheEntry struct {
	value []byte
	count int64
	ends  time.Time
}

func newMapCache(now func() time.Time) *mapCache {
	return &mapCache{now: now, entries: map[cacheKey]cacheEntry{}}
}

// check is what every method of every port begins with.
func check(ctx context.Context, tenant platform.TenantID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return tenant.ValidateScope()
}

// live returns the entry unless its time is over. The caller holds mu.
func (c *mapCache) live(k cacheKey) (cacheEntry, bool) {
	e, ok := c.entries[k]
	return e, ok && c.now().Before(e.ends)
}

func (c *mapCache) Get(ctx context.Context, tenant platform.TenantID, key string) ([]byte, bool, error) {
	if err := check(ctx, tenant); err != nil {
		return nil, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.live(cacheKey{tenant, key})
	if !ok {
		return nil, false, nil
	}
	return append([]byte{}, e.value...), true, nil // the caller may change it
}

func (c *mapCache) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	_, err := c.put(ctx, tenant, key, value, ttl, false)
	return err
}

func (c *mapCache) SetIfAbsent(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (bool, error) {
	return c.put(ctx, tenant, key, value, ttl, true)
}

func (c *mapCache) put(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration, absent bool) (bool, error) {
	if err := check(ctx, tenant); err != nil {
		return false, err
	}
	if ttl <= 0 {
		return false, errors.New("mapCache: the ttl must be positive")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := cacheKey{tenant, key}
	if _, ok := c.live(k); ok && absent {
		return false, nil
	}
	c.entries[k] = cacheEntry{value: append([]byte{}, value...), ends: c.now().Add(ttl)}
	return true, nil
}

func (c *mapCache) Delete(ctx context.Context, tenant platform.TenantID, keys ...string) error {
	if err := check(ctx, tenant); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		delete(c.entries, cacheKey{tenant, key})
	}
	return nil
}

func (c *mapCache) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	if err := check(ctx, tenant); err != nil {
		return 0, 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := cacheKey{tenant, key}
	e, ok := c.live(k)
	if !ok {
		if delta == 0 { // a look must not begin the window
			return 0, 0, nil
		}
		e = cacheEntry{ends: c.now().Add(ttl)}
	}
	e.count += delta
	c.entries[k] = e
	return e.count, e.ends.Sub(c.now()), nil
}

// A driver of one's own proves itself in a few lines.
func TestDriver(t *testing.T) {
	storetest.Cache(t, func(testing.TB) storetest.CacheStore {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return storetest.CacheStore{
			Cache:   newMapCache(func() time.Time { return now }),
			Advance: func(d time.Duration) { now = now.Add(d) },
		}
	})
}

var _ store.Cache = (*mapCache)(nil)
