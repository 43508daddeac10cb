package store

import (
	"context"
	"time"

	"github.com/acme/platform"
)

// Cache keeps small values for a while. It may lose any of them at any time.
// Keys are of one tenant, or of [platform.NoTenant] where no tenant owns them. A
// key names a value or a counter, never both.
type Cache interface {
	// Get returns a value and whether there is one. The caller may change it.
	Get(ctx context.Context, tenant platform.TenantID, key string) ([]byte, bool, error)

	// Set keeps value for ttl, which must be positive.
	Set(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) error

	// SetIfAbsent keeps value for ttl unless there is one, and reports
	// whether it did: a short lock, to be released with Delete or by time.
	SetIfAbsent(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (bool, error)

	// Delete forgets the keys.
	Delete(ctx context.Context, tenant platform.TenantID, keys ...string) error

	// Increment adds delta to a counter, which starts at 0 and ends ttl after
	// its first increment, and returns its value and the time left. A delta
	// of 0 reads it.
	Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error)
}

// PubSub carries messages to whoever listens at the moment, on topics of one
// tenant or of [platform.NoTenant]. A message may be
// lost: by a subscriber who is slow, away, or not yet there.
type PubSub interface {
	// Publish sends payload to the present subscribers of the topic.
	Publish(ctx context.Context, tenant platform.TenantID, topic string, payload []byte) error

	// Subscribe returns when the subscription is in place; messages published
	// after that reach it. It ends with its Close, or with ctx.
	Subscribe(ctx context.Context, tenant platform.TenantID, topic string) (Subscription, error)
}

// Subscription receives the messages of a topic, in the order in which each
// publisher sent them.
type Subscription interface {
	// C delivers messages and is closed when the subscription ends. What a
	// slow receiver leaves too long is dropped.
	C() <-chan Message
	// Close ends the subscription. It may be called twice.
	Close() error
}

// Message is what a [Subscription] delivers.
type Message struct {
	// Payload is what was published. It is nil in a message that only tells of
	// a gap: a connection that was lost and is there again.
	Payload []byte
	// Dropped is how many messages before this one were lost because the
	// receiver was slow; a connection that was lost and made again counts as
	// one, whatever was missed.
	Dropped int
}
