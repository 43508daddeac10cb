package document

import (
	"bytes"
	"regexp/syntax"
	"slices"
)

// Range is an interval of the keys that [AppendKey] makes upwards of one
// value: From ≤ key < To. A nil To is no end.
type Range struct {
	From, To []byte
}

// Contains reports whether the key of a value lies in r.
func (r Range) Contains(key []byte) bool {
	return bytes.Compare(r.From, key) <= 0 && (r.To == nil || bytes.Compare(key, r.To) < 0)
}

// Point reports whether r holds the keys of one value only.
func (r Range) Point() bool {
	first, rest := SplitKey(r.From, false)
	return first != nil && len(rest) == 0 && r.To != nil && bytes.Equal(r.To, Successor(r.From))
}

// Down returns the interval for keys made downwards.
func (r Range) Down() Range {
	var d Range
	if r.To != nil {
		to := slices.Clone(r.To)
		complement(to)
		d.From = Successor(to)
	}
	if len(r.From) > 0 {
		from := slices.Clone(r.From)
		complement(from)
		d.To = Successor(from)
	}
	return d
}

// Successor returns the least byte string that is greater than every one that
// begins with prefix, nil where there is none.
func Successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			s := slices.Clone(prefix[:i+1])
			s[i]++
			return s
		}
	}
	return nil
}

// Bounds returns the intervals, in order and apart, in which a record that
// meets the filter has at least one key in an index over path; ok is false
// where the filter does not bound the field. An empty list with ok means that
// nothing can meet it.
//
// The caller says with arrays whether records may meet an array on the path
// ([Entries.Arrays]). Bounds are necessary, not sufficient: what they let
// through is still to be matched, unless [Filter.Covered].
func (f Filter) Bounds(path string, arrays bool) (ranges []Range, ok bool) {
	if f.root == nil {
		return nil, false
	}
	return f.root.bounds(path, arrays)
}

// Covered reports whether the bounds of the paths for which has is true say
// all that the filter asks, so that a record whose keys lie in them meets it.
// It holds for fields without arrays and without cut keys only.
func (f Filter) Covered(has func(path string) bool) bool {
	return f.root == nil || f.root.covered(has)
}

func (n *node) covered(has func(string) bool) bool {
	switch n.op {
	case opAnd:
		for _, kid := range n.kids {
			if !kid.covered(has) {
				return false
			}
		}
		return true
	case opEq, opGt, opGte, opLt, opLte:
		return has(n.path.text) && !n.arg.cut()
	case opIn:
		return has(n.path.text)
	}
	return false
}

// cut reports whether the operand's key is too long to keep its order.
func (o *operand) cut() bool { return len(appendKey(nil, o.raw, false)) == MaxKeyBytes }

func (n *node) bounds(path string, arrays bool) ([]Range, bool) {
	switch n.op {
	case opAnd:
		return n.boundsOfAll(path, arrays)
	case opOr:
		return n.boundsOfAny(path, arrays)
	case opElemRecord:
		inner, ok := cutPath(path, n.path.text)
		if !ok {
			return nil, false
		}
		return n.kids[0].bounds(inner, true)
	}
	if n.path.text != path {
		return nil, false
	}
	switch n.op {
	case opEq:
		return pointsOf([]operand{n.arg}, arrays)
	case opIn:
		return pointsOf(n.args, arrays)
	case opGt, opGte, opLt, opLte:
		return n.comparisonRange(arrays)
	case opType:
		return n.typeRanges(arrays)
	case opRegex:
		return []Range{n.regexpRange()}, true
	case opElemValue:
		// One element meets all of it, and each element has its own key.
		return n.kids[0].bounds("", false)
	}
	return nil, false
}

// cutPath takes the path of a $elemMatch off the path of an index. A name that
// is a number is not followed: it may be a place in an array of arrays.
func cutPath(path, outer string) (string, bool) {
	if len(path) <= len(outer)+1 || path[:len(outer)] != outer || path[len(outer)] != '.' {
		return "", false
	}
	inner := path[len(outer)+1:]
	if p, bad := parsePath(inner); bad != "" || p.system || p.names[0].index >= 0 {
		return "", false
	}
	return inner, true
}

// boundsOfAll intersects. Where a record may have several values, each
// condition may be met by another of them, and only one of the conditions can
// be used.
func (n *node) boundsOfAll(path string, arrays bool) ([]Range, bool) {
	var all []Range
	found := false
	for _, kid := range n.kids {
		ranges, ok := kid.bounds(path, arrays)
		switch {
		case !ok:
		case !found:
			all, found = ranges, true
		case !arrays:
			all = intersect(all, ranges)
		case cost(ranges) < cost(all):
			all = ranges
		}
	}
	return all, found
}

