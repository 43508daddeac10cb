package docquery

import "context"

// choose returns the plan for a query, nil where reading the documents
// themselves is best. There are no statistics; what they would be needed for
// is found out by counting a few keys.
func (f *Finder) choose(ctx context.Context) (*plan, error) {
	var sorted, bounded *plan
	for i := range f.Indexes {
		p := newPlan(&f.Indexes[i], i, f.Query.filter)
		p.serve(f.Query.sort)
		if p.sorted && better(p, sorted) {
			sorted = p
		}
		if (p.points > 0 || p.ranged) && better(p, bounded) {
			bounded = p
		}
	}
	byID := f.Query.byID()
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
	return len(p.x.Fields) < len(than.x.Fields)
}

// manyKeys is from how many on keys are better read in order, in the hope that
// a page is full soon.
const manyKeys = 2000

// few reports whether the ranges hold fewer than manyKeys keys.
func (f *Finder) few(ctx context.Context, p *plan) (bool, error) {
	left := manyKeys
	for _, r := range p.ranges {
		n, err := f.Source.CountEntries(ctx, p.place, r, left)
		if err != nil {
			return false, err
		}
		if left -= int(n); left <= 0 {
			return false, nil
		}
	}
	return true, nil
}
