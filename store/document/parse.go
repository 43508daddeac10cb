package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
)

// ParseFilter reads a filter in MongoDB's style:
//
//	{"year": 1998, "rating": {"$gte": 6.5}, "tags": {"$in": ["a", "b"]}}
//	{"$or": [{"director": null}, {"cast": {"$elemMatch": {"name": "Ann", "lead": true}}}]}
//
// Conditions side by side must all be met. On fields: $eq $ne $gt $gte $lt $lte
// $in $nin $exists $type $size $all $elemMatch $regex (with $options) $not;
// beside fields: $and $or $nor. A comparison is met only by values of the
// operand's type. Equality with null is also met where the field is missing.
// $type takes "null", "number", "string", "object", "array" and "bool".
// $regex is RE2 (https://github.com/google/re2/wiki/Syntax), which takes time
// in proportion to the text; its options are "i", "m" and "s".
//
// "@created_at" and "@updated_at" are compared with RFC 3339 times.
//
// An empty or missing raw selects all. Errors are a [*platform.Error] of
// KindInvalid that names the place under "/filter".
func ParseFilter(raw []byte) (Filter, error) {
	raw = trim(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return Filter{}, nil
	}
	p := &parser{}
	switch {
	case len(raw) > MaxFilterBytes:
		return Filter{}, invalid("/filter", "too_large", "a filter has at most %d bytes", MaxFilterBytes)
	case !json.Valid(raw) || kindOf(raw) != kindObject:
		return Filter{}, invalid("/filter", "format", "a filter is a JSON object")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return Filter{}, invalid("/filter", "format", "a filter is a JSON object")
	}
	raw = compact.Bytes()
	root, err := p.conditions("/filter", raw, 1)
	if err != nil {
		return Filter{}, err
	}
	if root.op == opAnd && len(root.kids) == 0 {
		return Filter{}, nil
	}
	return Filter{root: root, raw: raw}, nil
}

// The operators, as they are listed to whoever names another one.
const (
	fieldOperators = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $type, $size, $all, $elemMatch, $regex, $options, $not"
	topOperators   = "$and, $or, $nor"
)

