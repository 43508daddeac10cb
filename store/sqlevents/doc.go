// Package sqlevents is a durable event stream, a [store.Events], in two tables
// of any relational store: nothing else needs to run.
//
// # Order
//
// The stream has one order, that of the commits of the appends, so events of one
// tenant and subject are delivered as they were committed if they are published
// so, as package outbox does. SQLite has one writer; on PostgreSQL appends wait for
// one another, since a consumer that reads "what is after my offset" would pass
// over rows that commit late. A transaction that appends with
// [Events.PublishTx] should therefore end soon.
//
// # The relay
//
// A stream has a relay of its own (package outbox), which moves to it what
// transactions of the same store emit. On PostgreSQL the relays of many processes
// take turns.
//
// # Consumers
//
// Of the Consume calls of one group, in one or in many processes, one is active
// at a time: it holds a lease that it renews, and gives it back when it ends.
// The others stand by. A consumer that was cut off may still work on a batch
// when the next one begins; it can no longer move the group's offset.
//
// The offset is stored after a batch, at most 100 ms later, and it only ever
// covers events that the handler finished without a gap. What was finished
// but not stored when a process dies is delivered again, which consumers
// recognize by the event's id (store.Tx.Once).
//
// When a handler fails, the batch is delivered again after a pause, and smaller
// each time until a single event is alone: what precedes the one that fails gets
// done, and what follows waits, since it may be of the same subject. An event
// that can never succeed holds up its group, and no other, until the handler
// dead-letters it.
//
// # Retention
//
// Events are kept for a time, not for consumers: one that is further behind
// than the retention loses what was trimmed, as with Kafka. It is logged, and
// counted in [GroupStats].Lost.
//
// # Tenants
//
// A stream serves the platform and not a tenant: its readers cross tenants with
// the token "events.consume", because a batch holds many tenants' events by contract. Each
// event names its tenant, and a handler acts in a transaction of that tenant.
package sqlevents
