package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

var _ store.Cache = (*Cache)(nil)

// Cache keeps values and counters in at most a given number of bytes, and
// gives up those that were not used for the longest time. It is safe for
// concurrent use.
//
// A key names a value or a counter, never both. Counters have a quarter of the
// room to themselves: a flood of values does not reset the counters of a rate
// limit. A value that is larger than its part of the cache ([Cache.MaxValue])
// is not kept.
type Cache struct {
	now      func() time.Time
	seed     maphash.Seed
	values   []shard
	counters []shard
}

// Option changes a [Cache].
type Option func(*Cache)

// WithNow has the cache read the time from now instead of [time.Now].
func WithNow(now func() time.Time) Option { return func(c *Cache) { c.now = now } }

// Goroutines wait for each other only within a shard, but a shard that is too
// small cannot hold a value of ordinary size.
const (
	minBytes      = 64 << 10
	maxShards     = 32
	minShardBytes = 1 << 20
)

// NewCache returns an empty cache of at most maxBytes, its own bookkeeping
// included as an estimate; less than 64 KiB counts as that.
func NewCache(maxBytes int64, options ...Option) *Cache {
	maxBytes = max(maxBytes, minBytes)
	shards := int64(1)
	for shards < maxShards && maxBytes/(shards*2) >= minShardBytes {
		shards *= 2
	}
	c := &Cache{now: time.Now, seed: maphash.MakeSeed()}
	counterBytes := maxBytes / 4
	c.values = newShards(shards, maxBytes-counterBytes)
	c.counters = newShards(shards, counterBytes)
	for _, o := range options {
		o(c)
	}
	return c
}

// MaxValue is the most bytes that a value and its key can have together.
func (c *Cache) MaxValue() int64 { return max(c.values[0].room-entryOverhead, 0) }

// Bugs of the caller.
var (
	errTTL = errors.New("memory: the time to live must be positive")
	errKey = errors.New("memory: the key is too long for a counter")
)

// Get implements [store.Cache].
func (c *Cache) Get(ctx context.Context, tenant platform.TenantID, key string) ([]byte, bool, error) {
	if err := alive(ctx); err != nil {
		return nil, false, err
	}
	id := entryKey{tenant, key}
	now := c.now()
	s := c.shard(c.values, id)
	s.mu.Lock()
	if e := s.live(id, now); e != nil {
		// Values are replaced, never changed, so the copy needs no lock.
		value := e.value
		s.mu.Unlock()
		return bytes.Clone(value), true, nil
	}
	s.mu.Unlock()
	return nil, false, tenant.ValidateScope()
}

// Set implements [store.Cache].
func (c *Cache) Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error {
	if err := check(ctx, tenant, ttl); err != nil {
		return err
	}
	id := entryKey{tenant, key}
	e := newEntry(id, value, c.now().Add(ttl))
	s := c.shard(c.values, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(e)
	return nil
}

// SetIfAbsent implements [store.Cache].
func (c *Cache) SetIfAbsent(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := check(ctx, tenant, ttl); err != nil {
		return false, err
	}
	id := entryKey{tenant, key}
	now := c.now()
	s := c.shard(c.values, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live(id, now) != nil {
		return false, nil
	}
	s.put(newEntry(id, value, now.Add(ttl)))
	return true, nil
}

// Delete implements [store.Cache].
func (c *Cache) Delete(ctx context.Context, tenant platform.TenantID, keys ...string) error {
	if err := alive(ctx); err != nil {
		return err
	}
	if err := tenant.ValidateScope(); err != nil {
		return err
	}
	for _, key := range keys {
		id := entryKey{tenant, key}
		c.shard(c.values, id).delete(id)
		c.shard(c.counters, id).delete(id)
	}
	return nil
}

// Increment implements [store.Cache]. A counter stays at the ends of int64
// rather than turn over. Reading one that is not there returns 0 and no time,
// and does not begin it.
func (c *Cache) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	if err := alive(ctx); err != nil {
		return 0, 0, err
	}
	if ttl <= 0 && delta != 0 {
		return 0, 0, errTTL
	}
	id := entryKey{tenant, key}
	now := c.now()
	s := c.shard(c.counters, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.live(id, now); e != nil {
		e.count = add(e.count, delta)
		return e.count, e.expires.Sub(now), nil
	}
	// Only valid tenants have entries, so the check can wait until here.
	if err := tenant.ValidateScope(); err != nil || delta == 0 {
		return 0, 0, err
	}
	e := newEntry(id, nil, now.Add(ttl))
	e.count = delta
	if !s.put(e) { // a counter that never counts would let everything pass
		return 0, 0, errKey
	}
	return delta, ttl, nil
}

// add adds and stays within int64.
func add(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}

func (c *Cache) shard(of []shard, id entryKey) *shard {
	h := maphash.String(c.seed, id.key) + 31*maphash.String(c.seed, string(id.tenant))
	return &of[h%uint64(len(of))]
}

func alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	return nil
}

func check(ctx context.Context, tenant platform.TenantID, ttl time.Duration) error {
	if err := alive(ctx); err != nil {
		return err
	}
	if ttl <= 0 {
		return errTTL
	}
	return tenant.ValidateScope()
}
