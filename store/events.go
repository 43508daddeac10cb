package store

import (
	"context"

	"github.com/acme/platform"
)

// Events is the durable stream. Services do not publish to it: they emit with
// [Tx.Emit] or with the changes of [Documents], and a relay publishes.
type Events interface {
	// Publish appends the events, in order, and returns when they are
	// durable. A caller that got an error publishes again: consumers tell
	// duplicates by the event's id.
	Publish(ctx context.Context, events ...platform.Event) error

	// Consume hands the events of all tenants to h, for a group of consumers
	// of which each event reaches one: at least once, in order per tenant and
	// subject, from the oldest event that the group has not finished; a new
	// group begins with the oldest that is kept. It blocks until ctx is done,
	// then returns nil, or until the stream fails for good. A call of Consume
	// calls h by one goroutine at a time, unless its driver was told otherwise.
	Consume(ctx context.Context, group string, h EventHandler) error
}

// EventHandler works on a batch of events, of one or more tenants. A nil
// return finishes the whole batch; an error has it delivered again, after a
// pause that grows. An event that can never succeed is the handler's to dead-letter.
// The failure of a dependency keeps its kind, such as platform.KindUnavailable: a
// driver that dead-letters events after many failures does not count those.
type EventHandler func(ctx context.Context, batch []platform.Event) error
