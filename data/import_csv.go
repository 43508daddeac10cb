package data

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/acme/platform"
)

// maxColumns is how many columns a CSV file may have.
const maxColumns = 1000

// table reads CSV after RFC 4180 with a header: fields between commas, lines
// that end with LF or CRLF (a CR on its own is refused), quotes around a field that holds either, and a
// quote in it doubled. Empty lines are skipped. An empty field is a member that
// is absent; an empty field in quotes is the empty string where the column may
// hold strings.
//
// The reader of encoding/csv would take the rest of a file whose quote does not
// end into memory; this one keeps one record at most.
type table struct {
	r         *bufio.Reader
	maxRecord int
	columns   []column
	line      int64 // the next to be read
	header    bool  // the line with the names is being read

	text   []byte // of the fields of a record, one after the other
	fields []field
	data   []byte
}

type column struct {
	name []byte // as a JSON string
	as   cellType
}

// cellType is how the cells of a column become JSON.
type cellType struct {
	text, number, integer, boolean, null, other bool // what the schema allows
	infer                                       bool
	wanted                                      string // for messages
}

type field struct {
	end    int // in text
	quoted bool
}

func newTable(r io.Reader, schema json.RawMessage, infer bool, maxRecord int) (*table, error) {
	t := &table{r: newReader(r), maxRecord: maxRecord, line: 1, header: true}
	_, err := t.record()
	t.header = false
	if errors.Is(err, io.EOF) {
		return nil, headerFault("must be a line with the names of the columns")
	}
	if err != nil {
		return nil, err
	}
	if err := t.checkSeparator(); err != nil {
		return nil, err
	}
	types, err := columnTypes(schema)
	if err != nil {
		return nil, err
	}
	if len(t.fields) > maxColumns {
		return nil, headerFault(fmt.Sprintf("may have %d columns", maxColumns))
	}
	var names []string
	for i := range t.fields {
		raw, _ := t.cell(i)
		name := string(raw)
		switch {
		case name == "" || name[0] == '$' || !utf8.ValidString(name) || strings.ContainsRune(name, 0):
			return nil, headerFault(fmt.Sprintf("column %d needs a name of valid UTF-8 that does not begin with '$'", i+1))
		case slices.Contains(names, name):
			return nil, headerFault(fmt.Sprintf("column %d has the name of another", i+1))
		}
		names = append(names, name)
		as, ok := types[name]
		if !ok {
			as = cellType{text: true, infer: infer}
		}
		t.columns = append(t.columns, column{name: appendString(nil, name), as: as})
	}
	return t, nil
}

// checkSeparator refuses a header that is one field with what other tools put
// between fields: each record would have one member with a line in it.
func (t *table) checkSeparator() error {
	name, quoted := t.cell(0)
	if len(t.fields) != 1 || quoted {
		return nil
	}
	for separator, word := range map[byte]string{';': "semicolons", '\t': "tabs", '|': "bars"} {
		if bytes.IndexByte(name, separator) >= 0 {
			return headerFault("has " + word + "; put commas between the fields, or quotes around the name of a single column")
		}
	}
	return nil
}

func headerFault(detail string) error {
	return platform.Invalid(platform.Field{Path: "/", Code: "header", Detail: "the header of the CSV file " + detail})
}

// columnTypes reads which types a schema allows for each property. One that it
// does not say plainly, by "type", is a string.
func columnTypes(schema json.RawMessage) (map[string]cellType, error) {
	var s struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if len(schema) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, fmt.Errorf("data: the stored schema of a collection: %w", err)
	}
	types := make(map[string]cellType)
	for name, raw := range s.Properties {
		var p struct {
			Type json.RawMessage `json:"type"`
		}
		var list []string
		if json.Unmarshal(raw, &p) != nil || len(p.Type) == 0 {
			continue
		}
		if json.Unmarshal(p.Type, &list) != nil {
			list = make([]string, 1)
			if json.Unmarshal(p.Type, &list[0]) != nil {
				continue
			}
		}
		types[name] = newCellType(list)
	}
	return types, nil
}

func newCellType(list []string) cellType {
	return cellType{
		text: slices.Contains(list, "string"), number: slices.Contains(list, "number"),
		integer: slices.Contains(list, "integer"), boolean: slices.Contains(list, "boolean"),
		null: slices.Contains(list, "null"), other: slices.Contains(list, "object") || slices.Contains(list, "array"),
		wanted: strings.Join(list, " or "),
	}
}

// append appends a cell as JSON, and reports whether it can. Quotes around a
// cell keep it from being guessed at, not from being what the schema wants:
// many programs put every cell in quotes.
func (c cellType) append(dst, cell []byte, quoted bool) ([]byte, bool) {
	guess := c.infer && !quoted
	if c.text && !guess {
		return appendString(dst, string(cell)), true
	}
	if guess || c.number || c.integer {
		if n := numberLength(cell); n > 0 && n == len(cell) {
			return append(dst, cell...), true
		}
	}
	if guess || c.boolean {
		for _, word := range [...]string{"true", "false"} {
			if strings.EqualFold(string(cell), word) {
				return append(dst, word...), true
			}
		}
	}
	switch {
	case c.text:
		return appendString(dst, string(cell)), true
	case c.null && string(cell) == "null":
		return append(dst, cell...), true
	case c.other && (cell[0] == '{' || cell[0] == '[') && json.Valid(cell):
		return append(dst, cell...), true
	}
	return dst, false
}

