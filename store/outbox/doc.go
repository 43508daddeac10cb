// Package outbox publishes what transactions emitted: the relay of the
// transactional outbox (https://microservices.io/patterns/data/transactional-outbox.html).
//
// [store.Tx].Emit writes an event into a table in the transaction that changes
// the state, so that there is never one without the other. A [Relay] moves the
// rows to a [store.Events] and deletes them once they are durable there. A crash
// between the two publishes them again, up to 16 batches or a second's worth:
// delivery is at least once, and consumers tell duplicates by the event's id.
//
// An event that no stream will ever take becomes a dead letter: a row of the table
// outbox_dead, with the cause. The events behind it go on.
//
// The relay also trims, by age, dead letters and the inbox, in which
// consumers remember the events that they have had.
//
// # Order
//
// Events leave in the order of the table's sequence. On SQLite, with its one
// writer, that is the order of the commits. PostgreSQL numbers rows before they
// commit; the relay takes what it sees, from the front, and deletes exactly that,
// so a row that commits late is moved late but never passed over, as it would be
// by a cursor. Writers of one tenant and subject must then wait for each other (a
// row lock, a version) before they commit for their order to mean anything; events
// get their numbers on the way to the commit.
//
// # Many processes
//
// On PostgreSQL each process may have a relay: they take turns, and one whose
// process or connection ends loses its turn with it. To a stream that is not in the
// store a turn is several batches in one transaction: the stream takes one while the
// database finds the next. The rows are locked until the stream has them, for a
// second and PublishTimeout at most. On SQLite there is one process, and it has one
// relay.
//
// # Tenants
//
// The outbox holds rows of all tenants in one order, and the relay acts for none
// of them: it crosses tenants with the token "outbox.relay". It looks at no content.
package outbox
