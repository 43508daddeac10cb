package store

import (
	"context"
	"time"

	"github.com/acme/platform"
)

// FallbackCache returns a cache that does in local what shared is unavailable for:
// each operation that fails there with platform.KindUnavailable. It suits counters
// that must go on, such as those of failed logins: each process then counts by
// itself, and what it counted is forgotten when shared is back. It does not suit
// locks, which several processes could then hold.
func FallbackCache(shared, local Cache) Cache { return &fallbackCache{shared, local} }

type fallbackCache struct{ shared, local Cache }

// PartOf implements [platform.Part]: who needs the cache needs the module of shared.
func (c *fallbackCache) PartOf() platform.Module {
	if part, ok := c.shared.(platform.Part); ok {
		return part.PartOf()
	}
	m, _ := c.shared.(platform.Module)
	return m
}

func unavailable(err error) bool {
	return err != nil && platform.KindOf(err) == platform.KindUnavailable
}

func (c *fallbackCache) Get(ctx context.Context, tenant platform.TenantID, key string) ([]byte, bool, error) {
	value, ok, err := c.shared.Get(ctx, tenant, key)
	if unavailable(err) {
		return c.local.Get(ctx, tenant, key)
	}
	return value, ok, err
}

func (c *fallbackCache) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	err := c.shared.Set(ctx, tenant, key, value, ttl)
	if unavailable(err) {
		return c.local.Set(ctx, tenant, key, value, ttl)
	}
	return err
}

func (c *fallbackCache) SetIfAbsent(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (bool, error) {
	ok, err := c.shared.SetIfAbsent(ctx, tenant, key, value, ttl)
	if unavailable(err) {
		return c.local.SetIfAbsent(ctx, tenant, key, value, ttl)
	}
	return ok, err
}

func (c *fallbackCache) Delete(ctx context.Context, tenant platform.TenantID, keys ...string) error {
	// Also what was kept here while shared was unavailable.
	if err := c.local.Delete(ctx, tenant, keys...); err != nil {
		return err
	}
	err := c.shared.Delete(ctx, tenant, keys...)
	if unavailable(err) {
		return nil
	}
	return err
}

func (c *fallbackCache) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	n, left, err := c.shared.Increment(ctx, tenant, key, delta, ttl)
	if unavailable(err) {
		return c.local.Increment(ctx, tenant, key, delta, ttl)
	}
	return n, left, err
}
