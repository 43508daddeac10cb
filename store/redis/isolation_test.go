package redis_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/redis"
)

// No pair of tenant and key is spelled as another one, and no prefix meets
// another one.
func TestNoNameMeetsAnother(t *testing.T) {
	url := server(t)
	prefix := newPrefix()
	prefixes := []string{prefix, prefix + "-a", prefix + ".a"}
	tenants := []platform.TenantID{"a", "ab", "a-b", "a_b", platform.NoTenant, platform.NoTenant + "a"}
	keys := []string{"", "b", "b:c", ":b", "a:b", "{a}", "*", "\x00", " ", prefix + ":a:b", "../a"}
	each := func(f func(c store.Cache, tenant platform.TenantID, key, id string)) {
		for _, p := range prefixes {
			c := openWith(t, redis.Config{URL: url, Prefix: p}).Cache()
			for _, tenant := range tenants {
				for _, key := range keys {
					f(c, tenant, key, fmt.Sprintf("%s/%s/%q", p, tenant, key))
				}
			}
		}
	}
	each(func(c store.Cache, tenant platform.TenantID, key, id string) { set(t, c, tenant, key, id) })
	each(func(c store.Cache, tenant platform.TenantID, key, id string) { want(t, c, tenant, key, id) })
}

// Ten thousand random operations of several tenants over the same few names:
// each sees what it did itself, and nothing else.
func TestTenantsAreApartAtRandom(t *testing.T) {
	const operations = 10_000
	seed := uint64(20261125)
	random := rand.New(rand.NewPCG(seed, 0))
	client := open(t)
	cache, pubSub := client.Cache(), client.PubSub()
	tenants := []platform.TenantID{"a", "a-b", "ab", "org_1", "org_12", platform.NoTenant}
	names := []string{"k", ":k", "b:k", "2:k", "{a}", "org_1:k"}
	type address struct {
		tenant platform.TenantID
		name   string
	}
	values := make(map[address]string)
	counts := make(map[address]int64)
	topics := make(map[address]store.Subscription)
	for _, tenant := range tenants {
		for _, name := range names {
			s, err := pubSub.Subscribe(t.Context(), tenant, name)
			if err != nil {
				t.Fatal(err)
			}
			topics[address{tenant, name}] = s
		}
	}
	// What is read must be the tenant's own, whatever the model says.
	mine := func(p address, b []byte) bool { return bytes.HasPrefix(b, []byte(string(p.tenant)+"/")) }
	leaks := 0
	for i := range operations {
		p := address{tenants[random.IntN(len(tenants))], names[random.IntN(len(names))]}
		value := fmt.Sprintf("%s/%s/%d", p.tenant, p.name, i)
		var err error
		switch random.IntN(7) {
		case 0:
			err = cache.Set(t.Context(), p.tenant, p.name, []byte(value), time.Hour)
			values[p] = value
		case 1, 2:
			var got []byte
			var ok bool
			got, ok, err = cache.Get(t.Context(), p.tenant, p.name)
			if ok && !mine(p, got) {
				leaks++
			}
			if string(got) != values[p] {
				t.Errorf("operation %d of seed %d: %v holds %q, want %q", i, seed, p, got, values[p])
			}
		case 3:
			var did bool
			did, err = cache.SetIfAbsent(t.Context(), p.tenant, p.name, []byte(value), time.Hour)
			if did != (values[p] == "") {
				t.Errorf("operation %d of seed %d: SetIfAbsent on %v said %v", i, seed, p, did)
			}
			if did {
				values[p] = value
			}
		case 4:
			err = cache.Delete(t.Context(), p.tenant, p.name, "n:"+p.name)
			delete(values, p)
			delete(counts, p)
		case 5:
			var n int64
			delta := random.Int64N(5)
			counts[p] += delta
			n, _, err = cache.Increment(t.Context(), p.tenant, "n:"+p.name, delta, time.Hour)
			if n != counts[p] {
				t.Errorf("operation %d of seed %d: %v counts %d, want %d", i, seed, p, n, counts[p])
			}
		case 6:
			err = pubSub.Publish(t.Context(), p.tenant, p.name, []byte(value))
			if m := <-topics[p].C(); !mine(p, m.Payload) {
				leaks++
			} else if string(m.Payload) != value {
				t.Errorf("operation %d of seed %d: %v got %q, want %q", i, seed, p, m.Payload, value)
			}
		}
		if err != nil {
			t.Fatalf("operation %d of seed %d: %v", i, seed, err)
		}
		if t.Failed() {
			break
		}
	}
	if leaks > 0 {
		t.Errorf("%d leaks with seed %d", leaks, seed)
	}
	// Nothing came that was not asked for.
	for p, s := range topics {
		select {
		case m := <-s.C():
			t.Errorf("%v also got %q", p, m.Payload)
		default:
		}
	}
}

func TestPrefixes(t *testing.T) {
	url := server(t)
	for _, prefix := range []string{"a:b", "{a}", "a b", "é", strings.Repeat("a", 65), "a\x00"} {
		if _, err := started(t.Context(), redis.Config{URL: url, Prefix: prefix}); err == nil {
			t.Errorf("the prefix %q is taken", prefix)
		}
	}
	// A platform hears nothing of one with another prefix.
	one, two := open(t).PubSub(), open(t).PubSub()
	s, err := one.Subscribe(t.Context(), acme, "topic")
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Publish(t.Context(), acme, "topic", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if err := one.Publish(t.Context(), acme, "topic", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if m := <-s.C(); string(m.Payload) != "mine" {
		t.Errorf("got %q", m.Payload)
	}
}
