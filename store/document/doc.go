// Package document says what the records of store.Documents mean: the order of
// JSON values, paths into them, filters, sort orders, selections and merge
// patches. It knows no database; every driver takes its meaning from here, so
// that a query gives the same answer on each. The reference is MongoDB's
// behaviour for documents that hold JSON.
//
// # Values
//
// The order of values is missing and null (equal), numbers, strings, objects,
// arrays, false, true. JSON has none of MongoDB's other types: a date is the
// string or the number that was stored. Numbers compare by their exact decimal
// value, however they are written and however long they are: 1, 1.0 and 1e0
// are equal, 9007199254740993 is more than 9007199254740992, and 0.1 is one
// tenth. Strings compare by the bytes of their UTF-8 form. Objects compare
// member by member in the order in which they are written: by the type, the
// name and then the value; arrays element by element.
//
// # Paths
//
// A path is names joined by dots, "address.city", at most 256 bytes and 16
// names. A name that is a number also takes that element of an array,
// "items.0.price"; a path that meets an array otherwise goes on into each of
// its elements that is an object. What has a dot in its name, an empty name, or
// a name that begins with '$' cannot be addressed, only stored.
//
// Four paths belong to the store: "@id", "@version", "@created_at" and
// "@updated_at". Everything else is the record's own, "id" included. A
// member of a record that is called exactly like one of the four cannot be
// addressed.
//
// # Arrays
//
// A condition on a field that holds an array is met when the array as a whole
// meets it or any of its elements does. An order takes an array by its least
// element, a descending one by its greatest; each field of an order by itself.
// An empty array comes before null.
package document
