package document

import (
	"encoding/json"
	"regexp"
	"slices"
)

// The limits of a filter. They bound what one condition can cost; the time of
// a whole query is the context's.
const (
	MaxFilterBytes  = 64 << 10
	MaxFilterDepth  = 16
	MaxFilterNodes  = 200  // conditions, and combinations of them
	MaxFilterValues = 1000 // in the lists of $in, $nin and $all together
	MaxPattern      = 512  // bytes of a $regex
)

// Filter selects records. The zero value selects all. It is made by
// [ParseFilter], not changed afterwards, and may be used by many goroutines.
type Filter struct {
	root *node
	raw  json.RawMessage
}

// op is what a node of a filter asks.
type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opEq
	opGt
	opGte
	opLt
	opLte
	opIn
	opExists
	opType
	opSize
	opRegex
	opElemRecord // $elemMatch with conditions on the fields of an element
	opElemValue  // $elemMatch with conditions on the element itself
)

// node is a condition or a combination. Inside [opElemValue] a condition has
// no path and asks about the element.
type node struct {
	op     op
	path   path
	kids   []*node
	arg    operand
	args   []operand // of $in, in order
	regexp *regexp.Regexp
	kinds  [kindBool + 1]bool
	size   int
}

// IsZero reports whether f selects all because it asks nothing.
func (f Filter) IsZero() bool { return f.root == nil }

// String returns the filter as JSON without white space; two filters with the
// same text select the same.
func (f Filter) String() string {
	if f.root == nil {
		return "{}"
	}
	return string(f.raw)
}

// Match reports whether a record with that data and id meets the filter. Data
// must be valid JSON, such as [Normalize] returns. The other fields of the
// store ("@version" and the times) are missing.
func (f Filter) Match(data json.RawMessage, id string) bool {
	return f.MatchRecord(&Record{ID: id, Data: data})
}

// MatchRecord reports whether r meets the filter.
func (f Filter) MatchRecord(r *Record) bool {
	return f.root == nil || f.root.match(r, trim(r.Data))
}

// UsesStoreFields reports whether the filter asks about a field of the store,
// such as "@id", so that it cannot be decided by a record's data alone.
func (f Filter) UsesStoreFields() bool { return f.root != nil && f.root.usesStoreFields() }

// And returns a filter that selects what both of f and g select.
func (f Filter) And(g Filter) Filter {
	switch {
	case f.root == nil:
		return g
	case g.root == nil:
		return f
	}
	raw := make([]byte, 0, len(f.raw)+len(g.raw)+len(`{"$and":[,]}`))
	raw = append(append(append(raw, `{"$and":[`...), f.raw...), ',')
	raw = append(append(raw, g.raw...), `]}`...)
	return Filter{root: &node{op: opAnd, kids: []*node{f.root, g.root}}, raw: raw}
}

// Paths returns the fields that the filter asks about, each once, in its order.
// What $elemMatch asks of an element belongs to the field with the list.
func (f Filter) Paths() []string {
	if f.root == nil {
		return nil
	}
	return f.root.paths(nil)
}

func (n *node) paths(found []string) []string {
	switch n.op {
	case opAnd, opOr, opNot:
		for _, kid := range n.kids {
			found = kid.paths(found)
		}
		return found
	}
	if !slices.Contains(found, n.path.text) {
		found = append(found, n.path.text)
	}
	return found
}

func (n *node) usesStoreFields() bool {
	return n.path.system || slices.ContainsFunc(n.kids, (*node).usesStoreFields)
}
