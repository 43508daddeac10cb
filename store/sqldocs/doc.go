// Package sqldocs keeps store.Documents in the tables of any store.Relational.
//
// A record is one row with its JSON as it was given. An index is rows too, in
// one table for all tenants and collections: (tenant, index, key, id), where
// the key is made by package document so that its order as bytes is the order
// of the values. Ten thousand tenants need no CREATE INDEX, and a filter, an
// order and a cursor all become a position in the same keys.
//
// A record that holds an array in an indexed field has a row for each element.
// The store remembers for each indexed field whether any record ever did: such
// a field is good for filters but gives no order. The same is remembered of
// values whose key is too long to be kept whole.
//
// What a query costs: with an index that fits filter and order, what the page
// holds; with an index that fits the filter, the records that meet the bounds;
// without, all records of the collection, as they lie in the table where at
// least half of the rows there are the collection's. Memory is bounded by the
// page, never by the collection.
//
// On PostgreSQL many write at once. Writers of a collection share it, and wait
// for each other where they change the same document; who changes or drops a
// collection has it alone, so a new index misses nothing and writers wait while it
// is made. It is made in one transaction, which the store's time limit bounds:
// where a collection has hundreds of thousands of records, that must be raised.
package sqldocs