// cost guesses which of two bounds lets less through: points, then intervals
// with one end inside a type, then whole types.
func cost(ranges []Range) int {
	c := 0
	for _, r := range ranges {
		switch {
		case r.Point():
			c++
		case len(r.From) > 1 && len(r.To) > 1:
			c += 10_000
		case len(r.From) > 1 || len(r.To) > 1:
			c += 20_000
		default:
			c += 100_000
		}
	}
	return c
}

func (n *node) boundsOfAny(path string, arrays bool) ([]Range, bool) {
	var all []Range
	for _, kid := range n.kids {
		ranges, ok := kid.bounds(path, arrays)
		if !ok {
			return nil, false
		}
		all = append(all, ranges...)
	}
	return union(all), true
}

func pointsOf(args []operand, arrays bool) ([]Range, bool) {
	ranges := make([]Range, 0, len(args))
	for i := range args {
		if args[i].kind == kindArray && arrays {
			return nil, false // arrays as a whole have no keys
		}
		key := appendKey(nil, args[i].raw, false)
		ranges = append(ranges, Range{key, Successor(key)})
	}
	return union(ranges), true
}

// typeRange is the interval of all values of a type.
func typeRange(k kind) Range {
	switch k {
	case kindNumber:
		return Range{[]byte{tagNegative}, []byte{tagPositive + 1}}
	case kindString:
		return Range{[]byte{tagString}, []byte{tagString + 1}}
	case kindObject:
		return Range{[]byte{tagObject}, []byte{tagObject + 1}}
	case kindArray:
		return Range{[]byte{tagArray}, []byte{tagArray + 1}}
	case kindBool:
		return Range{[]byte{tagFalse}, []byte{tagTrue + 1}}
	}
	return Range{[]byte{tagNull}, []byte{tagNull + 1}}
}

func (n *node) comparisonRange(arrays bool) ([]Range, bool) {
	if n.arg.kind == kindArray && arrays {
		return nil, false
	}
	from := appendKey(nil, n.arg.raw, false)
	after := Successor(from)
	open := n.op == opGt || n.op == opLt
	if len(from) == MaxKeyBytes { // keys that begin alike are in no order
		from = from[:keyPrefix]
		after = Successor(from)
		open = false
	}
	r := typeRange(n.arg.kind)
	switch up := n.op == opGt || n.op == opGte; {
	case up && open:
		r.From = after
	case up:
		r.From = from
	case open:
		r.To = from
	default:
		r.To = after
	}
	return union([]Range{r}), true
}

func (n *node) typeRanges(arrays bool) ([]Range, bool) {
	if n.kinds[kindArray] && arrays {
		return nil, false
	}
	var ranges []Range
	for k, asked := range n.kinds {
		if asked {
			ranges = append(ranges, typeRange(kind(k)))
		}
	}
	return union(ranges), true
}

// regexpRange takes the literal with which every match begins.
func (n *node) regexpRange() Range {
	all := typeRange(kindString)
	re, err := syntax.Parse(n.regexp.String(), syntax.Perl)
	if err != nil {
		return all
	}
	re = re.Simplify()
	if re.Op != syntax.OpConcat || len(re.Sub) < 2 || re.Sub[0].Op != syntax.OpBeginText ||
		re.Sub[1].Op != syntax.OpLiteral || re.Sub[1].Flags&syntax.FoldCase != 0 {
		return all
	}
	key := appendText([]byte{tagString}, []byte(string(re.Sub[1].Rune)))
	key = key[:len(key)-2] // without the end: what begins with it
	if len(key) > keyPrefix {
		key = key[:keyPrefix]
	}
	return Range{key, Successor(key)}
}

// union puts ranges in order, joins those that touch and drops empty ones.
func union(ranges []Range) []Range {
	ranges = slices.DeleteFunc(ranges, func(r Range) bool {
		return r.To != nil && bytes.Compare(r.From, r.To) >= 0
	})
	slices.SortFunc(ranges, func(a, b Range) int { return bytes.Compare(a.From, b.From) })
	joined := ranges[:0]
	for _, r := range ranges {
		last := len(joined) - 1
		if last >= 0 && (joined[last].To == nil || bytes.Compare(r.From, joined[last].To) < 0) {
			if joined[last].To != nil && (r.To == nil || bytes.Compare(r.To, joined[last].To) > 0) {
				joined[last].To = r.To
			}
			continue
		}
		joined = append(joined, r)
	}
	if joined == nil {
		return []Range{}
	}
	return joined
}

func intersect(a, b []Range) []Range {
	both := []Range{}
	for _, x := range a {
		for _, y := range b {
			r := x
			if bytes.Compare(y.From, r.From) > 0 {
				r.From = y.From
			}
			if r.To == nil || y.To != nil && bytes.Compare(y.To, r.To) < 0 {
				r.To = y.To
			}
			both = append(both, r)
		}
	}
	return union(both)
}
