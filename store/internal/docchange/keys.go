package docchange

import (
	"bytes"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// UniqueError refuses a second document with the same values.
func UniqueError(index *document.Index, fields []document.SortField) *platform.Error {
	e := platform.Errorf(platform.KindConflict, "unique", "another record has the same %s", index)
	for _, f := range fields {
		e.Fields = append(e.Fields, platform.Field{
			Path: "/data/" + strings.ReplaceAll(f.Path, ".", "/"), Code: "unique", Detail: "must not be in another record",
		})
	}
	return e
}

// Differ compares two ordered lists of keys.
func Differ(was, is [][]byte) (gone, come [][]byte) {
	for len(was) > 0 || len(is) > 0 {
		var c int
		switch {
		case len(was) == 0:
			c = 1
		case len(is) == 0:
			c = -1
		default:
			c = bytes.Compare(was[0], is[0])
		}
		switch {
		case c < 0:
			gone, was = append(gone, was[0]), was[1:]
		case c > 0:
			come, is = append(come, is[0]), is[1:]
		default:
			was, is = was[1:], is[1:]
		}
	}
	return gone, come
}
