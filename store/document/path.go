package document

import (
	"strings"

	"github.com/acme/platform"
)

// The fields that belong to the store and not to the record's data.
const (
	FieldID        = "@id"
	FieldVersion   = "@version"
	FieldCreatedAt = "@created_at" // a string, RFC 3339 in UTC with six decimals
	FieldUpdatedAt = "@updated_at" // the same
)

// The limits of a path.
const (
	MaxPathBytes = 256
	MaxPathNames = 16
)

// path is a parsed path.
type path struct {
	text   string
	system bool
	names  []name
}

type name struct {
	text  string
	index int // into an array; -1 where the name is not a number
}

// CheckPath reports why s is not a path, as an [*platform.Error] of
// KindInvalid whose field is at pointer, such as "/fields/0".
func CheckPath(pointer, s string) error {
	if _, bad := parsePath(s); bad != "" {
		return platform.Invalid(platform.Field{Path: pointer, Code: "path", Detail: bad})
	}
	return nil
}

// parsePath returns what is wrong with s as its second result.
func parsePath(s string) (path, string) {
	p := path{text: s}
	switch s {
	case FieldID, FieldVersion, FieldCreatedAt, FieldUpdatedAt:
		p.system = true
		return p, ""
	case "":
		return p, "a path needs a name"
	}
	if len(s) > MaxPathBytes {
		return p, "a path has at most 256 bytes"
	}
	parts := strings.Split(s, ".")
	if len(parts) > MaxPathNames {
		return p, "a path has at most 16 names"
	}
	p.names = make([]name, len(parts))
	for i, part := range parts {
		if part == "" {
			return p, "a path has no empty names"
		}
		if part[0] == '$' {
			return p, "a name in a path does not begin with '$'"
		}
		p.names[i] = name{text: part, index: arrayIndex(part)}
	}
	return p, ""
}

// arrayIndex returns the number that s is written as, or -1.
func arrayIndex(s string) int {
	if len(s) > 9 || len(s) > 1 && s[0] == '0' {
		return -1
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// pointer appends a name to a JSON pointer (RFC 6901).
func pointer(base, name string) string {
	name = strings.ReplaceAll(name, "~", "~0")
	return base + "/" + strings.ReplaceAll(name, "/", "~1")
}
