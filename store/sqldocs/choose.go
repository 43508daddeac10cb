package sqldocs

import (
	"context"
	"fmt"

	"github.com/acme/platform/store/document"
)

// choose returns the plan for a query, nil where reading the documents
// themselves is best. There are no statistics; what they would be needed for
// is found out by counting a few keys.
func (f *finder) choose(ctx context.Context) (*plan, error) {
	var sorted, bounded *plan
	for _, x := range f.c.indexes {
		p := newPlan(x, f.query.filter)
		p.serve(f.query.sort)
		if p.sorted && better(p, sorted) {
			sorted = p
		}
		if (p.points > 0 || p.ranged) && better(p, bounded) {
			bounded = p
		}
	}
	byID := len(f.query.sort) == 0 || f.query.sort[0].Path == document.FieldID
	switch {
	case bounded == nil:
		if byID {
			return nil, nil
		}
		return sorted, nil
	case sorted == nil && !byID:
		return bounded, nil
	case sorted != nil && sorted.points >= bounded.points && (sorted.points > 0 || sorted.ranged):
		return sorted, nil
	}
	// One way is in order, the other has narrower bounds.
	few, err := f.few(ctx, bounded)
	if err != nil || few {
		return bounded, err
	}
	return sorted, nil
}

// better prefers more single values, then a range, then fewer fields.
func better(p, than *plan) bool {
	switch {
	case than == nil:
		return true
	case p.points != than.points:
		return p.points > than.points
	case p.ranged != than.ranged:
		return p.ranged
	}
	return len(p.x.fields) < len(than.x.fields)
}

// manyKeys is from how many on keys are better read in order, in the hope that
// a page is full soon.
const manyKeys = 2000

// few reports whether the ranges hold fewer than manyKeys keys.
func (f *finder) few(ctx context.Context, p *plan) (bool, error) {
	left := manyKeys
	for _, r := range p.ranges {
		var n int
		err := f.tx.QueryRow(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM document_index
			WHERE tenant = ? AND number = ? AND sort_key >= ? AND sort_key < ? LIMIT ?) AS some`,
			string(f.tenant), p.x.Number, from(r), to(r), left).Scan(&n)
		if err != nil {
			return false, fmt.Errorf("sqldocs: count keys: %w", err)
		}
		if left -= n; left <= 0 {
			return false, nil
		}
	}
	return true, nil
}

// afterAll is greater than every key.
var afterAll = []byte{0xFF}

// from and to are the ends of a range as parameters.
func from(r document.Range) []byte {
	if r.From == nil {
		return []byte{}
	}
	return r.From
}

func to(r document.Range) []byte {
	if r.To == nil {
		return afterAll
	}
	return r.To
}
