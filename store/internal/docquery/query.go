package docquery

import (
	"errors"
	"fmt"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// MaxLimit is the most documents that a page holds.
const MaxLimit = 1000

// Query is a [store.Query], prepared. It is not changed once it is made.
type Query struct {
	filter document.Filter
	sort   []document.SortField
	order  *document.Order
	limit  int
	// maxBytes bounds the data of a page; 0 does not.
	maxBytes int
	after    *Place // nil on the first page
	// afterKeys are those of the fields in after.
	afterKeys [][]byte
	mark      [markBytes]byte
}

// NewQuery prepares q. Errors: KindInvalid for a sort that is not valid,
// KindMalformed for a cursor that does not fit, and one without a kind for a
// limit that is not 1 to [MaxLimit] or a negative number of bytes.
func NewQuery(q store.Query) (*Query, error) {
	if q.Limit < 1 || q.Limit > MaxLimit {
		return nil, fmt.Errorf("documents: the limit of a page is 1 to %d", MaxLimit)
	}
	if q.MaxBytes < 0 {
		return nil, errors.New("documents: the bytes of a page cannot be negative")
	}
	sort := q.Sort
	for i, f := range sort {
		if f.Path == document.FieldID { // no two are equal, so the rest has no say
			sort = sort[:i+1]
			break
		}
	}
	order, err := document.NewOrder(sort)
	if err != nil {
		return nil, err
	}
	out := &Query{filter: q.Filter, sort: sort, order: order, limit: q.Limit, maxBytes: q.MaxBytes}
	out.mark = markOf(q.Filter, sort)
	if len(q.Cursor) > 0 {
		if out.after, err = parseCursor(q.Cursor, out.mark); err != nil {
			return nil, err
		}
		var ok bool
		if out.afterKeys, ok = order.Split(out.after.Key); !ok {
			return nil, errCursor()
		}
	}
	return out, nil
}

// NewCount prepares what [Finder.Count] needs.
func NewCount(filter document.Filter) *Query { return &Query{filter: filter} }

// full reports whether a page that holds n documents and size bytes of data has
// no room for one with more bytes.
func (q *Query) full(n, size, more int) bool {
	return n == q.limit || n > 0 && q.maxBytes > 0 && size+more > q.maxBytes
}

// Page makes the answer of what [Finder.Find] found.
func (q *Query) Page(found Found) store.Page {
	var p store.Page
	all := found.Records
	if found.More {
		last := &all[len(all)-1]
		p.Next = newCursor(Place{q.order.AppendKey(nil, last), last.ID}, q.mark)
	}
	p.Documents = make([]store.Document, len(all))
	for i := range all {
		p.Documents[i] = store.Document(all[i])
	}
	return p
}

// byID reports whether the order is that of ids alone.
func (q *Query) byID() bool { return len(q.sort) == 0 || q.sort[0].Path == document.FieldID }

// usesStoreFields reports whether filter or order ask about more of a record
// than its id and data.
func (q *Query) usesStoreFields() bool {
	if q.filter.UsesStoreFields() {
		return true
	}
	for _, f := range q.sort {
		switch f.Path {
		case document.FieldID, document.FieldVersion, document.FieldCreatedAt, document.FieldUpdatedAt:
			return true
		}
	}
	return false
}
