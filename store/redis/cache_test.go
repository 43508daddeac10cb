package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/redis"
)

// raw returns a client of the shared server that knows nothing of tenants.
func raw(tb testing.TB) *goredis.Client {
	tb.Helper()
	o, err := goredis.ParseURL(server(tb))
	if err != nil {
		tb.Fatal(err)
	}
	c := goredis.NewClient(o)
	tb.Cleanup(func() { c.Close() })
	return c
}

func set(tb testing.TB, c store.Cache, tenant platform.TenantID, key, value string) {
	tb.Helper()
	if err := c.Set(tb.Context(), tenant, key, []byte(value), time.Minute); err != nil {
		tb.Fatal(err)
	}
}

func want(tb testing.TB, c store.Cache, tenant platform.TenantID, key, value string) {
	tb.Helper()
	got, ok, err := c.Get(tb.Context(), tenant, key)
	if err != nil || !ok || string(got) != value {
		tb.Errorf("Get(%s, %s) = %q, %v, %v; want %q", tenant, key, got, ok, err, value)
	}
}

func wantNone(tb testing.TB, c store.Cache, tenant platform.TenantID, key string) {
	tb.Helper()
	if got, ok, err := c.Get(tb.Context(), tenant, key); err != nil || ok {
		tb.Errorf("Get(%s, %s) = %q, %v, %v; want none", tenant, key, got, ok, err)
	}
}

// methods are the methods of both ports.
func methods(c *redis.Client) map[string]func(context.Context, platform.TenantID) error {
	cache, pubSub := c.Cache(), c.PubSub()
	return map[string]func(context.Context, platform.TenantID) error{
		"Get": func(ctx context.Context, t platform.TenantID) error { _, _, err := cache.Get(ctx, t, "k"); return err },
		"Set": func(ctx context.Context, t platform.TenantID) error {
			return cache.Set(ctx, t, "k", nil, time.Minute)
		},
		"SetIfAbsent": func(ctx context.Context, t platform.TenantID) error {
			_, err := cache.SetIfAbsent(ctx, t, "k", nil, time.Minute)
			return err
		},
		"Delete": func(ctx context.Context, t platform.TenantID) error { return cache.Delete(ctx, t, "k", "l") },
		"Increment": func(ctx context.Context, t platform.TenantID) error {
			_, _, err := cache.Increment(ctx, t, "n", 1, time.Minute)
			return err
		},
		"Publish": func(ctx context.Context, t platform.TenantID) error { return pubSub.Publish(ctx, t, "t", nil) },
		"Subscribe": func(ctx context.Context, t platform.TenantID) error {
			s, err := pubSub.Subscribe(ctx, t, "t")
			if err == nil {
				s.Close()
			}
			return err
		},
	}
}

func TestContract(t *testing.T) {
	c := open(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	for name, call := range methods(c) {
		if err := call(t.Context(), acme); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Cache().Delete(t.Context(), acme, "k", "n"); err != nil {
			t.Fatal(err)
		}
		if err := call(gone, acme); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
		if err := call(late, acme); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s after its deadline: %v", name, err)
		}
		if err := call(t.Context(), "a:b"); !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("%s without a valid tenant: %v", name, err)
		}
		wantNone(t, c.Cache(), acme, "k")
	}
	if n, _, err := c.Cache().Increment(t.Context(), acme, "n", 0, 0); n != 0 || err != nil {
		t.Errorf("a call without effect counted: %d, %v", n, err)
	}
	for _, ttl := range []time.Duration{0, -1} {
		if err := c.Cache().Set(t.Context(), acme, "k", nil, ttl); err == nil {
			t.Error("a value without a time to live")
		}
		if _, err := c.Cache().SetIfAbsent(t.Context(), acme, "k", nil, ttl); err == nil {
			t.Error("a lock without a time to live")
		}
		if _, _, err := c.Cache().Increment(t.Context(), acme, "k", 1, ttl); err == nil {
			t.Error("a counter without a time to live")
		}
	}
}

func TestStopped(t *testing.T) {
	c := open(t)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed := &platform.Error{Kind: platform.KindUnavailable, Code: "store_closed"}
	for name, call := range methods(c) {
		if err := call(t.Context(), acme); !errors.Is(err, closed) {
			t.Errorf("%s after Stop: %v", name, err)
		}
	}
}