func invalid(at, code, format string, args ...any) error {
	return platform.Invalid(platform.Field{Path: at, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// parser counts what the limits bound.
type parser struct {
	nodes, values int
}

func (p *parser) enter(at string, depth int) error {
	if depth > MaxFilterDepth {
		return invalid(at, "too_deep", "conditions nest at most %d deep", MaxFilterDepth)
	}
	if p.nodes++; p.nodes > MaxFilterNodes {
		return invalid(at, "too_many", "a filter has at most %d conditions", MaxFilterNodes)
	}
	return nil
}

// and joins conditions; one alone needs no join.
func and(kids []*node) *node {
	if len(kids) == 1 {
		return kids[0]
	}
	return &node{op: opAnd, kids: kids}
}

func not(n *node) *node { return &node{op: opNot, kids: []*node{n}} }

// conditions reads an object of fields and top-level operators.
func (p *parser) conditions(at string, raw []byte, depth int) (*node, error) {
	if err := p.enter(at, depth); err != nil {
		return nil, err
	}
	var kids []*node
	for m := (members{raw: raw}); m.next(); {
		key := string(unescape(nil, m.name))
		here := pointer(at, key)
		var kid *node
		var err error
		if strings.HasPrefix(key, "$") {
			kid, err = p.combination(here, key, m.value, depth)
		} else {
			kid, err = p.field(here, key, m.value, depth)
		}
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
	}
	return and(kids), nil
}

func (p *parser) combination(at, operator string, raw []byte, depth int) (*node, error) {
	switch operator {
	case "$and", "$or", "$nor":
	default:
		return nil, invalid(at, "unknown_operator", "beside fields there are %s", topOperators)
	}
	if kindOf(raw) != kindArray || count(raw) == 0 {
		return nil, invalid(at, "operand", "%s takes a list of at least one filter", operator)
	}
	var kids []*node
	for e := (elements{raw: raw}); e.next(); {
		here := at + "/" + strconv.Itoa(len(kids))
		if kindOf(e.value) != kindObject {
			return nil, invalid(here, "operand", "%s takes a list of filters, which are objects", operator)
		}
		kid, err := p.conditions(here, e.value, depth+1)
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
	}
	switch operator {
	case "$and":
		return and(kids), nil
	case "$or":
		return &node{op: opOr, kids: kids}, nil
	}
	return not(&node{op: opOr, kids: kids}), nil
}

// field reads the conditions on one path: operators, or a value to equal.
func (p *parser) field(at, key string, raw []byte, depth int) (*node, error) {
	target, bad := parsePath(key)
	if bad != "" {
		return nil, invalid(at, "path", "%s", bad)
	}
	if isOperators(raw) {
		return p.operators(at, target, raw, depth)
	}
	if err := p.enter(at, depth); err != nil {
		return nil, err
	}
	arg, err := p.operand(at, target, raw)
	if err != nil {
		return nil, err
	}
	return &node{op: opEq, path: target, arg: arg}, nil
}

// isOperators reports whether a value is an object whose first name is an
// operator's. One that mixes names and operators is refused while it is read.
func isOperators(raw []byte) bool {
	if kindOf(raw) != kindObject {
		return false
	}
	m := members{raw: raw}
	return m.next() && len(m.name) > 0 && unescape(nil, m.name)[0] == '$'
}

func (p *parser) operators(at string, target path, raw []byte, depth int) (*node, error) {
	var kids []*node
	for m := (members{raw: raw}); m.next(); {
		key := string(unescape(nil, m.name))
		here := pointer(at, key)
		if err := p.enter(here, depth); err != nil {
			return nil, err
		}
		if key == "$options" {
			if lookup(raw, "$regex") == nil {
				return nil, invalid(here, "operand", "$options goes with $regex")
			}
			continue
		}
		kid, err := p.operator(here, key, target, m.value, raw, depth)
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
	}
	return and(kids), nil
}

// comparisons are the operators that take any value.
var comparisons = map[string]op{"$eq": opEq, "$ne": opEq, "$gt": opGt, "$gte": opGte, "$lt": opLt, "$lte": opLte}

// operator reads one operator with its operand; around is the object in which
// it stands.
func (p *parser) operator(at, operator string, target path, raw, around []byte, depth int) (*node, error) {
	if o, ok := comparisons[operator]; ok {
		arg, err := p.operand(at, target, raw)
		if err != nil {
			return nil, err
		}
		n := &node{op: o, path: target, arg: arg}
		if operator == "$ne" {
			n = not(n)
		}
		return n, nil
	}
	switch operator {
	case "$in", "$nin":
		args, err := p.list(at, operator, target, raw)
		if err != nil {
			return nil, err
		}
		n := &node{op: opIn, path: target, args: sortOperands(args)}
		if operator == "$nin" {
			n = not(n)
		}
		return n, nil
	case "$exists":
		if kindOf(raw) != kindBool {
			return nil, invalid(at, "operand", "$exists takes true or false")
		}
		n := &node{op: opExists, path: target}
		if raw[0] == 'f' {
			n = not(n)
		}
		return n, nil
	case "$type":
		return p.types(at, target, raw)
	case "$size":
		n, ok := smallInt(raw)
		if kindOf(raw) != kindNumber || !ok || n < 0 || n > 1<<31 {
			return nil, invalid(at, "operand", "$size takes a whole number that is not negative")
		}
		return &node{op: opSize, path: target, size: int(n)}, nil
	case "$regex":
		return p.regex(at, target, raw, around)
	case "$all":
		return p.all(at, target, raw, depth)
	case "$elemMatch":
		return p.elemMatch(at, target, raw, depth)
	case "$not":
		if !isOperators(raw) {
			return nil, invalid(at, "operand", "$not takes an object of operators")
		}
		n, err := p.operators(at, target, raw, depth+1)
		if err != nil {
			return nil, err
		}
		return not(n), nil
	}
	return nil, invalid(at, "unknown_operator", "on a field there are %s", fieldOperators)
}

// operand reads a value to compare with.
func (p *parser) operand(at string, target path, raw []byte) (operand, error) {
	if p.values++; p.values > MaxFilterValues {
		return operand{}, invalid(at, "too_many", "a filter has at most %d values", MaxFilterValues)
	}
	if target.text == FieldCreatedAt || target.text == FieldUpdatedAt {
		t, err := time.Parse(time.RFC3339Nano, string(text(raw)))
		if kindOf(raw) != kindString || err != nil {
			return operand{}, invalid(at, "operand", "%s is compared with an RFC 3339 time", target.text)
		}
		raw = timeValue(t)
	}
	if nesting(raw) > MaxDepth {
		return operand{}, invalid(at, "too_deep", "values nest at most %d deep", MaxDepth)
	}
	return newOperand(raw), nil
}

func (p *parser) list(at, operator string, target path, raw []byte) ([]operand, error) {
	if kindOf(raw) != kindArray {
		return nil, invalid(at, "operand", "%s takes a list of values", operator)
	}
	var args []operand
	for e := (elements{raw: raw}); e.next(); {
		here := at + "/" + strconv.Itoa(len(args))
		if isOperators(e.value) {
			return nil, invalid(here, "operand", "%s takes values, not operators", operator)
		}
		arg, err := p.operand(here, target, e.value)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}
