package analytics

import (
	"context"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Series counts events over time. Without a breakdown it returns one series;
// with one, those of the most frequent values first, then, where there are more
// values than the limit, that of the others.
//
// Errors: KindInvalid for a query that is not valid, and for one that would
// cost more than the configuration allows; those of [store.Relational].
func (s *Service) Series(ctx context.Context, p platform.Principal, q SeriesQuery) ([]Series, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, err
	}
	line, err := q.timeline()
	if err != nil {
		return nil, err
	}
	switch {
	case q.Breakdown != "":
		return s.countGroups(ctx, p.Tenant, &q, line)
	case q.Filter.IsZero():
		return s.countIndex(ctx, p.Tenant, &q, line)
	}
	var one Series
	err = s.each(ctx, p.Tenant, &q.Selection, false, func() {
		line.reset()
		one = Series{Points: line.points()}
	}, func(e *event) error {
		one.Points[line.seek(e.time)].N++
		one.Total++
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []Series{one}, nil
}

// countInterval is asked for each interval: a range of the index, counted where
// it lies. Reading its rows to count them takes several times as long.
const countInterval = `(SELECT count(*) FROM analytics_events
WHERE tenant = ? AND name = ? AND time >= ? AND time < ?)`

// countSome counts the events of the range up to a number.
const countSome = `SELECT count(*) FROM (SELECT 1 FROM analytics_events
WHERE tenant = ? AND name = ? AND time >= ? AND time < ? LIMIT ?) AS part`

// countTexts ask for so many intervals at once: over a network each statement is
// a round trip.
var countTexts = [...]struct {
	intervals int
	text      string
}{
	{32, countText(32)}, {1, countText(1)},
}

func countText(intervals int) string {
	return "SELECT " + countInterval + strings.Repeat(", "+countInterval, intervals-1)
}

func (s *Service) countIndex(ctx context.Context, tenant platform.TenantID, q *SeriesQuery, line *timeline) ([]Series, error) {
	var one Series
	err := s.read(ctx, tenant, func(ctx context.Context, tx store.Tx, budget *store.Budget) error {
		one = Series{Points: line.points()}
		if budget.Short() { // one that is none must not begin
			var n int64
			err := tx.QueryRow(ctx, countSome, string(tenant), q.Event, q.From.UnixMicro(), q.To.UnixMicro(), budget.TooMany()).Scan(&n)
			if err == nil {
				err = budget.Read(ctx, n)
			}
			if err != nil {
				return err
			}
		}
		from, rest, ends := q.From.UnixMicro(), one.Points, line.after
		for _, stmt := range countTexts {
			for ; len(rest) >= stmt.intervals; rest, ends = rest[stmt.intervals:], ends[stmt.intervals:] {
				var args, counts []any
				for i, to := range ends[:stmt.intervals] {
					args = append(args, string(tenant), q.Event, from, to)
					counts = append(counts, &rest[i].N)
					from = to
				}
				if err := tx.QueryRow(ctx, stmt.text, args...).Scan(counts...); err != nil {
					return err
				}
				before := one.Total
				for _, p := range rest[:stmt.intervals] {
					one.Total += p.N
				}
				if !budget.Short() {
					if err := budget.Read(ctx, one.Total-before); err != nil {
						return err
					}
				}
				if one.Total > int64(s.maxRows) {
					return s.tooManyRows()
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []Series{one}, nil
}

// cell is the events of one group in one interval.
type cell struct {
	interval int
	n        int64
}

// countGroups keeps only the cells that are not empty, because which groups are
// the frequent ones is known at the end.
func (s *Service) countGroups(ctx context.Context, tenant platform.TenantID, q *SeriesQuery, line *timeline) ([]Series, error) {
	prop, err := newProperty("/breakdown", q.Breakdown)
	if err != nil {
		return nil, err
	}
	var (
		values *groups
		cells  [][]cell // by group, in the order of time
		totals []int64
		held   int
	)
	err = s.each(ctx, tenant, &q.Selection, true, func() {
		line.reset()
		values, cells, totals, held = newGroups(prop), nil, nil, 0
	}, func(e *event) error {
		g, at := values.of(e.properties), line.seek(e.time)
		if g == len(cells) {
			cells, totals = append(cells, nil), append(totals, 0)
		}
		totals[g]++
		if last := len(cells[g]) - 1; last >= 0 && cells[g][last].interval == at {
			cells[g][last].n++
			return nil
		}
		if held++; held > s.maxGroups {
			return s.tooManyGroups()
		}
		cells[g] = append(cells[g], cell{at, 1})
		return nil
	})
	if err != nil {
		return nil, err
	}
	answer := newAnswer(line, values, values.top(totals, q.Limit))
	for g, list := range cells {
		series := answer.of(g)
		series.Total += totals[g]
		for _, c := range list {
			series.Points[c.interval].N += c.n
		}
	}
	return answer.series, nil
}

// answer is the series of the top groups and, behind them, that of the others.
type answer struct {
	series []Series
	place  []int // of each group, in series
}

func newAnswer(line *timeline, values *groups, top []int) *answer {
	a := &answer{series: make([]Series, 0, len(top)+1), place: make([]int, len(values.groups))}
	if len(top) < len(values.groups) {
		for g := range a.place {
			a.place[g] = len(top)
		}
	}
	for i, g := range top {
		a.place[g] = i
		a.series = append(a.series, Series{Group: values.groups[g], Points: line.points()})
	}
	if len(top) < len(values.groups) {
		a.series = append(a.series, Series{Group: Group{Other: true}, Points: line.points()})
	}
	return a
}

// of returns the series that the group counts in.
func (a *answer) of(group int) *Series { return &a.series[a.place[group]] }
