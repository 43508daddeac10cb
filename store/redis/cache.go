package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Cache returns the cache. It lives as long as the client. Its times are the
// server's, in milliseconds, rounded up. Errors are of
// [platform.KindUnavailable] where the server does not answer or has no room.
func (c *Client) Cache() store.Cache { return cache{c} }

type cache struct{ *Client }

// PartOf implements [platform.Part].
func (c cache) PartOf() platform.Module { return c.Client }

// errTTL is a bug of the caller.
var errTTL = errors.New("redis: the time to live must be positive")

// Get implements [store.Cache].
func (c cache) Get(ctx context.Context, tenant platform.TenantID, key string) (value []byte, ok bool, err error) {
	err = c.call(ctx, tenant, func(ctx context.Context) error {
		value, err = c.redis.Get(ctx, c.key(tenant, key)).Bytes()
		if errors.Is(err, goredis.Nil) {
			return nil
		}
		ok = err == nil
		return err
	})
	return value, ok, err
}

// Set implements [store.Cache].
func (c cache) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	if ttl <= 0 {
		return errTTL
	}
	return c.call(ctx, tenant, func(ctx context.Context) error {
		cmd := goredis.NewStatusCmd(ctx, "set", c.key(tenant, key), value, "px", milliseconds(ttl))
		return c.redis.Process(ctx, cmd)
	})
}

// SetIfAbsent implements [store.Cache]. After an error the value may have been
// set.
func (c cache) SetIfAbsent(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (set bool, err error) {
	if ttl <= 0 {
		return false, errTTL
	}
	err = c.call(ctx, tenant, func(ctx context.Context) error {
		cmd := goredis.NewBoolCmd(ctx, "set", c.key(tenant, key), value, "px", milliseconds(ttl), "nx")
		err := c.redis.Process(ctx, once{cmd})
		set = cmd.Val()
		return err
	})
	return set && err == nil, err
}

// Delete implements [store.Cache]. After an error some keys may be gone.
func (c cache) Delete(ctx context.Context, tenant platform.TenantID, keys ...string) error {
	return c.call(ctx, tenant, func(ctx context.Context) error {
		switch len(keys) {
		case 0:
			return nil
		case 1:
			return c.redis.Unlink(ctx, c.key(tenant, keys[0])).Err()
		}
		// In a cluster the keys have different slots, so each has a command
		// of its own, and those for one node travel together.
		_, err := c.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for _, key := range keys {
				p.Unlink(ctx, c.key(tenant, key))
			}
			return nil
		})
		return err
	})
}

// milliseconds rounds up: nothing may end before its time.
func milliseconds(d time.Duration) int64 {
	return int64((d-1)/time.Millisecond) + 1
}
