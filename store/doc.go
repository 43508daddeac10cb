// Package store holds the five ports through which the services keep and move
// data, named after what a picture of such a system calls them:
//
//   - [Relational]: tables and transactions (accounts, access, audit, deliveries, the outbox)
//   - [Documents]: the tenants' own records
//   - [Cache]: answers, counters and short locks that may be lost
//   - [PubSub]: live messages to whoever listens now
//   - [Events]: the durable stream, in order per key, for consumer groups
//
// A driver implements one port over one technology and proves itself with a
// suite of package storetest. Drivers are dumb: validation, access and hashing
// live in the services.
//
// # The contract of every port
//
// Tenancy: the tenant is an argument, right after the context, of every method
// that touches a tenant's data; a method called with a tenant that is not
// valid ([platform.TenantID.Validate]) does nothing and returns the error. The
// context never decides which tenant it is.
//
// Crossing tenants: a [Relational] store has a second kind of transaction, for
// rows of no tenant or of many. Three things keep it rare and seen. It has a type
// of its own, [CrossTx], that passes for no [Tx]. It needs a token, a [Crossing],
// which the store hands out when the platform is assembled, with a name and a
// reason; [Crossings.List] is then who can cross. And a module that takes a
// [TenantDB] has no way to begin one. docs/crossings.md lists the crossings of
// this module.
//
//	type Invoices struct {
//		db    store.Relational // store.TenantDB, if it never crosses
//		close store.Crossing
//	}
//
//	func New(db store.Relational) *Invoices {
//		return &Invoices{db: db, close: db.Crossings().Grant("invoices.close", "closes the month of every tenant")}
//	}
//
//	func (s *Invoices) CloseMonth(ctx context.Context) error {
//		return s.db.AcrossTenants(ctx, s.close, func(ctx context.Context, tx store.CrossTx) error { … })
//	}
//
// Errors: what a caller may act on is a [*platform.Error] of the kind that the
// method names. Everything else is a fault of the store.
//
// Context: a method whose context is done before its effect began returns an
// error that wraps the context's and has no effect. Once a commit has begun it
// is carried through, so that the answer is never unknown for that reason.
//
// Time: stores keep times in UTC to the microsecond.
//
// Concurrency: every method may be called by many goroutines at once.
package store
