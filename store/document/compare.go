package document

import (
	"bytes"
	"cmp"
	"encoding/json"
)

// Compare returns -1, 0 or 1 as a comes before, with or after b in the order
// of values. Both must be valid JSON; an empty one is a missing value.
func Compare(a, b json.RawMessage) int { return compare(trim(a), trim(b)) }

// rank is kind with missing and null as one.
func rank(k kind) kind { return max(k, kindNull) }

func compare(a, b []byte) int {
	ka, kb := rank(kindOf(a)), rank(kindOf(b))
	if ka != kb {
		return cmp.Compare(ka, kb)
	}
	switch ka {
	case kindNumber:
		return compareNumbers(a, b)
	case kindString:
		return bytes.Compare(text(a), text(b))
	case kindObject:
		return compareObjects(a, b)
	case kindArray:
		return compareArrays(a, b)
	case kindBool:
		return cmp.Compare(a[0], b[0]) // 'f' < 't'
	}
	return 0
}

func compareObjects(a, b []byte) int {
	x, y := members{raw: a}, members{raw: b}
	for {
		if more, other := x.next(), y.next(); !more || !other {
			return compareBools(more, other)
		}
		c := cmp.Compare(rank(kindOf(x.value)), rank(kindOf(y.value)))
		if c == 0 {
			c = compareNames(x.name, y.name)
		}
		if c == 0 {
			c = compare(x.value, y.value)
		}
		if c != 0 {
			return c
		}
	}
}

func compareNames(a, b []byte) int {
	if bytes.IndexByte(a, '\\') >= 0 {
		a = unescape(nil, a)
	}
	if bytes.IndexByte(b, '\\') >= 0 {
		b = unescape(nil, b)
	}
	return bytes.Compare(a, b)
}

func compareArrays(a, b []byte) int {
	x, y := elements{raw: a}, elements{raw: b}
	for {
		if more, other := x.next(), y.next(); !more || !other {
			return compareBools(more, other)
		}
		if c := compare(x.value, y.value); c != 0 {
			return c
		}
	}
}

// compareBools has false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
