package redis_test

import (
	"testing"
	"time"

	"github.com/acme/platform/store"
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
