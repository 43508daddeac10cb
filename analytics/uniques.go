package analytics

import (
	"context"

	"github.com/acme/platform"
)

// Uniques counts the users of the events over time: each user once in each
// interval, and once in the total. Events of nobody are left out. With a
// breakdown, the series are ordered by their totals, and a user may be in
// several.
//
// The errors are those of [Service.Series].
func (s *Service) Uniques(ctx context.Context, p platform.Principal, q SeriesQuery) ([]Series, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, err
	}
	line, err := q.timeline()
	if err != nil {
		return nil, err
	}
	if q.Breakdown != "" {
		return s.uniquesByGroup(ctx, p.Tenant, &q, line)
	}
	var (
		users *users
		one   Series
	)
	err = s.each(ctx, p.Tenant, &q.Selection, false, func() {
		line.reset()
		users, one = newUsers(), Series{Points: line.points()}
	}, func(e *event) error {
		if len(e.user) == 0 {
			return nil
		}
		at, user := line.seek(e.time), users.of(e.user)
		first, again := users.visit(user, at)
		if again {
			return nil
		}
		one.Points[at].N++
		if first {
			if one.Total++; one.Total > int64(s.maxGroups) {
				return s.tooManyGroups()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []Series{one}, nil
}

// users numbers users in the order in which they come, and remembers the
// interval in which each was seen last. As time only moves on, that is enough
// to count them once in each.
type users struct {
	ids  map[string]int
	last []int // by user; -1 is never
}

func newUsers() *users { return &users{ids: make(map[string]int)} }

func (u *users) of(name []byte) int {
	if id, ok := u.ids[string(name)]; ok {
		return id
	}
	id := len(u.last)
	u.ids[string(name)] = id
	u.last = append(u.last, -1)
	return id
}

// visit notes the user in an interval, and reports whether it is the first time
// at all and whether it is one more time in this interval.
func (u *users) visit(user, interval int) (first, again bool) {
	before := u.last[user]
	u.last[user] = interval
	return before < 0, before == interval
}

// sighting is a user's first event in a group and an interval.
type sighting struct {
	group, user, interval int32
	first                 bool // in the group at all
}

// uniquesByGroup keeps the sightings, because which groups are the big ones is
// known at the end, and the others must be counted as one: a user of two of
// them once.
func (s *Service) uniquesByGroup(ctx context.Context, tenant platform.TenantID, q *SeriesQuery, line *timeline) ([]Series, error) {
	prop, err := newProperty("/breakdown", q.Breakdown)
	if err != nil {
		return nil, err
	}
	type pair struct{ group, user int32 }
	var (
		values    *groups
		everybody *users
		last      map[pair]int32 // the interval of the last sighting
		sightings []sighting
		totals    []int64
	)
	err = s.each(ctx, tenant, &q.Selection, true, func() {
		line.reset()
		values, everybody, last = newGroups(prop), newUsers(), make(map[pair]int32)
		sightings, totals = nil, nil
	}, func(e *event) error {
		if len(e.user) == 0 {
			return nil
		}
		p := pair{int32(values.of(e.properties)), int32(everybody.of(e.user))}
		if int(p.group) == len(totals) {
			totals = append(totals, 0)
		}
		at := int32(line.seek(e.time))
		before, known := last[p]
		if known && before == at {
			return nil
		}
		if len(sightings) == s.maxGroups {
			return s.tooManyGroups()
		}
		last[p] = at
		sightings = append(sightings, sighting{p.group, p.user, at, !known})
		if !known {
			totals[p.group]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	answer := newAnswer(line, values, values.top(totals, q.Limit))
	for _, v := range sightings {
		series, first := answer.of(int(v.group)), v.first
		if series.Other {
			var again bool
			if first, again = everybody.visit(int(v.user), int(v.interval)); again {
				continue
			}
		}
		series.Points[v.interval].N++
		if first {
			series.Total++
		}
	}
	return answer.series, nil
}
