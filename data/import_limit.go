package data

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/acme/platform"
)

// ImportLimits bound one import, so that an input without an end ends. What is
// zero is the default.
type ImportLimits struct {
	// Bytes is how many are read of the input; zero is 4 GiB.
	Bytes int64
	// Records is how many records, refused ones too, or lines the input may
	// have; zero is 5,000,000.
	Records int64
	// Time is how long an import may take; zero is an hour.
	Time time.Duration
}

func (l ImportLimits) withDefaults() ImportLimits {
	if l.Bytes == 0 {
		l.Bytes = 4 << 30
	}
	if l.Records == 0 {
		l.Records = 5_000_000
	}
	if l.Time == 0 {
		l.Time = time.Hour
	}
	return l
}

func (l ImportLimits) valid() bool { return l.Bytes > 0 && l.Records > 0 && l.Time > 0 }

// skipped is how many bytes of a record that is too large are read over to find
// the next one, in sizes of the largest record.
const skipped = 16

// importLimitError is the end of an import that would go on beyond a limit, or
// whose coding is broken or made to cost much. What was read before it is
// written.
type importLimitError struct{ err *platform.Error }

func (e *importLimitError) Error() string { return e.err.Error() }
func (e *importLimitError) Unwrap() error { return e.err }

func tooMuch(kind platform.Kind, format string, args ...any) error {
	return &importLimitError{platform.Errorf(kind, "import_too_large", format, args...)}
}

// endless is the error for a record that does not end where any could.
func endless(maxRecord int) error {
	return tooMuch(platform.KindTooLarge, "a record has more than %d bytes, so that what follows is not looked for", skipped*maxRecord)
}

// isLimit reports whether an import ends at a limit.
func isLimit(err error) bool {
	var limit *importLimitError
	return errors.As(err, &limit)
}

// at says how far an import came that ends at a limit.
func at(err error, line int64) error {
	var limit *importLimitError
	if !errors.As(err, &limit) {
		return err
	}
	told := *limit.err
	told.Message += fmt.Sprintf("; the import ended in line or element %d", line)
	return told.Because(err)
}

// boundedInput is an input of which so much is read, and so long.
type boundedInput struct {
	r      io.Reader
	left   int64
	until  time.Time
	now    func() time.Time
	limits ImportLimits
}

func (l ImportLimits) bound(r io.Reader, now func() time.Time) *boundedInput {
	return &boundedInput{r: r, left: l.Bytes, until: now().Add(l.Time), now: now, limits: l}
}

// Read implements [io.Reader].
func (b *boundedInput) Read(p []byte) (int, error) {
	if b.now().After(b.until) {
		return 0, tooMuch(platform.KindTimeout, "an import may take %s", b.limits.Time)
	}
	if b.left <= 0 { // an input of exactly so many bytes is whole
		var one [1]byte
		n, err := b.r.Read(one[:])
		if n == 0 {
			return 0, err
		}
		return 0, tooMuch(platform.KindTooLarge, "an import may have %d bytes", b.limits.Bytes)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
