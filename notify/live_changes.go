package notify

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// Changes that are committed and not yet published are collected by tenant. A
// commit must not wait for a PubSub, so what cannot be kept is given up: a
// stream that is not woken now is woken by the next change.
const (
	maxChangedUsers   = 1000   // of one tenant; more are all of them
	maxChangedTenants = 10_000 // further ones are given up
	publishTimeout    = 2 * time.Second
)

// changes are the users whose inboxes have changed since they were last
// published.
type changes struct {
	signal  background.Signal
	mu      sync.Mutex
	tenants map[platform.TenantID]map[string]struct{} // nil users are all
}

func newChanges() *changes {
	return &changes{signal: background.NewSignal(), tenants: make(map[platform.TenantID]map[string]struct{})}
}

// add notes changed inboxes. It does not block.
func (c *changes) add(tenant platform.TenantID, users ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.tenants[tenant]
	switch {
	case ok && known == nil:
		return
	case !ok && len(c.tenants) >= maxChangedTenants:
		return
	case len(known)+len(users) > maxChangedUsers:
		c.tenants[tenant] = nil
	default:
		if known == nil {
			known = make(map[string]struct{}, len(users))
			c.tenants[tenant] = known
		}
		for _, u := range users {
			known[u] = struct{}{}
		}
	}
	c.signal.Set()
}

// take returns what was noted, and begins again.
func (c *changes) take() map[platform.TenantID]map[string]struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.tenants
	c.tenants = make(map[platform.TenantID]map[string]struct{})
	return taken
}

// publish tells all processes of changes until ctx is done. Those that come
// while it publishes go together.
func (l *live) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.outbox.signal:
		}
		for tenant, users := range l.outbox.take() {
			if err := l.tell(ctx, tenant, users); err != nil && ctx.Err() == nil {
				l.log.WarnContext(ctx, "a change of inboxes is not published",
					slog.String("tenant", string(tenant)), slog.Any("error", err))
			}
		}
	}
}

func (l *live) tell(ctx context.Context, tenant platform.TenantID, users map[string]struct{}) error {
	payload, err := json.Marshal(liveMessage{Users: slices.Sorted(maps.Keys(users))})
	if err != nil { // strings always marshal
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	return l.pubsub.Publish(ctx, tenant, liveTopic, payload)
}
