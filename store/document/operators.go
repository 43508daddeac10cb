package document

import (
	"regexp"
	"strconv"
	"strings"
)

// The operators whose operands are more than a value.

var kindsByName = map[string]kind{
	"null": kindNull, "number": kindNumber, "string": kindString,
	"object": kindObject, "array": kindArray, "bool": kindBool,
}

func (p *parser) types(at string, target path, raw []byte) (*node, error) {
	n := &node{op: opType, path: target}
	list := raw
	if kindOf(raw) == kindString {
		list = append(append([]byte{'['}, raw...), ']')
	}
	if kindOf(list) == kindArray && count(list) > 0 {
		for e := (elements{raw: list}); e.next(); {
			k := kindsByName[string(text(e.value))]
			if kindOf(e.value) != kindString || k == kindMissing {
				n = nil
				break
			}
			n.kinds[k] = true
		}
		if n != nil {
			return n, nil
		}
	}
	return nil, invalid(at, "operand", "$type takes one or a list of: null, number, string, object, array, bool")
}

func (p *parser) regex(at string, target path, raw, around []byte) (*node, error) {
	pattern := string(text(raw))
	if kindOf(raw) != kindString || len(pattern) > MaxPattern {
		return nil, invalid(at, "operand", "$regex takes a string of at most %d bytes", MaxPattern)
	}
	if options := lookup(around, "$options"); options != nil {
		o := string(text(options))
		if kindOf(options) != kindString || strings.Trim(o, "ims") != "" {
			return nil, invalid(at, "operand", `$options takes a string of "i", "m" and "s"`)
		}
		if o != "" {
			pattern = "(?" + o + ")" + pattern
		}
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, invalid(at, "operand", "$regex takes an expression in RE2's syntax")
	}
	return &node{op: opRegex, path: target, regexp: re}, nil
}

// all is met where each value is; a list of $elemMatch is one of conditions.
func (p *parser) all(at string, target path, raw []byte, depth int) (*node, error) {
	if kindOf(raw) != kindArray {
		return nil, invalid(at, "operand", "$all takes a list of values, or of $elemMatch")
	}
	var kids []*node
	for e := (elements{raw: raw}); e.next(); {
		here := at + "/" + strconv.Itoa(len(kids))
		kid := &node{op: opEq, path: target}
		var err error
		if inner := lookupIn(e.value, "$elemMatch"); inner != nil {
			kid, err = p.elemMatch(here+"/$elemMatch", target, inner, depth)
		} else if isOperators(e.value) {
			err = invalid(here, "operand", "$all takes values, or $elemMatch alone")
		} else {
			kid.arg, err = p.operand(here, target, e.value)
		}
		if err != nil {
			return nil, err
		}
		kids = append(kids, kid)
	}
	if len(kids) == 0 {
		return &node{op: opOr}, nil // as in MongoDB: nothing has all of no values
	}
	return and(kids), nil
}

// lookupIn returns the operand where v is an object of this one operator.
func lookupIn(v []byte, operator string) []byte {
	if kindOf(v) != kindObject {
		return nil
	}
	m := members{raw: v}
	if !m.next() || !nameIs(m.name, operator) {
		return nil
	}
	found := m.value
	if m.next() {
		return nil
	}
	return found
}

func (p *parser) elemMatch(at string, target path, raw []byte, depth int) (*node, error) {
	if kindOf(raw) != kindObject {
		return nil, invalid(at, "operand", "$elemMatch takes an object of conditions")
	}
	n := &node{op: opElemRecord, path: target}
	var kid *node
	var err error
	if isOperators(raw) && !startsWithTopOperator(raw) {
		n.op = opElemValue
		kid, err = p.operators(at, path{}, raw, depth+1)
	} else {
		kid, err = p.conditions(at, raw, depth+1)
	}
	if err != nil {
		return nil, err
	}
	n.kids = []*node{kid}
	return n, nil
}

func startsWithTopOperator(raw []byte) bool {
	m := members{raw: raw}
	if !m.next() {
		return false
	}
	switch string(unescape(nil, m.name)) {
	case "$and", "$or", "$nor":
		return true
	}
	return false
}
