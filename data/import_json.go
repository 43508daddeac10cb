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
			return item{line: l.line}, err
		}
		switch {
		case long:
			return item{line: l.line, err: recordTooLong(l.maxRecord)}, nil
		case len(bytes.TrimSpace(text)) == 0:
		case bytes.IndexByte(bytes.TrimRight(text, "\r\n"), '\r') >= 0:
			return item{line: l.line, err: platform.Errorf(platform.KindMalformed, "line_end",
				"a line must end with LF or CRLF; this one has a CR within")}, nil
		default:
			return item{line: l.line, raw: text}, nil
		}
	}
}

// read returns the next line; long tells that it has more than is kept.
func (l *lines) read() (text []byte, long bool, err error) {
	l.buf = l.buf[:0]
	l.line++
	for n := 0; ; {
		part, err := l.r.ReadSlice('\n')
		if n += len(part); n > skipped*l.maxRecord+slack {
			return nil, false, endless(l.maxRecord)
		}
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
			return nil, false, readFault(err)
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
	case errors.Is(err, io.EOF) && !a.ended:
		return a.stop("the array ends too early"), nil
	case err != nil && !errors.Is(err, io.EOF):
		return item{line: max(a.element, 1)}, readFault(err)
	}
	return it, err
}

// stop ends the input with a fault.
func (a *array) stop(why string) item {
	a.ended = true
	return item{line: max(a.element, 1), last: true, err: platform.Errorf(
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

// end checks that nothing follows the array; its error is then io.EOF.
func (a *array) end() (item, error) {
	a.ended = true
	if _, err := a.skip(); err != nil {
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
	depth, quoted, escaped, long := 0, false, false, false
	for n := 0; ; n++ {
		if n > skipped*a.maxRecord+slack {
			return item{}, endless(a.maxRecord)
		}
		beyond := false // c belongs to the array
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			beyond = depth == 0
			depth--
		case c == ',':
			beyond = depth == 0
		}
		if beyond {
			if err := a.r.UnreadByte(); err != nil {
				return item{}, fmt.Errorf("data: import: %w", err)
			}
			break
		}
		if long = long || len(a.buf) >= a.maxRecord+slack; !long {
			a.buf = append(a.buf, c)
		}
		if depth == 0 && (c == '}' || c == ']') && !quoted {
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
	return item{line: a.element, raw: a.buf, fragile: true}, nil
}
