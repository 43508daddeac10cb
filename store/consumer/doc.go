// Package consumer runs a host's functions on events of the stream. A host writes
// a function for a type of event; the loop, the group, the decoding and the
// transaction are the package's.
//
//	c, err := consumer.New(consumer.Config{Name: "billing", DB: db, Events: events},
//		consumer.On("shop.order.placed", func(ctx context.Context, tx store.Tx, e platform.Event, o OrderPlaced) error {
//			_, err := tx.Exec(ctx, "INSERT INTO invoices …", tx.Tenant(), e.Subject, o.Amount)
//			return err
//		}))
//
// The consumer is a module: [platform.New] starts and stops it with the others. It
// comes after the store, the stream and whatever its functions use.
//
// # What a function may rely on
//
// It is called once for each event that commits, in order for each tenant and
// subject, in a transaction of the event's tenant that also remembers the event
// ([store.Tx].Once): what it writes there, emits and enqueues happens once, however
// often the stream delivers. Events of one tenant that come together share a
// transaction. Effects outside of it must bear repetition; better the function
// enqueues a job.
//
// # Failure
//
// An error or a panic undoes the transaction and gives the tenant's events to the
// stream again, which decides when they come and what becomes of one that never
// succeeds. Other tenants' events of the same batch go on. Data that is not of the
// function's type cannot succeed later either: such an event is logged as an error
// and passed over, or given to [Config].Reject.
//
// Data is decoded as [encoding/json] does: members that the type does not have are
// left out, since the source of an event may add some.
package consumer
