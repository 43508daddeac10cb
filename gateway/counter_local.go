package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/acme/platform"
)

// localCounterKeys bounds a generation of a localCounter.
const localCounterKeys = 50_000

// localCounter counts in this process. It stands in while the cache is away.
type localCounter struct {
	now func() time.Time

	mu      sync.Mutex
	windows generations[localKey, *window]
}

type localKey struct {
	tenant platform.TenantID
	key    string
}

type window struct {
	count int64
	ends  time.Time
}

func newLocalCounter(now func() time.Time) *localCounter {
	return &localCounter{now: now, windows: newGenerations[localKey, *window](localCounterKeys)}
}

// Increment has the contract of a store's cache.
func (l *localCounter) Increment(_ context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	now := l.now()
	k := localKey{tenant, key}
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.windows.get(k)
	if !ok || !now.Before(w.ends) {
		if delta == 0 {
			return 0, 0, nil
		}
		w = &window{ends: now.Add(ttl)}
		l.windows.put(k, w)
	}
	w.count += delta
	return w.count, w.ends.Sub(now), nil
}

// generations is a map that forgets what was not used for long: a full
// generation becomes the old one, and the old one goes. So it holds at most
// twice its size, and each operation costs the same. It is not safe for
// concurrent use.
type generations[K comparable, V any] struct {
	size     int
	new, old map[K]V
}

func newGenerations[K comparable, V any](size int) generations[K, V] {
	return generations[K, V]{size: size, new: make(map[K]V)}
}

func (g *generations[K, V]) get(k K) (V, bool) {
	v, ok := g.new[k]
	if !ok {
		if v, ok = g.old[k]; ok {
			g.put(k, v)
		}
	}
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	if len(g.new) >= g.size {
		g.old, g.new = g.new, make(map[K]V)
	}
	g.new[k] = v
}
