package document

import (
	"fmt"
	"strings"

	"github.com/acme/platform"
)

// MaxSortFields is the most fields that an order or an index has.
const MaxSortFields = 8

// SortField is one field of an order or of an index.
type SortField struct {
	// Path is the dotted path of the field: "Title", "address.city", "@id".
	Path string
	// Desc sorts from the greatest to the least.
	Desc bool
}

// String returns the field as [ParseSort] reads it.
func (f SortField) String() string {
	if f.Desc {
		return "-" + f.Path
	}
	return f.Path
}

// ParseSort reads an order such as "-year,Title": paths between commas, each
// with a '-' before it to sort downwards. The empty string is no order. A name
// that begins with '-' or holds a comma cannot be sorted by. Errors are of
// KindInvalid with the field "/sort".
func ParseSort(s string) ([]SortField, error) {
	if s == "" {
		return nil, nil
	}
	parts := strings.Split(s, ",")
	fields := make([]SortField, len(parts))
	for i, part := range parts {
		path, desc := strings.CutPrefix(part, "-")
		fields[i] = SortField{Path: path, Desc: desc}
	}
	if err := CheckSort("/sort", fields); err != nil {
		return nil, err
	}
	return fields, nil
}

// CheckSort reports what is wrong with an order or the fields of an index: too
// many fields, a path that is none, a field that is there twice. Errors are
// of KindInvalid with the field at pointer.
func CheckSort(pointer string, fields []SortField) error {
	if len(fields) > MaxSortFields {
		return platform.Invalid(platform.Field{
			Path: pointer, Code: "too_many",
			Detail: fmt.Sprintf("at most %d fields", MaxSortFields),
		})
	}
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if err := CheckPath(pointer, f.Path); err != nil {
			return err
		}
		if seen[f.Path] {
			return platform.Invalid(platform.Field{Path: pointer, Code: "duplicate", Detail: "each field once"})
		}
		seen[f.Path] = true
	}
	return nil
}
