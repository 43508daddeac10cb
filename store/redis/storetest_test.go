package redis_test

import (
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/storetest"
)

func TestCacheSuite(t *testing.T) {
	storetest.Cache(t, func(tb testing.TB) storetest.CacheStore {
		return storetest.CacheStore{Cache: open(tb).Cache(), Advance: time.Sleep}
	})
}

func TestPubSubSuite(t *testing.T) {
	storetest.PubSub(t, func(tb testing.TB) store.PubSub { return open(tb).PubSub() })
}

// A host may hand over the automatic pipeliner as its client.
func TestAutoPipelineSuite(t *testing.T) {
	o, err := goredis.ParseURL(server(t))
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled = true
	host := goredis.NewClient(o)
	t.Cleanup(func() { host.Close() })
	pipeliner, err := host.AutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipeliner.Close() })
	storetest.Cache(t, func(tb testing.TB) storetest.CacheStore {
		c := openWith(tb, redis.Config{Client: pipeliner, Prefix: newPrefix()})
		return storetest.CacheStore{Cache: c.Cache(), Advance: time.Sleep}
	})
}
