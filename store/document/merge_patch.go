package document

import (
	"bytes"
	"encoding/json"
)

// MergePatch returns target with a JSON merge patch applied (RFC 7396). Members
// that stay keep their place, new ones follow in the order of the patch, and
// every value keeps its text. Both must be valid JSON without a name twice in
// an object, such as [Normalize] returns. The result may share memory with
// them.
func MergePatch(target, patch json.RawMessage) json.RawMessage {
	target, patch = trim(target), trim(patch)
	if kindOf(patch) != kindObject {
		return patch
	}
	return merge(make([]byte, 0, len(target)+len(patch)), target, patch)
}

// merge appends target merged with patch, which is an object.
func merge(dst, target, patch []byte) []byte {
	start := len(dst)
	dst = append(dst, '{')
	member := func(name, old, change []byte) {
		if kindOf(change) == kindNull {
			return
		}
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"', ':')
		switch kindOf(change) {
		case kindMissing:
			dst = append(dst, old...)
		case kindObject:
			dst = merge(dst, old, change)
		default:
			dst = append(dst, change...)
		}
	}
	if kindOf(target) == kindObject {
		for m := (members{raw: target}); m.next(); {
			member(m.name, m.value, lookup(patch, plain(m.name)))
		}
	}
	for m := (members{raw: patch}); m.next(); {
		if kindOf(target) != kindObject || lookup(target, plain(m.name)) == nil {
			member(m.name, nil, m.value)
		}
	}
	return append(dst, '}')
}

// plain is a member's name without escapes.
func plain(name []byte) string {
	if bytes.IndexByte(name, '\\') < 0 {
		return string(name)
	}
	return string(unescape(nil, name))
}
