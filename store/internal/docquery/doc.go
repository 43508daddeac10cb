// Package docquery answers the queries of store.Documents from index entries
// that are rows: it chooses an index, reads its entries in order, puts groups of
// equal keys in the order of ids, and continues after a cursor. What the rows
// are and how they are read is a [Source]'s.
//
// An entry is a key, made by document.Index, and the id of the record that has
// it. A record that holds an array in an indexed field has an entry for each
// element.
//
// What a query costs: with an index that fits filter and order, what the page
// holds; with an index that fits the filter, the records that meet the bounds;
// without, all records of the collection. Memory is bounded by the page, never
// by the collection.
package docquery
