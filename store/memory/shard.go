package memory

import (
	"bytes"
	"sync"
	"time"

	"github.com/acme/platform"
)

// entryOverhead estimates what an entry takes beside its key and value: the
// struct, its place in the map, and the allocator's rounding.
const entryOverhead = 192

// entryKey keeps tenants apart by its type: no separator that a key could
// contain.
type entryKey struct {
	tenant platform.TenantID
	key    string
}

// entry is a value or a counter, in a list from the latest used to the one
// that has waited longest.
type entry struct {
	id         entryKey
	value      []byte
	count      int64
	expires    time.Time
	prev, next *entry
}

func newEntry(id entryKey, value []byte, expires time.Time) *entry {
	return &entry{id: id, value: bytes.Clone(value), expires: expires}
}

func (e *entry) size() int64 {
	return int64(len(e.id.tenant)+len(e.id.key)+len(e.value)) + entryOverhead
}

// shard is one part of a cache with its own lock.
type shard struct {
	room int64 // bytes it may hold

	mu      sync.Mutex
	used    int64
	entries map[entryKey]*entry
	ring    entry // sentinel: next is the latest used, prev the next to go
}

func newShards(n, bytes int64) []shard {
	shards := make([]shard, n)
	for i := range shards {
		s := &shards[i]
		s.room = bytes / n
		s.entries = make(map[entryKey]*entry)
		s.ring.next, s.ring.prev = &s.ring, &s.ring
	}
	return shards
}

// live returns the entry if it has not expired, and marks it as used.
func (s *shard) live(id entryKey, now time.Time) *entry {
	e := s.entries[id]
	if e == nil {
		return nil
	}
	if !now.Before(e.expires) {
		s.remove(e)
		return nil
	}
	if s.ring.next != e {
		s.unlink(e)
		s.pushFront(e)
	}
	return e
}

// put replaces what has the same key and makes room. It reports whether the
// entry fits at all.
func (s *shard) put(e *entry) bool {
	if old := s.entries[e.id]; old != nil {
		s.remove(old)
	}
	size := e.size()
	if size > s.room {
		return false
	}
	for s.used+size > s.room {
		s.remove(s.ring.prev)
	}
	s.entries[e.id] = e
	s.used += size
	s.pushFront(e)
	return true
}

func (s *shard) delete(id entryKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[id]; e != nil {
		s.remove(e)
	}
}

func (s *shard) remove(e *entry) {
	delete(s.entries, e.id)
	s.used -= e.size()
	s.unlink(e)
}

func (s *shard) unlink(e *entry) {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (s *shard) pushFront(e *entry) {
	e.prev, e.next = &s.ring, s.ring.next
	e.prev.next, e.next.prev = e, e
}
