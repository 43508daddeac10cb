package document

import (
	"bytes"
	"cmp"
)

// decimal is a number taken apart without rounding: 0.d₁d₂d₃… × 10^exp, where
// d₁ is not 0. Zero has no digits.
type decimal struct {
	negative bool
	exp      int
	digits   []byte // of the text, without outer zeros; a point may be among them
}

// maxExp keeps exponents within two bytes of a key. It is beyond those of
// [Normalize], which a stored number has passed.
const maxExp = 1 << 14

func parseDecimal(v []byte) decimal {
	var d decimal
	if len(v) > 0 && v[0] == '-' {
		d.negative = true
		v = v[1:]
	}
	exp := 0
	if e := bytes.IndexAny(v, "eE"); e >= 0 {
		exp = parseExponent(v[e+1:])
		v = v[:e]
	}
	point := bytes.IndexByte(v, '.')
	if point < 0 {
		point = len(v)
	}
	first := 0
	for first < len(v) && (v[first] == '0' || v[first] == '.') {
		first++
	}
	if first == len(v) {
		return decimal{}
	}
	last := len(v)
	for last > first && (v[last-1] == '0' || v[last-1] == '.') {
		last--
	}
	if first < point {
		exp += point - first
	} else {
		exp -= first - point - 1
	}
	d.exp = max(-maxExp, min(exp, maxExp))
	d.digits = v[first:last]
	return d
}

func parseExponent(s []byte) int {
	negative := false
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = s[1:]
	}
	n := 0
	for _, c := range s {
		if n < 10*maxExp {
			n = n*10 + int(c-'0')
		}
	}
	if negative {
		return -n
	}
	return n
}

// next takes the first digit of s off, 0 where there is none.
func nextDigit(s []byte) (byte, []byte) {
	if len(s) > 0 && s[0] == '.' {
		s = s[1:]
	}
	if len(s) == 0 {
		return 0, nil
	}
	return s[0] - '0', s[1:]
}

func (d decimal) sign() int {
	switch {
	case len(d.digits) == 0:
		return 0
	case d.negative:
		return -1
	}
	return 1
}

func (d decimal) compare(e decimal) int {
	sign := d.sign()
	if c := cmp.Compare(sign, e.sign()); c != 0 || sign == 0 {
		return c
	}
	c := cmp.Compare(d.exp, e.exp)
	for a, b := d.digits, e.digits; c == 0 && (len(a) > 0 || len(b) > 0); {
		var x, y byte
		x, a = nextDigit(a)
		y, b = nextDigit(b)
		c = cmp.Compare(x, y)
	}
	return sign * c
}

// smallInt reads a number of at most 18 digits that is written without point
// and exponent; these are most numbers there are.
func smallInt(v []byte) (int64, bool) {
	digits := v
	if len(v) > 0 && v[0] == '-' {
		digits = v[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	if len(digits) < len(v) {
		n = -n
	}
	return n, true
}

func compareNumbers(a, b []byte) int {
	if x, ok := smallInt(a); ok {
		if y, ok := smallInt(b); ok {
			return cmp.Compare(x, y)
		}
	}
	return parseDecimal(a).compare(parseDecimal(b))
}
