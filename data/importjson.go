package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/acme/platform"
)

// slack is how much white space a record in an input may have beside its data.
const slack = 64 << 10

const readBuffer = 64 << 10

// newReader buffers r and skips a byte order mark.
func newReader(r io.Reader) *bufio.Reader {
	br := bufio.NewReaderSize(r, readBuffer)
	if head, err := br.Peek(3); err == nil && string(head) == "\ufeff" {
		_, _ = br.Discard(3)
	}
	return br
}

// brokenOff is the error for an input that cannot be read to its end: the
// caller is gone, or the body is larger than a proxy lets through.
func brokenOff(err error) error { return readFault(err) }

func recordTooLong(maxRecord int) error {
	return platform.Errorf(platform.KindTooLarge, "record_too_large", "the data of a record may have %d bytes", maxRecord)
}

// lines reads newline-delimited JSON. Empty lines are skipped, and count.
type lines struct {
	r         *bufio.Reader
	line      int64
	maxRecord int
	buf       []byte
}

func newLines(r io.Reader, maxRecord int) *lines {
	return &lines{r: newReader(r), maxRecord: maxRecord}
}

func (l *lines) next() (item, error) {
	for {
		text, long, err := l.read()
		if err != nil {
			return item{}, err
		}
		switch {
		case long:
			return item{line: l.line, err: recordTooLong(l.maxRecord)}, nil
		case len(bytes.TrimSpace(text)) > 0:
			return item{line: l.line, raw: text}, nil
		}
	}
}

// read returns the next line; long tells that it has more than is kept.
func (l *lines) read() (text []byte, long bool, err error) {
	l.buf = l.buf[:0]
	l.line++
	for {
		part, err := l.r.ReadSlice('\n')
		if len(l.buf)+len(part) > l.maxRecord+slack {
			long = true
		} else {
			l.buf = append(l.buf, part...)
		}
		switch {
		case err == nil:
			return l.buf, long, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (len(l.buf) > 0 || long):
			return l.buf, long, nil
		case errors.Is(err, io.EOF):
			return nil, false, io.EOF
		default:
			return nil, false, brokenOff(err)
		}
	}
}

// array reads the elements of one JSON array.
type array struct {
	r         *bufio.Reader
	element   int64
	maxRecord int
	buf       []byte
	opened    bool
	ended     bool
}

func newArray(r io.Reader, maxRecord int) *array {
	return &array{r: newReader(r), maxRecord: maxRecord}
}

func (a *array) next() (item, error) {
	if a.ended {
		return item{}, io.EOF
	}
	it, err := a.read()
	switch {
	case errors.Is(err, io.EOF):
		return a.stop("the array ends too early"), nil
	case err != nil:
		return item{}, brokenOff(err)
	case it.last || a.ended:
		return it, endOf(it)
	}
	if it.err == nil {
		// What cannot be read makes the rest doubtful, where an element that
		// breaks another rule does not.
		if _, err := compactObject(it.raw, ""); errors.Is(err, platform.ErrMalformed) {
			it.err, it.last, a.ended = err, true, true
		}
	}
	return it, nil
}

// endOf is io.EOF for the item that stands for the end of the array.
func endOf(it item) error {
	if it.err == nil {
		return io.EOF
	}
	return nil
}

func (a *array) stop(why string) item {
	a.ended = true
	line := max(a.element, 1)
	return item{line: line, last: true, err: platform.Errorf(
		platform.KindMalformed, "malformed", "%s; nothing after it was read", why)}
}

// read returns the next element as it is written.
func (a *array) read() (item, error) {
	c, err := a.skip()
	if err != nil {
		return item{}, err
	}
	if !a.opened {
		if c != '[' {
			return a.stop("the input must be an array of objects"), nil
		}
		a.opened = true
		if c, err = a.skip(); err != nil {
			return item{}, err
		}
		if c == ']' {
			return a.end()
		}
	} else {
		if c == ']' {
			return a.end()
		}
		if c != ',' {
			return a.stop("a comma or a bracket must follow the element"), nil
		}
		if c, err = a.skip(); err != nil {
			return item{}, err
		}
	}
	a.element++
	if c == ']' || c == ',' {
		return a.stop("an element is missing"), nil
	}
	return a.value(c)
}

// end checks that nothing follows the array.
func (a *array) end() (item, error) {
	a.ended = true
	_, err := a.skip()
	switch {
	case errors.Is(err, io.EOF):
		return item{last: true}, nil
	case err != nil:
		return item{}, err
	}
	a.element++
	return a.stop("text follows the array"), nil
}

// skip returns the next byte that is not white space.
func (a *array) skip() (byte, error) {
	for {
		c, err := a.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return c, nil
		}
	}
}

// value reads the element that begins with c, up to what ends it. It looks at
// brackets and quotes only; whether it is JSON is seen later.
func (a *array) value(c byte) (item, error) {
	a.buf = a.buf[:0]
	var (
		depth            int
		quoted, escaped  bool
		long             bool
		limit            = a.maxRecord + slack
		structureSkipped = false
	)
	for {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped = c == '\\'
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				structureSkipped = true
			}
			depth--
		case c == ',' && depth == 0:
			structureSkipped = true
		}
		if structureSkipped { // it belongs to the array
			if err := a.r.UnreadByte(); err != nil {
				return item{}, fmt.Errorf("data: import: %w", err)
			}
			break
		}
		if len(a.buf) < limit {
			a.buf = append(a.buf, c)
		} else {
			long = true
		}
		if depth == 0 && !quoted && (c == '}' || c == ']') {
			break
		}
		var err error
		if c, err = a.r.ReadByte(); err != nil {
			return item{}, err
		}
	}
	if long {
		return item{line: a.element, err: recordTooLong(a.maxRecord)}, nil
	}
	return item{line: a.element, raw: a.buf}, nil
}
