package docquery

import (
	"bytes"
	"slices"

	"github.com/acme/platform/store/document"
)

// plan is one way to answer a query with an index.
type plan struct {
	x *Index
	// place is that of x in the list of indexes.
	place int
	// ranges of keys that hold every record that can meet the filter, in
	// order and apart.
	ranges []document.Range
	// checks bound the fields that ranges do not, by the place of the field;
	// nil asks nothing. A key that fails one need not be fetched.
	checks [][]document.Range
	// points is how many fields are bounded to single values from the first
	// on, pinned how many to exactly one.
	points, pinned int
	// ranged is set where a field after the points is bounded.
	ranged bool
	// forks is after the last field that ranges bound to more than one
	// interval.
	forks int
	// sorted is set where the keys, read backward if backward is set, are in
	// the order of the query. Keys that agree in the first group fields are
	// one place in it.
	sorted, backward bool
	group            int
	pins             [][]byte // the keys of the pinned fields
}

// maxRanges bounds what a product of $in lists may come to.
const maxRanges = 200

func newPlan(x *Index, place int, filter document.Filter) *plan {
	p := &plan{x: x, place: place, checks: make([][]document.Range, len(x.Fields))}
	prefixes := [][]byte{{}}
	single, open := true, true
	for i, f := range x.Fields {
		bounds, ok := filter.Bounds(f.Path, x.Arrays&(1<<i) != 0)
		if !ok {
			open = false
			continue
		}
		if !open {
			if x.Arrays&(1<<i) == 0 {
				p.checks[i] = bounds
			}
			continue
		}
		down := bounds
		if f.Desc {
			down = make([]document.Range, len(bounds))
			for j, r := range bounds {
				down[len(bounds)-1-j] = r.Down()
			}
		}
		if len(bounds)*len(prefixes) > maxRanges {
			open = false
			if x.Arrays&(1<<i) == 0 {
				p.checks[i] = bounds
			}
			continue
		}
		if !allPoints(bounds) {
			p.ranged, open = true, false
			p.ranges = below(prefixes, down)
			if len(bounds) != 1 {
				p.forks = i + 1
			}
			continue
		}
		prefixes = extend(prefixes, bounds, f.Desc)
		p.points++
		if len(bounds) != 1 {
			p.forks = i + 1
		}
		if single = single && len(bounds) == 1; single {
			p.pinned++
			p.pins = append(p.pins, pointKey(bounds[0], f.Desc))
		}
	}
	if !p.ranged {
		p.ranges = below(prefixes, []document.Range{{}})
	}
	return p
}

func allPoints(ranges []document.Range) bool {
	return !slices.ContainsFunc(ranges, func(r document.Range) bool { return !r.Point() })
}

// pointKey is the key in the direction of an index of the one value in r.
func pointKey(r document.Range, desc bool) []byte {
	key := bytes.Clone(r.From)
	if desc {
		for i := range key {
			key[i] = ^key[i]
		}
	}
	return key
}

// extend puts each value behind each prefix; the result is in order.
func extend(prefixes [][]byte, points []document.Range, desc bool) [][]byte {
	values := make([][]byte, len(points))
	for i, r := range points {
		values[i] = pointKey(r, desc)
	}
	if desc {
		slices.Reverse(values)
	}
	out := make([][]byte, 0, len(prefixes)*len(values))
	for _, p := range prefixes {
		for _, v := range values {
			out = append(out, slices.Concat(p, v))
		}
	}
	return out
}

// below puts each range behind each prefix.
func below(prefixes [][]byte, ranges []document.Range) []document.Range {
	out := make([]document.Range, 0, len(prefixes)*len(ranges))
	for _, p := range prefixes {
		for _, r := range ranges {
			to := r.To
			if to == nil {
				to = document.Successor(p)
			} else {
				to = slices.Concat(p, to)
			}
			out = append(out, document.Range{From: slices.Concat(p, r.From), To: to})
		}
	}
	return out
}

// serve finds out whether the keys of the plan are in the order of sort.
func (p *plan) serve(sort []document.SortField) {
	unordered := p.x.Arrays | p.x.Cut
	next, group, directed := 0, 0, false
	for i, f := range p.x.Fields {
		switch {
		case i < p.pinned:
			if next < len(sort) && sort[next].Path == f.Path && p.x.Arrays&(1<<i) == 0 {
				next++
			}
			group = i + 1
			continue
		case next < len(sort) && sort[next].Path == f.Path && unordered&(1<<i) == 0:
			backward := sort[next].Desc != f.Desc
			if directed && backward != p.backward {
				return
			}
			p.backward, directed = backward, true
			next++
			group = i + 1
			continue
		}
		break // the first field that is in no way part of the order
	}
	if next < len(sort) {
		return
	}
	if !directed && group < len(p.x.Fields) {
		return // one place in the order is all there is
	}
	if p.forks > group {
		return // one place would be spread over several intervals
	}
	p.sorted, p.group = true, group
}

// exact reports whether keys and ids are in order as they stand.
func (p *plan) exact() bool { return !p.backward && p.group == len(p.x.Fields) }

// prefix returns the part of a key that is its place in the order.
func (p *plan) prefix(key []byte) []byte {
	rest := key
	for _, f := range p.x.Fields[:p.group] {
		_, rest = document.SplitKey(rest, f.Desc)
	}
	return key[:len(key)-len(rest)]
}

// prefixOf returns the prefix for the fields of a key of the query's order;
// nil where one of them is too long to be in the index.
func (p *plan) prefixOf(sort []document.SortField, fields [][]byte) []byte {
	var out []byte
	next := 0
	for i, f := range p.x.Fields[:p.group] {
		if i < p.pinned {
			out = append(out, p.pins[i]...)
			if next < len(sort) && sort[next].Path == f.Path && p.x.Arrays&(1<<i) == 0 {
				next++
			}
			continue
		}
		key := fields[next]
		if len(key) >= document.MaxKeyBytes {
			return nil
		}
		for _, b := range key {
			if p.backward {
				b = ^b
			}
			out = append(out, b)
		}
		next++
	}
	return out
}

// passes reports whether the checks let a key through.
func (p *plan) passes(key []byte) bool {
	for i, f := range p.x.Fields {
		var first []byte
		first, key = document.SplitKey(key, f.Desc)
		if p.checks[i] == nil {
			continue
		}
		if f.Desc {
			first = pointKey(document.Range{From: first}, true)
		}
		if !slices.ContainsFunc(p.checks[i], func(r document.Range) bool { return r.Contains(first) }) {
			return false
		}
	}
	return true
}

// checked reports whether passes looks at anything.
func (p *plan) checked() bool {
	return slices.ContainsFunc(p.checks, func(c []document.Range) bool { return c != nil })
}
