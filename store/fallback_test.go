package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

// failing is a cache that is away, or broken, on demand.
type failing struct {
	store.Cache
	err error
}

func (f *failing) Get(ctx context.Context, t platform.TenantID, k string) ([]byte, bool, error) {
	if f.err != nil {
		return nil, false, f.err
	}
	return f.Cache.Get(ctx, t, k)
}

func (f *failing) Set(ctx context.Context, t platform.TenantID, k string, v []byte, ttl time.Duration) error {
	if f.err != nil {
		return f.err
	}
	return f.Cache.Set(ctx, t, k, v, ttl)
}

func (f *failing) SetIfAbsent(ctx context.Context, t platform.TenantID, k string, v []byte, ttl time.Duration) (bool, error) {
	if f.err != nil {
		return false, f.err
	}
	return f.Cache.SetIfAbsent(ctx, t, k, v, ttl)
}

func (f *failing) Delete(ctx context.Context, t platform.TenantID, k ...string) error {
	if f.err != nil {
		return f.err
	}
	return f.Cache.Delete(ctx, t, k...)
}

func (f *failing) Increment(ctx context.Context, t platform.TenantID, k string, d int64, ttl time.Duration) (int64, time.Duration, error) {
	if f.err != nil {
		return 0, 0, f.err
	}
	return f.Cache.Increment(ctx, t, k, d, ttl)
}

func TestFallbackCache(t *testing.T) {
	const a, b platform.TenantID = "org_a", "org_b"
	shared := &failing{Cache: memory.NewCache(1 << 20)}
	c := store.FallbackCache(shared, memory.NewCache(1<<20))
	ctx := t.Context()
	count := func(tenant platform.TenantID, want int64) {
		t.Helper()
		if n, _, err := c.Increment(ctx, tenant, "n", 1, time.Hour); n != want || err != nil {
			t.Errorf("%s: got %d, %v; want %d", tenant, n, err, want)
		}
	}
	count(a, 1)
	count(a, 2)

	shared.err = platform.Errorf(platform.KindUnavailable, "away", "it is away")
	count(a, 1)
	count(b, 1)
	count(a, 2)
	if err := c.Set(ctx, a, "k", []byte("v"), time.Hour); err != nil {
		t.Error(err)
	}
	if v, ok, err := c.Get(ctx, a, "k"); !ok || string(v) != "v" || err != nil {
		t.Errorf("got %q, %v, %v", v, ok, err)
	}
	if _, ok, _ := c.Get(ctx, b, "k"); ok {
		t.Error("another tenant gets it")
	}
	for i, want := range []bool{true, false} {
		if ok, err := c.SetIfAbsent(ctx, a, "slot", nil, time.Hour); ok != want || err != nil {
			t.Errorf("SetIfAbsent %d: %v, %v", i, ok, err)
		}
	}
	if err := c.Delete(ctx, a, "n", "slot"); err != nil {
		t.Error(err)
	}
	count(a, 1)

	shared.err = nil
	count(a, 3) // where it stood

	shared.err = errors.New("a bug")
	if _, _, err := c.Increment(ctx, a, "n", 1, time.Hour); !errors.Is(err, shared.err) {
		t.Errorf("a failure that is no absence is hidden: %v", err)
	}
}
