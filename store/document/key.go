package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
)

// The first byte of a key is the type, in the order of values. All are between
// 1 and 254, also complemented, so that none is taken for part of a string's
// end.
const (
	tagEmptyArray = 0x10 // an empty array among the values of a field; see Keys
	tagNull       = 0x18
	tagNumber     = 0x20 // and the two after it
	tagNegative   = 0x21
	tagZero       = 0x22
	tagPositive   = 0x23
	tagString     = 0x30
	tagObject     = 0x40
	tagArray      = 0x50
	tagFalse      = 0x60
	tagTrue       = 0x61
	tagAfter      = 0x70 // greater than every value
	tagEnd        = 0x00 // of an object or array; less than every tag
)

// A longer key is cut at keyPrefix bytes, and the first bytes of its SHA-256
// follow: equality stays exact, and order against shorter keys too, but not
// the order among cut keys that begin alike. The bound keeps eight fields, a
// tenant and an id within what a PostgreSQL B-tree takes (2,704 bytes).
const (
	keyPrefix = 224
	keyHash   = 16

	// MaxKeyBytes is the length of the longest key of one value. Whether a
	// key was cut is seen by it: only those have exactly this length.
	MaxKeyBytes = keyPrefix + keyHash
)

// AppendKey appends a key of v whose order under bytes.Compare is that of
// [Compare], reversed where desc is set. Keys of several values may follow one
// another; none is the beginning of another. V must be valid JSON; empty is a
// missing value. Values whose key would be longer than [MaxKeyBytes] keep
// equality but not the order among those that begin alike.
func AppendKey(dst []byte, v json.RawMessage, desc bool) []byte {
	return appendKey(dst, trim(v), desc)
}

func appendKey(dst, v []byte, desc bool) []byte {
	return appendCut(dst, v, desc, keyPrefix)
}

// appendLongKey is appendKey with a bound that fits a cursor, not an index.
func appendLongKey(dst, v []byte, desc bool) []byte {
	return appendCut(dst, v, desc, longKey)
}

func appendCut(dst, v []byte, desc bool, limit int) []byte {
	start := len(dst)
	dst = appendValue(dst, v)
	if len(dst)-start > limit {
		sum := sha256.Sum256(dst[start:])
		dst = append(dst[:start+limit], sum[:keyHash]...)
	}
	if desc {
		complement(dst[start:])
	}
	return dst
}

func complement(key []byte) {
	for i := range key {
		key[i] = ^key[i]
	}
}

func appendValue(dst, v []byte) []byte {
	switch kindOf(v) {
	case kindNumber:
		return appendNumber(dst, parseDecimal(v))
	case kindString:
		return appendText(append(dst, tagString), text(v))
	case kindObject:
		dst = append(dst, tagObject)
		for m := (members{raw: v}); m.next(); {
			dst = append(dst, tagEnd+1+byte(rank(kindOf(m.value))))
			name := m.name
			if bytes.IndexByte(name, '\\') >= 0 {
				name = unescape(nil, name)
			}
			dst = appendValue(appendText(dst, name), m.value)
		}
		return append(dst, tagEnd)
	case kindArray:
		dst = append(dst, tagArray)
		for e := (elements{raw: v}); e.next(); {
			dst = appendValue(dst, e.value)
		}
		return append(dst, tagEnd)
	case kindBool:
		if v[0] == 't' {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	}
	return append(dst, tagNull)
}

// appendText ends a string with 0 1 and writes a 0 in it as 0 255, so that a
// string is less than those it is the beginning of.
func appendText(dst, s []byte) []byte {
	for {
		zero := bytes.IndexByte(s, 0)
		if zero < 0 {
			return append(append(dst, s...), 0, 1)
		}
		dst = append(append(dst, s[:zero]...), 0, 255)
		s = s[zero+1:]
	}
}

// appendNumber writes the exponent and then two digits to a byte, from 1 to
// 100; 0 ends them. Below zero all of it is complemented.
func appendNumber(dst []byte, d decimal) []byte {
	if len(d.digits) == 0 {
		return append(dst, tagZero)
	}
	tag := byte(tagPositive)
	if d.negative {
		tag = tagNegative
	}
	dst = append(dst, tag)
	start := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, uint16(d.exp+1<<15))
	for s := d.digits; len(s) > 0; {
		var a, b byte
		a, s = nextDigit(s)
		b, s = nextDigit(s)
		dst = append(dst, a*10+b+1)
	}
	dst = append(dst, 0)
	if d.negative {
		complement(dst[start:])
	}
	return dst
}

// SplitKey returns the key of the first value in keys and what follows it;
// desc is the direction it was made with. Both are nil where keys is not made
// by [AppendKey].
func SplitKey(keys []byte, desc bool) (first, rest []byte) {
	return splitKey(keys, desc, keyPrefix)
}

func splitKey(keys []byte, desc bool, limit int) (first, rest []byte) {
	flip := byte(0)
	if desc {
		flip = 0xFF
	}
	n := keyLength(keys[:min(len(keys), limit)], flip)
	if n < 0 {
		n = limit + keyHash
	}
	if n > len(keys) {
		return nil, nil
	}
	return keys[:n:n], keys[n:]
}

// keyLength returns the length of the key that begins b, or -1 where it does
// not end in b.
func keyLength(b []byte, flip byte) int {
	if len(b) == 0 {
		return -1
	}
	switch tag := b[0] ^ flip; tag {
	case tagString:
		return textLength(b, 1, flip)
	case tagNegative, tagPositive:
		end := flip
		if tag == tagNegative {
			end = ^flip
		}
		if len(b) < 3 {
			return -1
		}
		if n := bytes.IndexByte(b[3:], end); n >= 0 {
			return 3 + n + 1
		}
		return -1
	case tagObject, tagArray:
		i := 1
		for i < len(b) {
			if b[i]^flip == tagEnd {
				return i + 1
			}
			if tag == tagObject {
				if i = textLength(b, i+1, flip); i < 0 {
					return -1
				}
			}
			n := keyLength(b[i:], flip)
			if n < 0 {
				return -1
			}
			i += n
		}
		return -1
	}
	return 1
}

// textLength returns the index after the string that begins at i.
func textLength(b []byte, i int, flip byte) int {
	for i < len(b) {
		zero := bytes.IndexByte(b[i:], flip)
		if zero < 0 || i+zero+1 >= len(b) {
			return -1
		}
		i += zero + 2
		if b[i-1]^flip == 1 {
			return i
		}
	}
	return -1
}
