package memory_test

import (
	"testing"
	"time"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/storetest"
)

func TestCacheSuite(t *testing.T) {
	storetest.Cache(t, func(testing.TB) storetest.CacheStore {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		return storetest.CacheStore{
			Cache:   memory.NewCache(64<<20, memory.WithNow(func() time.Time { return now })),
			Advance: func(d time.Duration) { now = now.Add(d) },
		}
	})
}

func TestPubSubSuite(t *testing.T) {
	storetest.PubSub(t, func(testing.TB) store.PubSub { return memory.NewPubSub() })
}
