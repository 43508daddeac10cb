package docquery

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// A cursor is a mark of the query, the length of the key, the key, the id.
const markBytes = 8

// markOf tells queries apart, so that a cursor is not used with another one.
func markOf(filter document.Filter, sort []document.SortField) (m [markBytes]byte) {
	text := []byte(filter.String())
	for _, f := range sort {
		text = append(append(text, 0), f.String()...)
	}
	sum := sha256.Sum256(text)
	copy(m[:], sum[:])
	return m
}

func newCursor(p Place, mark [markBytes]byte) store.Cursor {
	c := append(make([]byte, 0, markBytes+2+len(p.Key)+len(p.ID)), mark[:]...)
	c = binary.AppendUvarint(c, uint64(len(p.Key)))
	return append(append(c, p.Key...), p.ID...)
}

func parseCursor(c store.Cursor, mark [markBytes]byte) (*Place, error) {
	if len(c) > markBytes && bytes.Equal(c[:markBytes], mark[:]) {
		n, size := binary.Uvarint(c[markBytes:])
		rest := c[markBytes:]
		if size > 0 && n < uint64(len(rest)-size) {
			rest = rest[size:]
			return &Place{Key: bytes.Clone(rest[:n]), ID: string(rest[n:])}, nil
		}
	}
	return nil, errCursor()
}

func errCursor() *platform.Error {
	return platform.Errorf(platform.KindMalformed, "bad_cursor", "the cursor does not belong to this query")
}
