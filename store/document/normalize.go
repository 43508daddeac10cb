package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/acme/platform"
)

// MaxDepth is how deep objects and arrays nest in a record, itself included;
// it is MongoDB's.
const MaxDepth = 100

// maxMagnitude bounds the decimal exponent of a number to what Decimal128
// (IEEE 754-2008) can hold.
const maxMagnitude = 6144

// Normalize checks that raw can be a record and returns it without white space
// between the values, otherwise as it is: numbers keep their text and members
// their order. A record is a JSON object in valid UTF-8, in which no object has
// a name twice, nothing nests deeper than [MaxDepth], and no number lies beyond
// 1e±6144. The result shares no memory with raw. Errors are of KindInvalid
// with a field under at, which is a JSON pointer such as "/data".
func Normalize(at string, raw json.RawMessage) (json.RawMessage, error) {
	raw = trim(raw)
	if !utf8.Valid(raw) {
		return nil, invalid(at, "format", "text must be UTF-8")
	}
	var compact bytes.Buffer
	compact.Grow(len(raw))
	if kindOf(raw) != kindObject || json.Compact(&compact, raw) != nil {
		return nil, invalid(at, "type", "must be a JSON object")
	}
	out := compact.Bytes()
	if nesting(out) > MaxDepth {
		return nil, invalid(at, "too_deep", "objects and lists nest at most %d deep", MaxDepth)
	}
	if field := checkValue(at, out); field != nil {
		return nil, platform.Invalid(*field)
	}
	return out, nil
}

// nesting returns how deep a value nests; a string or number is 0 deep.
func nesting(v []byte) int {
	depth, deepest := 0, 0
	for i := 0; i < len(v); i++ {
		switch v[i] {
		case '"':
			i = skipString(v, i) - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
		}
	}
	return deepest
}

func checkValue(at string, v []byte) *platform.Field {
	switch kindOf(v) {
	case kindNumber:
		if d := parseDecimal(v); d.exp-1 > maxMagnitude || d.exp-1 < -maxMagnitude {
			return &platform.Field{Path: at, Code: "range", Detail: "numbers lie within 1e±6144"}
		}
	case kindArray:
		i := 0
		for e := (elements{raw: v}); e.next(); i++ {
			if f := checkValue("", e.value); f != nil {
				f.Path = fmt.Sprintf("%s/%d%s", at, i, f.Path)
				return f
			}
		}
	case kindObject:
		return checkObject(at, v)
	}
	return nil
}

// fewNames is up to how many members an object's names are compared one by one.
const fewNames = 24

func checkObject(at string, v []byte) *platform.Field {
	var few [fewNames][]byte
	var many map[string]bool
	n := 0
	for m := (members{raw: v}); m.next(); n++ {
		name := m.name
		if bytes.IndexByte(name, '\\') >= 0 {
			name = unescape(nil, name)
		}
		double := false
		if n < fewNames {
			for _, other := range few[:n] {
				double = double || bytes.Equal(name, other)
			}
			few[n] = name
		} else {
			if many == nil {
				many = make(map[string]bool)
				for _, other := range few {
					many[string(other)] = true
				}
			}
			double = many[string(name)]
			many[string(name)] = true
		}
		if double {
			return &platform.Field{Path: pointer(at, string(name)), Code: "duplicate", Detail: "an object has each name once"}
		}
		if f := checkValue("", m.value); f != nil {
			f.Path = pointer(at, string(name)) + f.Path
			return f
		}
	}
	return nil
}

// TooDeep reports whether a value nests deeper than [MaxDepth]; the result of
// [MergePatch] may.
func TooDeep(v json.RawMessage) bool { return nesting(v) > MaxDepth }
