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
