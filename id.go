package platform

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// idEncoding is Crockford's base 32 in lower case: its order is the order of
// the bytes, and it has no letters that look like digits.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new id with the given prefix, such as "usr": the prefix, an
// underscore and 26 characters that hold 48 bits of the time in milliseconds
// and 80 random bits. Ids made later sort later, to the millisecond.
func NewID(prefix string) string {
	return newID(prefix, time.Now())
}

func newID(prefix string, now time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(now.UnixMilli())<<16)
	_, _ = rand.Read(raw[6:]) // crypto/rand.Read never fails (Go 1.24)
	buf := make([]byte, 0, len(prefix)+27)
	buf = append(buf, prefix...)
	if prefix != "" {
		buf = append(buf, '_')
	}
	return string(idEncoding.AppendEncode(buf, raw[:]))
}
