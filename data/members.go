package data

import (
	"bytes"
	"encoding/json"
	"iter"
)

// members yields the members of an object that [compactObject] returned, in
// their order.
func members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := 1; i < len(object) && object[i] != '}'; {
			end := i + valueLength(object[i:])
			name := object[i+1 : end-1]
			said := string(name)
			if bytes.IndexByte(name, '\\') >= 0 {
				if json.Unmarshal(object[i:end], &said) != nil {
					return // compactObject let it pass, so it cannot be
				}
			}
			i = end + 1 // the colon
			end = i + valueLength(object[i:])
			if !yield(said, object[i:end]) {
				return
			}
			if i = end; object[i] == ',' {
				i++
			}
		}
	}
}

// valueLength returns how long the value at the start of compact JSON is.
func valueLength(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of what holds the value
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}
