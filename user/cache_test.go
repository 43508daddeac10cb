package user_test

import (
	"context"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// clockCache is a store.Cache whose time is the test's.
type clockCache struct {
	clock *clock
	mu    sync.Mutex
	items map[string]cacheItem
}

type cacheItem struct {
	value []byte
	count int64
	until time.Time
}

var _ store.Cache = (*clockCache)(nil)

func newClockCache(c *clock) *clockCache { return &clockCache{clock: c, items: map[string]cacheItem{}} }

// lookup is called with the lock held.
func (c *clockCache) lookup(tenant platform.TenantID, key string) (string, cacheItem, bool) {
	k := string(tenant) + "/" + key
	item, ok := c.items[k]
	return k, item, ok && c.clock.Now().Before(item.until)
}

func (c *clockCache) Get(_ context.Context, tenant platform.TenantID, key string) ([]byte, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, item, ok := c.lookup(tenant, key)
	return item.value, ok, nil
}

func (c *clockCache) Set(_ context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, _, _ := c.lookup(tenant, key)
	c.items[k] = cacheItem{value: value, until: c.clock.Now().Add(ttl)}
	return nil
}

func (c *clockCache) SetIfAbsent(_ context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, _, ok := c.lookup(tenant, key)
	if !ok {
		c.items[k] = cacheItem{value: value, until: c.clock.Now().Add(ttl)}
	}
	return !ok, nil
}

func (c *clockCache) Delete(_ context.Context, tenant platform.TenantID, keys ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		k, _, _ := c.lookup(tenant, key)
		delete(c.items, k)
	}
	return nil
}

func (c *clockCache) Increment(_ context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, item, ok := c.lookup(tenant, key)
	if !ok {
		item = cacheItem{until: c.clock.Now().Add(ttl)}
	}
	item.count += delta
	c.items[k] = item
	return item.count, item.until.Sub(c.clock.Now()), nil
}
