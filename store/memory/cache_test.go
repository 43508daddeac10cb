package memory_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

const (
	acme = platform.TenantID("org_acme")
	zeta = platform.TenantID("org_zeta")
)

type clock = testclock.Clock

func newCache(maxBytes int64) (*memory.Cache, *clock) {
	clk := testclock.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	return memory.NewCache(maxBytes, memory.WithNow(clk.Now)), clk
}

func want(t *testing.T, c store.Cache, tenant platform.TenantID, key, value string) {
	t.Helper()
	got, ok, err := c.Get(t.Context(), tenant, key)
	if err != nil || !ok || string(got) != value {
		t.Errorf("Get(%s, %s) = %q, %v, %v; want %q", tenant, key, got, ok, err, value)
	}
}

func wantNone(t *testing.T, c store.Cache, tenant platform.TenantID, key string) {
	t.Helper()
	if got, ok, err := c.Get(t.Context(), tenant, key); err != nil || ok {
		t.Errorf("Get(%s, %s) = %q, %v, %v; want none", tenant, key, got, ok, err)
	}
}

func set(t *testing.T, c store.Cache, tenant platform.TenantID, key, value string, ttl time.Duration) {
	t.Helper()
	if err := c.Set(t.Context(), tenant, key, []byte(value), ttl); err != nil {
		t.Fatal(err)
	}
}

func TestValues(t *testing.T) {
	c, clk := newCache(1 << 20)
	wantNone(t, c, acme, "k")
	set(t, c, acme, "k", "v", time.Minute)
	want(t, c, acme, "k", "v")
	wantNone(t, c, zeta, "k")

	set(t, c, acme, "k", "w", time.Hour)
	want(t, c, acme, "k", "w")
	clk.Advance(time.Hour - 1)
	want(t, c, acme, "k", "w")
	clk.Advance(1)
	wantNone(t, c, acme, "k")

	set(t, c, acme, "k", "x", time.Hour)
	set(t, c, zeta, "k", "y", time.Hour)
	if err := c.Delete(t.Context(), acme, "k", "other"); err != nil {
		t.Fatal(err)
	}
	wantNone(t, c, acme, "k")
	want(t, c, zeta, "k", "y")
}

func TestValuesAreCopies(t *testing.T) {
	c, _ := newCache(1 << 20)
	given := []byte("abc")
	if err := c.Set(t.Context(), acme, "k", given, time.Minute); err != nil {
		t.Fatal(err)
	}
	given[0] = 'X'
	want(t, c, acme, "k", "abc")
	got, _, _ := c.Get(t.Context(), acme, "k")
	got[0] = 'Y'
	want(t, c, acme, "k", "abc")
}

// No choice of tenant and key may meet another pair.
func TestTenantAndKeyDoNotRun(t *testing.T) {
	c, _ := newCache(1 << 20)
	set(t, c, "a", "bc", "1", time.Minute)
	set(t, c, "ab", "c", "2", time.Minute)
	want(t, c, "a", "bc", "1")
	want(t, c, "ab", "c", "2")
}

