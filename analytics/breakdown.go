package analytics

import (
	"context"

	"github.com/acme/platform"
)

// BreakdownQuery asks how often each value of a property came.
type BreakdownQuery struct {
	Selection
	// Property is its path. It must be set.
	Property string
	// Limit is how many values are listed, 1 to 100. Zero is 10.
	Limit int
}

// Breakdown is the answer to a [BreakdownQuery].
type Breakdown struct {
	// Rows are the most frequent values, the most frequent first.
	Rows []BreakdownRow
	// Other is the number of events with a value beyond the limit.
	Other int64
}

// BreakdownRow is one value of the property.
type BreakdownRow struct {
	Group
	Count int64
}

// Breakdown counts events by the values of a property.
//
// The errors are those of [Service.Series].
func (s *Service) Breakdown(ctx context.Context, p platform.Principal, q BreakdownQuery) (Breakdown, error) {
	if err := p.RequireTenant(); err != nil {
		return Breakdown{}, err
	}
	if err := q.check(); err != nil {
		return Breakdown{}, err
	}
	if err := checkTop(&q.Limit); err != nil {
		return Breakdown{}, err
	}
	prop, err := newProperty("/property", q.Property)
	if err != nil {
		return Breakdown{}, err
	}
	var (
		values *groups
		counts []int64
		total  int64
	)
	err = s.each(ctx, p.Tenant, &q.Selection, true, func() {
		values, counts, total = newGroups(prop), nil, 0
	}, func(e *event) error {
		g := values.of(e.properties)
		if g == len(counts) {
			if g == s.maxGroups {
				return s.tooManyGroups()
			}
			counts = append(counts, 0)
		}
		counts[g]++
		total++
		return nil
	})
	if err != nil {
		return Breakdown{}, err
	}
	answer := Breakdown{Rows: []BreakdownRow{}, Other: total}
	for _, g := range values.top(counts, q.Limit) {
		answer.Rows = append(answer.Rows, BreakdownRow{values.groups[g], counts[g]})
		answer.Other -= counts[g]
	}
	return answer, nil
}
