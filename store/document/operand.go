package document

import (
	"bytes"
	"cmp"
	"slices"
)

// operand is a value of a filter, prepared to be compared with many.
type operand struct {
	kind  kind // never missing
	raw   []byte
	text  []byte // of a string
	num   decimal
	small int64
	isInt bool
}

func newOperand(raw []byte) operand {
	o := operand{kind: rank(kindOf(raw)), raw: raw}
	switch o.kind {
	case kindString:
		o.text = text(raw)
	case kindNumber:
		o.num = parseDecimal(raw)
		o.small, o.isInt = smallInt(raw)
	}
	return o
}

// compare is Compare(v, o); same tells whether they are of one type.
func (o *operand) compare(v []byte) (c int, same bool) {
	k := rank(kindOf(v))
	if k != o.kind {
		return cmp.Compare(k, o.kind), false
	}
	switch k {
	case kindString:
		if len(v) >= 2 && bytes.IndexByte(v, '\\') < 0 {
			return bytes.Compare(v[1:len(v)-1], o.text), true
		}
		return bytes.Compare(text(v), o.text), true
	case kindNumber:
		if o.isInt {
			if n, ok := smallInt(v); ok {
				return cmp.Compare(n, o.small), true
			}
		}
		return parseDecimal(v).compare(o.num), true
	case kindNull:
		return 0, true
	}
	return compare(v, o.raw), true
}

func (o *operand) equal(v []byte) bool {
	c, same := o.compare(v)
	return same && c == 0
}

// sortOperands puts the values of a $in in order and drops doubles, so that
// they can be searched.
func sortOperands(list []operand) []operand {
	slices.SortFunc(list, func(a, b operand) int { return compare(a.raw, b.raw) })
	return slices.CompactFunc(list, func(a, b operand) bool { return compare(a.raw, b.raw) == 0 })
}

func anyEqual(sorted []operand, v []byte) bool {
	low, high := 0, len(sorted)
	for low < high {
		mid := (low + high) / 2
		c, same := sorted[mid].compare(v)
		switch {
		case c == 0 && same:
			return true
		case c > 0:
			low = mid + 1
		default:
			high = mid
		}
	}
	return false
}