func (t *table) next() (item, error) {
	line, err := t.record()
	if isLimit(err) {
		return item{line: line}, err
	}
	var refused *platform.Error
	if errors.As(err, &refused) && refused.Code != codeBroken {
		return item{line: line, err: refused}, nil
	}
	if err != nil {
		return item{}, err
	}
	it := item{line: line}
	it.raw, it.err = t.object()
	return it, nil
}

// codeBroken is the code of an input that did not arrive whole.
const codeBroken = "body_broken"

func (t *table) cell(i int) (text []byte, quoted bool) {
	begin := 0
	if i > 0 {
		begin = t.fields[i-1].end
	}
	return t.text[begin:t.fields[i].end], t.fields[i].quoted
}

// object makes a JSON object of the fields that were read.
func (t *table) object() ([]byte, error) {
	if len(t.fields) != len(t.columns) {
		return nil, platform.Errorf(platform.KindInvalid, "csv_fields",
			"the line has %d fields and the header %d", len(t.fields), len(t.columns))
	}
	t.data = append(t.data[:0], '{')
	for i, c := range t.columns {
		cell, quoted := t.cell(i)
		if len(cell) == 0 && (!quoted || !c.as.text) {
			continue
		}
		if len(t.data) > 1 {
			t.data = append(t.data, ',')
		}
		t.data = append(append(t.data, c.name...), ':')
		if !utf8.Valid(cell) || bytes.IndexByte(cell, 0) >= 0 {
			return nil, platform.Errorf(platform.KindInvalid, "csv_text", "column %d is not valid UTF-8, or holds NUL", i+1)
		}
		var ok bool
		if t.data, ok = c.as.append(t.data, cell, quoted); !ok {
			return nil, platform.Errorf(platform.KindInvalid, "csv_type", "column %d (%s) must be %s", i+1, c.name, c.as.wanted)
		}
	}
	t.data = append(t.data, '}')
	return t.data, nil
}

// record reads the fields of the next record that is not empty and returns the
// line on which it begins. After a refused record it stands at the next line.
func (t *table) record() (int64, error) {
	for {
		begin := t.line
		err := t.readFields()
		if err != nil {
			return begin, err
		}
		if len(t.fields) != 1 || t.fields[0].end > 0 || t.fields[0].quoted {
			return begin, nil
		}
	}
}

func lineEndFault() error {
	return platform.Errorf(platform.KindMalformed, "csv_line_end", "a line must end with LF or CRLF, and a CR within a field stand in quotes")
}

func csvFault(detail string) error {
	return platform.Errorf(platform.KindMalformed, "csv_quote", "%s", detail)
}

// readFields reads one record. Its error is io.EOF only where there is none.
func (t *table) readFields() error {
	t.text, t.fields = t.text[:0], t.fields[:0]
	var (
		fault  error
		began  bool // whether the record has a byte
		long   bool // whether it is too large
		quotes = outside
		cr     bool // the byte before was a CR that is not in quotes
	)
	for n := 0; ; n++ {
		if n > skipped*t.maxRecord+slack {
			return endless(t.maxRecord)
		}
		c, err := t.r.ReadByte()
		switch {
		case errors.Is(err, io.EOF) && !began:
			return io.EOF
		case errors.Is(err, io.EOF):
			if quotes == within {
				return csvFault("a quote is not closed before the file ends")
			}
			if cr && quotes == outside {
				t.text = t.text[:len(t.text)-1]
			}
			t.endField(quotes)
			return fault
		case err != nil:
			return readFault(err)
		}
		began = true
		if c == '\n' {
			t.line++
		}
		if cr && c != '\n' {
			if fault == nil {
				fault = lineEndFault()
			}
			if t.header { // of a file whose lines may all end so
				return fault
			}
		}
		cr = c == '\r' && quotes != within
		switch {
		case quotes == within && c == '"':
			quotes = after
			continue
		case quotes == within:
		case quotes == after && c == '"':
			quotes = within
		case c == ',':
			if len(t.fields) <= maxColumns { // the count is then wrong, which is enough to know
				t.endField(quotes)
			}
			quotes = outside
			continue
		case c == '\n':
			if n := len(t.text); quotes == outside && n > t.begin() && t.text[n-1] == '\r' {
				t.text = t.text[:n-1]
			}
			t.endField(quotes)
			return fault
		case quotes == after && c == '\r':
			continue
		case quotes == after:
			if fault == nil {
				fault = csvFault("a closing quote must be followed by a comma or the end of the line")
			}
			continue
		case c == '"' && len(t.text) == t.begin():
			quotes = within
			continue
		case c == '"':
			if fault == nil {
				fault = csvFault("a field with a quote in it must stand in quotes, and the quote be doubled")
			}
			continue
		}
		if len(t.text) > t.maxRecord {
			if !long { // once, not for each byte
				long, fault = true, recordTooLong(t.maxRecord)
			}
			continue
		}
		t.text = append(t.text, c)
	}
}

// begin is where the present field begins in text.
func (t *table) begin() int {
	if n := len(t.fields); n > 0 {
		return t.fields[n-1].end
	}
	return 0
}

func (t *table) endField(quotes quoting) {
	t.fields = append(t.fields, field{end: len(t.text), quoted: quotes != outside})
}

// quoting is where in a quoted field the reader is.
type quoting uint8

const (
	outside quoting = iota // not in quotes
	within                 // in quotes
	after                  // after a quote that closes them, or is half of a pair
)
