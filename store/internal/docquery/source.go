package docquery

import (
	"bytes"
	"cmp"
	"context"

	"github.com/acme/platform/store/document"
)

// Source reads the entries and records of one collection for one query. An
// index is named by its place in [Finder.Indexes]. It reads one state of the
// collection, or the caller sees to it that a changed one does no harm.
//
// A source takes from the query's budget what it reads: each row of Entries,
// Join and Scan, and what CountEntries counts of all.
type Source interface {
	// Entries returns up to n entries of an index, the first ones in the
	// direction of s.
	Entries(ctx context.Context, index int, s Span, n int) ([]Entry, error)
	// CountEntries counts the entries with a key in r, up to most; where most
	// is 0, all.
	CountEntries(ctx context.Context, index int, r document.Range, most int) (int64, error)
	// Join shows the records of the entries in s that meet the filter and have
	// the key, in the direction of s, until see wants no more. The key is valid until see
	// returns, and nil where s.Keyless.
	Join(ctx context.Context, index int, s Span, filter document.Filter, see SeeEntry) error
	// Fetch returns the record of each entry, nil where there is none. It need
	// not look whether the record has the key. Where there are several entries
	// and the data of their records is more than maxBytes it returns
	// [ErrTooMuch], and has not held much more than that.
	Fetch(ctx context.Context, entries []Entry, maxBytes int) ([]*document.Record, error)
	// Scan shows the records of the collection that meet the filter, until see
	// wants no more.
	Scan(ctx context.Context, s Scan, filter document.Filter, see See) error
	// Complete returns the records with the ids of the given ones, which a
	// Scan or Join has shown, in their order.
	Complete(ctx context.Context, shown []document.Record) ([]document.Record, error)
}

// See is shown a record, which is another one after the next call as its data
// is, and says whether it wants more.
type See func(*document.Record) (more bool, err error)

// SeeEntry is shown a record with the key of its entry.
type SeeEntry func(key []byte, r *document.Record) (more bool, err error)

// Span is a piece of an index: the entries after a place and before a key.
type Span struct {
	After    Place
	To       []byte
	Backward bool // from the end; After.ID is then empty
	Keyless  bool // the keys are not looked at
}

// Scan says in what order a collection is read.
type Scan struct {
	Order ScanOrder
	// After is the id to begin after; empty is the beginning. It is for the
	// orders of ids only.
	After string
	// DataOnly is set where the times and the version are not looked at;
	// Complete fills them.
	DataOnly bool
}

// ScanOrder is the order of a [Scan].
type ScanOrder uint8

// The orders.
const (
	AnyOrder ScanOrder = iota
	ByID               // upwards
	ByIDDown
)

// Index is an index as a query sees it.
type Index struct {
	Fields []document.SortField
	Keys   *document.Index
	// Arrays and Cut are the fields (bit i is field i) for which any record
	// ever had an array on the path, or a value too long for a key. Such
	// fields give no order, and weaker bounds.
	Arrays, Cut uint8
}

// Place is a position in an order: the key of the order, then the id.
type Place struct {
	Key []byte
	ID  string
}

// Compare orders places.
func (p Place) Compare(q Place) int {
	return cmp.Or(bytes.Compare(p.Key, q.Key), cmp.Compare(p.ID, q.ID))
}

// Entry is a row of an index.
type Entry struct {
	Place

	// Ref is what a source finds the record by, if it is not the id.
	Ref int64
}

// AfterAll is greater than every key.
var AfterAll = []byte{0xFF}

// From returns the first key of r, which is not nil.
func From(r document.Range) []byte {
	if r.From == nil {
		return []byte{}
	}
	return r.From
}

// To returns the key after those of r, [AfterAll] where it has no end.
func To(r document.Range) []byte {
	if r.To == nil {
		return AfterAll
	}
	return r.To
}

func spanOf(r document.Range, backward bool) Span {
	return Span{After: Place{Key: From(r)}, To: To(r), Backward: backward}
}