// Everything has an end, or a server without a policy fills up, and a counter
// refuses for ever.
func TestEverythingEnds(t *testing.T) {
	prefix := newPrefix()
	c := openWith(t, redis.Config{URL: server(t), Prefix: prefix}).Cache()
	r := raw(t)
	ends := func(key string, most time.Duration) {
		t.Helper()
		left, err := r.PTTL(t.Context(), prefix+":org_acme:"+key).Result()
		if err != nil || left <= 0 || left > most {
			t.Errorf("%s ends in %v, %v; want at most %v", key, left, err, most)
		}
	}
	if err := c.Set(t.Context(), acme, "v", nil, 100*365*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	ends("v", 100*365*24*time.Hour)
	if _, err := c.SetIfAbsent(t.Context(), acme, "l", nil, time.Hour); err != nil {
		t.Fatal(err)
	}
	ends("l", time.Hour)
	if err := c.Set(t.Context(), acme, "short", nil, 1); err != nil { // a nanosecond is less than Redis has
		t.Fatal(err)
	}
	if _, _, err := c.Increment(t.Context(), acme, "n", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	ends("n", time.Hour)

	if err := r.Persist(t.Context(), prefix+":org_acme:n").Err(); err != nil {
		t.Fatal(err)
	}
	if n, left, err := c.Increment(t.Context(), acme, "n", 1, time.Minute); n != 2 || left != time.Minute || err != nil {
		t.Errorf("a counter without an end: %d, %v, %v", n, left, err)
	}
	ends("n", time.Minute)
}

func TestIncrementIsExact(t *testing.T) {
	c := open(t).Cache()
	step := func(delta, count int64) {
		t.Helper()
		n, left, err := c.Increment(t.Context(), acme, "n", delta, time.Minute)
		if err != nil || n != count || left <= 0 || left > time.Minute {
			t.Errorf("Increment(%d) = %d, %v, %v; want %d", delta, n, left, err, count)
		}
	}
	step(1<<53, 1<<53)
	step(1, 1<<53+1) // no float64 is that
	step(math.MaxInt64, math.MaxInt64)
	step(1, math.MaxInt64)
	step(0, math.MaxInt64)
	step(-1, math.MaxInt64-1)
	step(math.MinInt64, -2)
	step(math.MinInt64, math.MinInt64)
	step(-1, math.MinInt64)

	set(t, c, acme, "value", "text")
	for _, delta := range []int64{0, 1} {
		if n, _, err := c.Increment(t.Context(), acme, "value", delta, time.Minute); err == nil {
			t.Errorf("a value counts: %d", n)
		}
	}
	want(t, c, acme, "value", "text")
}

// A server that was restarted knows no script.
func TestIncrementOnANewServer(t *testing.T) {
	c := open(t).Cache()
	for i := range 3 {
		if err := raw(t).ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if n, _, err := c.Increment(t.Context(), acme, "n", 1, time.Minute); n != int64(i+1) || err != nil {
			t.Errorf("got %d, %v; want %d", n, err, i+1)
		}
	}
}

func TestDeleteMany(t *testing.T) {
	c := open(t).Cache()
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprint("k", i))
		set(t, c, acme, keys[i], "v")
		set(t, c, zeta, keys[i], "v")
	}
	if err := c.Delete(t.Context(), acme, keys...); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		wantNone(t, c, acme, key)
		want(t, c, zeta, key, "v")
	}
}

// A command whose answer is lost is not sent again where that would do its
// work twice, whatever the host's client does.
func TestNothingIsDoneTwice(t *testing.T) {
	p := newProxy(t, server(t))
	o, err := goredis.ParseURL(p.url())
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = 3
	host := goredis.NewClient(o)
	t.Cleanup(func() { host.Close() })
	c := openWith(t, redis.Config{Client: host, Prefix: newPrefix()})
	cache := c.Cache()
	if _, _, err := cache.Increment(t.Context(), acme, "n", 1, time.Minute); err != nil {
		t.Fatal(err)
	}
	sub, err := undisturbed(t, c).Subscribe(t.Context(), acme, "topic")
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Increment": func() error {
			_, _, err := cache.Increment(t.Context(), acme, "n", 1, time.Minute)
			return err
		},
		"SetIfAbsent": func() error {
			ok, err := cache.SetIfAbsent(t.Context(), acme, "lock", nil, time.Minute)
			if err == nil {
				return fmt.Errorf("answered %v", ok)
			}
			return err
		},
		"Publish": func() error { return c.PubSub().Publish(t.Context(), acme, "topic", []byte("once")) },
	} {
		p.loseAnswers(1)
		if err := call(); platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("%s whose answer is lost: %v", name, err)
		}
		wantNone(t, cache, acme, "nothing") // or three failures in a row are an outage
	}
	if n, _, err := cache.Increment(t.Context(), acme, "n", 0, 0); n != 2 || err != nil {
		t.Errorf("counted %d, %v; want 2", n, err)
	}
	if err := c.PubSub().Publish(t.Context(), acme, "topic", []byte("next")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"once", "next"} {
		if m := <-sub.C(); string(m.Payload) != want {
			t.Errorf("got %q, want %q", m.Payload, want)
		}
	}
	// What may be sent again is, by a host's client that wants it.
	set(t, cache, acme, "k", "v")
	p.loseAnswers(1)
	want(t, cache, acme, "k", "v")
}

// undisturbed returns the PubSub of another client with the same keys, without
// a proxy.
func undisturbed(t *testing.T, c *redis.Client) store.PubSub {
	t.Helper()
	return openWith(t, redis.Config{URL: teststack.Redis(t), Prefix: redis.Prefix(c)}).PubSub()
}
