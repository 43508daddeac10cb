package document

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions of this file read JSON that is known to be valid; on anything
// else they return nonsense but neither panic nor loop. They do not allocate,
// except for strings with escapes.

// kind is the type of a JSON value, in the order of values.
type kind uint8

const (
	kindMissing kind = iota // no value; equal to null in every order
	kindNull
	kindNumber
	kindString
	kindObject
	kindArray
	kindBool
)

// kindOf looks at the first byte of a value without leading space.
func kindOf(v []byte) kind {
	if len(v) == 0 {
		return kindMissing
	}
	switch v[0] {
	case '"':
		return kindString
	case '{':
		return kindObject
	case '[':
		return kindArray
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return kindNumber
}

// space returns the index of the first byte at or after i that is no space.
func space(raw []byte, i int) int {
	for i < len(raw) && raw[i] <= ' ' {
		i++
	}
	return i
}

// trim cuts the white space around a value.
func trim(raw []byte) []byte { return bytes.TrimSpace(raw) }

// skipString returns the index after the string whose quote is at i.
func skipString(raw []byte, i int) int {
	i++
	for {
		k := bytes.IndexByte(raw[i:], '"')
		if k < 0 {
			return len(raw)
		}
		i += k + 1
		if k == 0 || raw[i-2] != '\\' {
			return i
		}
		slashes := 1
		for b := i - 3; b >= i-1-k && raw[b] == '\\'; b-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
}

// skipValue returns the index after the value that begins at i.
func skipValue(raw []byte, i int) int {
	if i >= len(raw) {
		return len(raw)
	}
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		return skipNested(raw, i)
	}
	for i < len(raw) {
		switch c := raw[i]; {
		case c == ',' || c == '}' || c == ']' || c <= ' ':
			return i
		}
		i++
	}
	return i
}

func skipNested(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return len(raw)
}

// members walks an object. The zero value with raw set stands before the first
// member.
type members struct {
	raw   []byte
	i     int
	name  []byte // between the quotes, escapes as they are
	value []byte
}

func (m *members) next() bool {
	if m.i == 0 {
		m.i = 1
	}
	i := space(m.raw, m.i)
	if i < len(m.raw) && m.raw[i] == ',' {
		i = space(m.raw, i+1)
	}
	if i >= len(m.raw) || m.raw[i] != '"' {
		return false
	}
	end := skipString(m.raw, i)
	if end-1 <= i {
		return false
	}
	m.name = m.raw[i+1 : end-1]
	i = space(m.raw, end)
	i = space(m.raw, i+1) // past the colon
	if i >= len(m.raw) {
		return false
	}
	m.i = skipValue(m.raw, i)
	m.value = m.raw[i:m.i]
	return true
}

// elements walks an array. The zero value with raw set stands before the first
// element.
type elements struct {
	raw   []byte
	i     int
	value []byte
}

func (e *elements) next() bool {
	if e.i == 0 {
		e.i = 1
	}
	i := space(e.raw, e.i)
	if i < len(e.raw) && e.raw[i] == ',' {
		i = space(e.raw, i+1)
	}
	if i >= len(e.raw) || e.raw[i] == ']' {
		return false
	}
	end := skipValue(e.raw, i)
	if end == i {
		return false
	}
	e.value, e.i = e.raw[i:end], end
	return true
}

// count returns the number of elements of an array.
func count(array []byte) int {
	n := 0
	for e := (elements{raw: array}); e.next(); n++ {
	}
	return n
}

// lookup returns the member of an object, or nil.
func lookup(object []byte, name string) []byte {
	for m := (members{raw: object}); m.next(); {
		if nameIs(m.name, name) {
			return m.value
		}
	}
	return nil
}

// nameIs compares a name between its quotes with one that is not escaped.
func nameIs(quoted []byte, name string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted) == name
	}
	return string(unescape(nil, quoted)) == name
}

// text returns the bytes of a string value.
func text(v []byte) []byte {
	if len(v) < 2 {
		return nil
	}
	v = v[1 : len(v)-1]
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	return unescape(make([]byte, 0, len(v)), v)
}

// unescape appends what a string between its quotes means. Half of a surrogate
// pair becomes U+FFFD, as in encoding/json.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 >= len(s) {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				second := rune(-1)
				if i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					second = hex4(s[i+3:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

func hex4(s []byte) rune {
	if len(s) < 4 {
		return utf8.RuneError
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		}
		r = r<<4 | rune(c&15)
	}
	return r
}
