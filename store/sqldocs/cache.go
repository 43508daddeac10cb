package sqldocs

import (
	"sync"

	"github.com/acme/platform"
)

// maxCached bounds the cache; a definition is a few kilobytes.
const maxCached = 4096

// cache keeps parsed collections. An entry is used only where its revision is
// the one that the transaction has read. The zero value is ready.
type cache struct {
	mu      sync.RWMutex
	entries map[cacheKey]*collection
}

type cacheKey struct {
	tenant platform.TenantID
	name   string
}

func (c *cache) get(tenant platform.TenantID, name string, revision int64) *collection {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e := c.entries[cacheKey{tenant, name}]; e != nil && e.revision == revision {
		return e
	}
	return nil
}

func (c *cache) put(tenant platform.TenantID, full *collection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[cacheKey]*collection)
	}
	if len(c.entries) >= maxCached {
		for other := range c.entries { // any one: the order of a map is random
			delete(c.entries, other)
			break
		}
	}
	c.entries[cacheKey{tenant, full.name}] = full
}
