package sqldocs

import (
	"bytes"
	"cmp"
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

func newCursor(p place, mark [markBytes]byte) store.Cursor {
	c := append(make([]byte, 0, markBytes+2+len(p.key)+len(p.id)), mark[:]...)
	c = binary.AppendUvarint(c, uint64(len(p.key)))
	return append(append(c, p.key...), p.id...)
}

func parseCursor(c store.Cursor, mark [markBytes]byte) (*place, error) {
	if len(c) > markBytes && bytes.Equal(c[:markBytes], mark[:]) {
		n, size := binary.Uvarint(c[markBytes:])
		rest := c[markBytes:]
		if size > 0 && n < uint64(len(rest)-size) {
			rest = rest[size:]
			return &place{key: bytes.Clone(rest[:n]), id: string(rest[n:])}, nil
		}
	}
	return nil, errCursor()
}

func errCursor() *platform.Error {
	return platform.Errorf(platform.KindMalformed, "bad_cursor", "the cursor does not belong to this query")
}

func (p place) compare(q place) int {
	return cmp.Or(bytes.Compare(p.key, q.key), cmp.Compare(p.id, q.id))
}
