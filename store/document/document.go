// Package document says what the records of store.Documents mean: the order of
// JSON values, paths into them, filters, sort orders, selections and merge
// patches. It knows no database. Every driver takes its meaning from here.
package document