func TestSetIfAbsent(t *testing.T) {
	c, clk := newCache(1 << 20)
	lock := func() bool {
		t.Helper()
		ok, err := c.SetIfAbsent(t.Context(), acme, "lock", []byte("me"), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !lock() || lock() {
		t.Fatal("a lock is for one")
	}
	clk.Advance(time.Second)
	if !lock() {
		t.Fatal("a lock ends with its time")
	}
	if err := c.Delete(t.Context(), acme, "lock"); err != nil {
		t.Fatal(err)
	}
	if !lock() {
		t.Fatal("a lock ends with Delete")
	}
}

func TestIncrement(t *testing.T) {
	c, clk := newCache(1 << 20)
	step := func(delta, count int64, left time.Duration) {
		t.Helper()
		n, d, err := c.Increment(t.Context(), acme, "n", delta, time.Minute)
		if err != nil || n != count || d != left {
			t.Errorf("Increment(%d) = %d, %v, %v; want %d, %v", delta, n, d, err, count, left)
		}
	}
	step(0, 0, 0)
	step(2, 2, time.Minute)
	clk.Advance(20 * time.Second)
	step(3, 5, 40*time.Second) // the first increment sets the end
	step(0, 5, 40*time.Second)
	step(-1, 4, 40*time.Second)
	clk.Advance(40 * time.Second)
	step(0, 0, 0)
	step(1, 1, time.Minute)
	step(math.MaxInt64, math.MaxInt64, time.Minute)
	if n, _, _ := c.Increment(t.Context(), zeta, "n", 1, time.Minute); n != 1 {
		t.Errorf("another tenant's counter is %d", n)
	}
	if err := c.Delete(t.Context(), acme, "n"); err != nil {
		t.Fatal(err)
	}
	step(0, 0, 0)
}

func TestIncrementIsExact(t *testing.T) {
	c, _ := newCache(1 << 20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if _, _, err := c.Increment(t.Context(), acme, "n", 1, time.Minute); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, _, _ := c.Increment(t.Context(), acme, "n", 0, 0); n != 8000 {
		t.Errorf("counted %d of 8000", n)
	}
}

func TestBounded(t *testing.T) {
	const room = 1 << 20 // one shard
	c, _ := newCache(room)
	value := make([]byte, 10<<10)
	set(t, c, acme, "kept", "v", time.Hour)
	if _, _, err := c.Increment(t.Context(), acme, "counter", 7, time.Hour); err != nil {
		t.Fatal(err)
	}
	const n = 300 // 3 MiB
	for i := range n {
		if err := c.Set(t.Context(), acme, fmt.Sprint(i), value, time.Hour); err != nil {
			t.Fatal(err)
		}
		want(t, c, acme, "kept", "v") // what is used stays
	}
	held := 0
	for i := range n {
		if _, ok, _ := c.Get(t.Context(), acme, fmt.Sprint(i)); ok {
			held++
		}
	}
	if held*len(value) > room || held < 60 {
		t.Errorf("holds %d values of 10 KiB", held)
	}
	wantNone(t, c, acme, "0")
	if _, ok, _ := c.Get(t.Context(), acme, fmt.Sprint(n-1)); !ok {
		t.Error("the newest is gone")
	}
	if count, _, _ := c.Increment(t.Context(), acme, "counter", 0, 0); count != 7 {
		t.Errorf("values pushed a counter out: %d", count)
	}
}

func TestTooLarge(t *testing.T) {
	c, _ := newCache(1 << 20)
	set(t, c, acme, "k", "old", time.Hour)
	large := make([]byte, c.MaxValue()+1)
	if err := c.Set(t.Context(), acme, "k", large, time.Hour); err != nil {
		t.Fatal(err)
	}
	wantNone(t, c, acme, "k") // the old value is not the newest any more
	if _, _, err := c.Increment(t.Context(), acme, string(large), 1, time.Hour); err == nil {
		t.Error("a counter that cannot be kept must be an error")
	}
	small := memory.NewCache(1)
	if n, _, _ := small.Increment(t.Context(), acme, "n", 1, time.Hour); n != 1 {
		t.Fatal(n)
	}
	if n, _, _ := small.Increment(t.Context(), acme, "n", 1, time.Hour); n != 2 {
		t.Errorf("a small cache counts %d", n)
	}
}

// calls are the methods, each with a given context and tenant.
func calls(c *memory.Cache) map[string]func(context.Context, platform.TenantID) error {
	return map[string]func(context.Context, platform.TenantID) error{
		"Get": func(ctx context.Context, t platform.TenantID) error { _, _, err := c.Get(ctx, t, "k"); return err },
		"Set": func(ctx context.Context, t platform.TenantID) error {
			return c.Set(ctx, t, "k", nil, time.Minute)
		},
		"SetIfAbsent": func(ctx context.Context, t platform.TenantID) error {
			_, err := c.SetIfAbsent(ctx, t, "k", nil, time.Minute)
			return err
		},
		"Delete": func(ctx context.Context, t platform.TenantID) error { return c.Delete(ctx, t, "k") },
		"Increment": func(ctx context.Context, t platform.TenantID) error {
			_, _, err := c.Increment(ctx, t, "k", 1, time.Minute)
			return err
		},
	}
}

func TestContract(t *testing.T) {
	c, _ := newCache(1 << 20)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(c) {
		if err := call(t.Context(), "no tenant"); !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("%s without a valid tenant: %v", name, err)
		}
		if err := call(gone, acme); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a done context: %v", name, err)
		}
	}
	wantNone(t, c, acme, "k")
	if err := c.Set(t.Context(), acme, "k", nil, 0); err == nil {
		t.Error("a value without a time to live")
	}
	if _, _, err := c.Increment(t.Context(), acme, "k", 1, 0); err == nil {
		t.Error("a counter without a time to live")
	}
}

func BenchmarkIncrement(b *testing.B) {
	c := memory.NewCache(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Increment(b.Context(), acme, "rate:default:usr_1", 1, time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}
