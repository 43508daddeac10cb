package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// CacheStore is a [store.Cache] under test.
type CacheStore struct {
	store.Cache
	// Advance lets time pass for the cache: a move of its injected clock, or
	// a sleep where the clock is a server's.
	Advance func(d time.Duration)
}

// Cache tests a [store.Cache].
func Cache(t *testing.T, open func(testing.TB) CacheStore) {
	t.Helper()
	run(t, open, cacheCases)
}

var cacheCases = []testCase[CacheStore]{
	{"SetGetDelete", func(p *probe, s CacheStore) {
		if _, ok, err := s.Get(p.ctx, tenantA, "k"); ok || err != nil {
			p.errorf("an empty cache: got %v, %v", ok, err)
		}
		p.must(s.Set(p.ctx, tenantA, "k", []byte("one"), time.Minute))
		p.must(s.Set(p.ctx, tenantA, "k", []byte("two"), time.Minute))
		p.cached(s, tenantA, "k", "two")
		p.must(s.Set(p.ctx, tenantA, "empty", nil, time.Minute))
		p.cached(s, tenantA, "empty", "")
		p.must(s.Delete(p.ctx, tenantA, "k", "never was"))
		p.notCached(s, tenantA, "k")
		p.cached(s, tenantA, "empty", "")
	}},
	{"ValuesAreCopies", func(p *probe, s CacheStore) {
		v := []byte("abc")
		p.must(s.Set(p.ctx, tenantA, "k", v, time.Minute))
		v[0] = 'x'
		got, _, err := s.Get(p.ctx, tenantA, "k")
		p.must(err)
		if !bytes.Equal(got, []byte("abc")) {
			p.fatalf("the cache kept the caller's slice: %q", got)
		}
		got[0] = 'y'
		p.cached(s, tenantA, "k", "abc")
	}},
	{"AnyKeyAndValue", func(p *probe, s CacheStore) {
		keys := []string{"a b", "a:b", "a/b", "{a}", "ü", "a\x00b", "a\nb"}
		for _, key := range keys {
			p.must(s.Set(p.ctx, tenantA, key, []byte(key+"\x00\xff"), time.Minute))
		}
		for _, key := range keys {
			p.cached(s, tenantA, key, key+"\x00\xff")
		}
	}},
	{"Expires", func(p *probe, s CacheStore) {
		p.must(s.Set(p.ctx, tenantA, "short", []byte("x"), time.Second))
		p.must(s.Set(p.ctx, tenantA, "long", []byte("x"), time.Hour))
		s.Advance(1100 * time.Millisecond)
		p.notCached(s, tenantA, "short")
		p.cached(s, tenantA, "long", "x")
		for _, ttl := range []time.Duration{0, -time.Second} {
			if err := s.Set(p.ctx, tenantA, "k", []byte("x"), ttl); err == nil {
				p.errorf("a ttl of %v is not refused", ttl)
			}
		}
	}},
	{"SetIfAbsentIsALock", func(p *probe, s CacheStore) {
		var won atomic.Int32
		parallel(16, func(i int) {
			ok, err := s.SetIfAbsent(p.ctx, tenantA, "lock", fmt.Appendf(nil, "%d", i), time.Second)
			if err != nil {
				p.errorf("SetIfAbsent: %v", err)
			}
			if ok {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			p.errorf("%d hold the lock", won.Load())
		}
		s.Advance(1100 * time.Millisecond)
		if ok, err := s.SetIfAbsent(p.ctx, tenantA, "lock", []byte("x"), time.Second); !ok || err != nil {
			p.errorf("after its time the lock is not free: %v", err)
		}
		p.must(s.Delete(p.ctx, tenantA, "lock"))
		if ok, err := s.SetIfAbsent(p.ctx, tenantA, "lock", []byte("x"), time.Second); !ok || err != nil {
			p.errorf("after Delete the lock is not free: %v", err)
		}
	}},
	{"IncrementCountsEveryCall", func(p *probe, s CacheStore) {
		parallel(16, func(int) {
			for range 50 {
				if _, _, err := s.Increment(p.ctx, tenantA, "n", 2, time.Hour); err != nil {
					p.errorf("Increment: %v", err)
				}
			}
		})
		n, left, err := s.Increment(p.ctx, tenantA, "n", 0, time.Hour)
		if n != 1600 || err != nil || left <= 0 || left > time.Hour {
			p.errorf("got %d, %v left, %v; want 1600", n, left, err)
		}
		if n, _, _ = s.Increment(p.ctx, tenantA, "n", -600, time.Hour); n != 1000 {
			p.errorf("a negative delta: got %d", n)
		}
	}},
	{"CounterEndsAfterItsFirstIncrement", func(p *probe, s CacheStore) {
		_, _, err := s.Increment(p.ctx, tenantA, "n", 1, 2*time.Second)
		p.must(err)
		s.Advance(1500 * time.Millisecond)
		if n, left, _ := s.Increment(p.ctx, tenantA, "n", 1, 2*time.Second); n != 2 || left > time.Second {
			p.errorf("got %d with %v left: a later increment must not prolong the counter", n, left)
		}
		s.Advance(600 * time.Millisecond)
		if n, _, _ := s.Increment(p.ctx, tenantA, "n", 1, 2*time.Second); n != 1 {
			p.errorf("a new window began with %d", n)
		}
	}},
	{"ReadingACounterDoesNotMakeIt", func(p *probe, s CacheStore) {
		if n, _, err := s.Increment(p.ctx, tenantA, "n", 0, time.Hour); n != 0 || err != nil {
			p.errorf("got %d, %v", n, err)
		}
		_, _, err := s.Increment(p.ctx, tenantA, "n", 1, time.Second)
		p.must(err)
		s.Advance(1100 * time.Millisecond)
		if n, _, _ := s.Increment(p.ctx, tenantA, "n", 0, time.Hour); n != 0 {
			p.errorf("the read before the first increment began the window")
		}
	}},
	{"TenantsAreApartAtRandom", cacheAtRandom},
	{"TenantsAreApart", func(p *probe, s CacheStore) {
		for _, t := range []platform.TenantID{tenantA, tenantB, platform.NoTenant} {
			p.must(s.Set(p.ctx, t, "k", []byte(t), time.Minute))
			_, _, err := s.Increment(p.ctx, t, "n", int64(len(t)), time.Minute)
			p.must(err)
		}
		for _, t := range []platform.TenantID{tenantA, tenantB, platform.NoTenant} {
			p.cached(s, t, "k", string(t))
			if n, _, _ := s.Increment(p.ctx, t, "n", 0, time.Minute); n != int64(len(t)) {
				p.errorf("the counter of %s is %d", t, n)
			}
		}
		p.must(s.Delete(p.ctx, tenantA, "k", "n"))
		p.notCached(s, tenantA, "k")
		p.cached(s, tenantB, "k", string(tenantB))
		// No pair of tenant and key may be spelled as another pair.
		p.must(s.Set(p.ctx, "org", "a:k", []byte("1"), time.Minute))
		p.notCached(s, "org_a", "k")
		p.notCached(s, "org-a", ":k")
	}},
	{"Cancelled", func(p *probe, s CacheStore) {
		p.must(s.Set(p.ctx, tenantA, "kept", []byte("x"), time.Minute))
		_, _, err := s.Get(p.cancelled(), tenantA, "kept")
		p.cancels(err, "Get")
		p.cancels(s.Set(p.cancelled(), tenantA, "k", nil, time.Minute), "Set")
		_, err = s.SetIfAbsent(p.cancelled(), tenantA, "k", nil, time.Minute)
		p.cancels(err, "SetIfAbsent")
		p.cancels(s.Delete(p.cancelled(), tenantA, "kept"), "Delete")
		_, _, err = s.Increment(p.cancelled(), tenantA, "n", 1, time.Minute)
		p.cancels(err, "Increment")
		p.cached(s, tenantA, "kept", "x")
		p.notCached(s, tenantA, "k")
		if n, _, err := s.Increment(p.ctx, tenantA, "n", 0, time.Minute); n != 0 || err != nil {
			p.errorf("the counter is %d, %v", n, err)
		}
	}},
	{"BadTenant", func(p *probe, s CacheStore) {
		for _, t := range badTenants {
			_, _, err := s.Get(p.ctx, t, "k")
			p.kind(err, platform.KindNoTenant, "Get")
			p.kind(s.Set(p.ctx, t, "k", nil, time.Minute), platform.KindNoTenant, "Set")
			_, err = s.SetIfAbsent(p.ctx, t, "k", nil, time.Minute)
			p.kind(err, platform.KindNoTenant, "SetIfAbsent")
			p.kind(s.Delete(p.ctx, t, "k"), platform.KindNoTenant, "Delete")
			_, _, err = s.Increment(p.ctx, t, "k", 1, time.Minute)
			p.kind(err, platform.KindNoTenant, "Increment")
		}
	}},
}

func (p *probe) cached(s CacheStore, tenant platform.TenantID, key, want string) {
	got, ok, err := s.Get(p.ctx, tenant, key)
	if err != nil || !ok || string(got) != want {
		p.errorf("%s %q: got %q, %v, %v; want %q", tenant, key, got, ok, err, want)
	}
}

func (p *probe) notCached(s CacheStore, tenant platform.TenantID, key string) {
	if got, ok, err := s.Get(p.ctx, tenant, key); err != nil || ok {
		p.errorf("%s %q: got %q, %v; want nothing", tenant, key, got, err)
	}
}

// cancels checks that a call with a cancelled context said so.
func (p *probe) cancels(err error, what string) {
	if !errors.Is(err, context.Canceled) {
		p.errorf("%s with a cancelled context: got %v", what, err)
	}
}
