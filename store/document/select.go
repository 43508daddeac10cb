package document

import (
	"encoding/json"
	"strings"
)

// Select returns the record with only the given fields, in the order and
// spelling of raw. A path into an array selects within each of its objects and
// leaves other elements out; a number in a path is a name here, not a place in
// an array. A field the record does not have is left out; fields of the store
// ("@id") select nothing. Raw must be a valid JSON object; it is returned as it
// is where fields is nil.
func Select(raw json.RawMessage, fields []string) json.RawMessage {
	if fields == nil {
		return raw
	}
	return selectMembers(make([]byte, 0, len(raw)), trim(raw), fields)
}

func selectMembers(dst, object []byte, fields []string) []byte {
	dst = append(dst, '{')
	first := true
	for m := (members{raw: object}); m.next(); {
		whole, inner := selected(m.name, fields)
		k := kindOf(m.value)
		if !whole && (inner == nil || k != kindObject && k != kindArray) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), m.name...), '"', ':')
		if whole {
			dst = append(dst, m.value...)
		} else {
			dst = selectValue(dst, m.value, inner)
		}
	}
	return append(dst, '}')
}

// selected reports whether a member is selected whole, or which paths inside
// it are.
func selected(member []byte, fields []string) (whole bool, inner []string) {
	for _, f := range fields {
		head, rest, more := strings.Cut(f, ".")
		if !nameIs(member, head) {
			continue
		}
		if !more {
			return true, nil
		}
		inner = append(inner, rest)
	}
	return false, inner
}

func selectValue(dst, v []byte, fields []string) []byte {
	if kindOf(v) == kindObject {
		return selectMembers(dst, v, fields)
	}
	dst = append(dst, '[')
	first := true
	for e := (elements{raw: v}); e.next(); {
		k := kindOf(e.value)
		if k != kindObject && k != kindArray {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = selectValue(dst, e.value, fields)
	}
	return append(dst, ']')
}
