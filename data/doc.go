// Package data is a document API for the tenants of a product: named
// collections of JSON records, each with an optional JSON Schema and indexes;
// queries with filters, orders and cursors; optimistic concurrency by versions;
// import and export as NDJSON, JSON and CSV.
//
// It works over store.Documents alone, so that it means the same on every
// database, and from Go as well as over HTTP: [New] makes a [Service], whose
// methods take the principal and whose Routes a gateway serves.
//
// # Access
//
// Every method asks [Config.Access] before it touches anything: for the
// principal, a permission and a collection it answers a [Grant], a filter over
// the records with the fields that may be read and written. [Permissions] grants
// all records or none. An Access of the host's own gives, for example, every
// person their own records:
//
//	func (rules) Allow(ctx context.Context, p platform.Principal, permission, collection string) (data.Grant, error) {
//		mine, err := document.ParseFilter(json.RawMessage(`{"owner":` + strconv.Quote(p.Subject) + `}`))
//		return data.Grant{Filter: mine, Readable: []string{"title", "owner"}}, err
//	}
//
// The store evaluates the filter in lists, counts, queries and exports. A get or
// a change of a record outside of it answers 404, and a change that would bring
// a record outside is refused. Unique indexes and ids span all records: that a
// value or an id is taken can be seen, whose it is cannot.
//
// # Records
//
// A record's data is a JSON object that is kept as it was written, but for the
// white space: 10.0 stays 10.0, 1e3 stays 1e3, integers of any length stay
// whole, and members keep their order. It must be I-JSON (RFC 7493: valid
// UTF-8, no name twice in an object) without NUL in strings, at most 1 MiB and
// 64 levels deep, with names that are not empty and do not begin with '$', and
// with numbers of at most 512 characters and exponents within ±400.
//
// Versions count from 1. The ETag of a record is its version in quotes;
// If-Match on a change and If-None-Match on a read work as RFC 9110 says.
//
// # Schemas
//
// A schema is JSON Schema 2020-12 with formats asserted. It may refer only to
// places within itself, by references that begin with '#': nothing is ever
// fetched. Patterns are RE2's. A new schema holds for what is written from then
// on; stored records are checked only where the change asks for it. A validation
// that takes too many steps is refused, so that no schema can hold up others.
//
// # Events
//
// Each change commits with an event of the source "/data". These are the type,
// the subject, and the data:
//
//	data.record.created, .updated, .deleted        collection/id   {collection, id, version, import}
//	data.collection.created, .updated, .deleted    collection      {collection, version}
//
// Everything about one record has one subject and so one order. An import emits
// for each record what a single change would have emitted, with the import's id
// as the member import; elsewhere that is absent. A collection that is deleted
// takes its records with it without events of theirs.
package data
