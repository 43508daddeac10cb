package store

import (
	"context"
	"math"

	"github.com/acme/platform"
)

// ShortReads is how many documents, index entries or rows a short query reads
// at most: some milliseconds of a core. It is enough for the largest page of a
// query that has a fitting index.
const ShortReads = 2048

// ErrTooCostly is the error, of KindInvalid, of a query that would read more
// than its [Budget].
var ErrTooCostly error = platform.Errorf(platform.KindInvalid, "query_too_costly",
	"the query reads more than it may: an index, or a narrower filter, bounds what is read")

// Budget is what one query may read. Nil, and the zero value, have no bound. It
// is for one query at a time and not safe for concurrent use.
type Budget struct {
	most, read int64
	pace       func(context.Context) error
}

// NewBudget returns a budget of that many documents, index entries or rows.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// Begin is called by a driver when a query begins to read, in its transaction,
// also where that is run again.
func (b *Budget) Begin(ctx context.Context) error {
	if b == nil {
		return nil
	}
	b.read = 0
	return b.Pause(ctx)
}

// paceEvery is how many reads go by between two looks at the time: about a
// quarter of a millisecond.
const paceEvery = 64

// Read is called by a driver for n more documents or index entries that it has
// read. It waits where it is another scan's turn. The error is [ErrTooCostly],
// or the context's.
func (b *Budget) Read(ctx context.Context, n int64) error {
	if b == nil {
		return nil
	}
	before := b.read
	b.read += n
	switch {
	case b.most > 0 && b.read > b.most:
		return ErrTooCostly
	case b.pace != nil && before/paceEvery != b.read/paceEvery:
		return b.pace(ctx)
	}
	return nil
}

// Pause is called by a driver between statements that read much without a call
// of Read. It waits as Read does.
func (b *Budget) Pause(ctx context.Context) error {
	if b == nil || b.pace == nil {
		return nil
	}
	return b.pace(ctx)
}

// Spent is what was read since Begin.
func (b *Budget) Spent() int64 {
	if b == nil {
		return 0
	}
	return b.read
}

// TooMany is how many more reads are sure to be too many, for a LIMIT.
func (b *Budget) TooMany() int64 {
	if b == nil || b.most == 0 {
		return math.MaxInt64
	}
	return max(b.most-b.read, 0) + 1
}

// Short reports whether the query is a short one, of [ShortReads] at most.
func (b *Budget) Short() bool { return b != nil && b.most > 0 && b.most <= ShortReads }

// Reading is how a transaction runs that reads within the budget: [ReadOnly]
// for a short query, and else [LongRead].
func (b *Budget) Reading(o *TxOptions) {
	if b.Short() {
		ReadOnly(o)
		return
	}
	LongRead(o)
}
