package data

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/acme/platform"
)

// recordColumns stand before the data in the record shape, where the data's
// columns begin with "data.".
const recordColumns = "id,created_at,updated_at,version"

// tableForm is CSV after RFC 4180, with LF as the importer and most programs
// take it. A member that is absent or null is an empty field; the empty string
// is an empty field in quotes.
type tableForm struct {
	columns  []string
	dataOnly bool
}

func (e *exporter) tableForm(ctx context.Context) (form, error) {
	columns, err := e.columns(ctx)
	if err != nil {
		return nil, err
	}
	if len(columns) > maxColumns {
		return nil, platform.Invalid(platform.Field{
			Path: "query.fields", Code: "too_many", Detail: fmt.Sprintf("the records have more than %d columns; name those to export", maxColumns),
		})
	}
	return &tableForm{columns: columns, dataOnly: e.options.DataOnly}, nil
}

func (e *exporter) columns(ctx context.Context) ([]string, error) {
	if e.options.Fields != nil {
		return e.options.Fields, nil
	}
	c, err := e.service.collection(ctx, e.tenant, e.collection)
	if err != nil {
		return nil, err
	}
	if columns := properties(c.Schema); columns != nil {
		return slices.DeleteFunc(columns, func(name string) bool {
			whole, inner := pathsWithin(name, e.plan.grant.Readable)
			return e.plan.grant.Readable != nil && !whole && inner == nil
		}), nil
	}
	var columns []string
	seen := make(map[string]bool)
	err = e.pages(ctx, e.plan, func(r *Record) {
		if len(columns) > maxColumns {
			return
		}
		for name := range members(r.Data) {
			if !seen[name] {
				seen[name] = true
				columns = append(columns, name)
			}
		}
	}, func([]Record) error {
		if len(columns) > maxColumns {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return columns, nil
}

// errEnough ends the first pass over the records.
var errEnough = errors.New("data: too many columns")

// properties returns the names of a schema's properties in their order.
func properties(schema json.RawMessage) []string {
	if len(schema) == 0 {
		return nil
	}
	raw, ok := member(schema, "properties")
	if !ok || raw[0] != '{' {
		return nil
	}
	var names []string
	for name := range members(raw) {
		names = append(names, name)
	}
	return names
}

func (f *tableForm) begin(dst []byte) []byte {
	if !f.dataOnly {
		dst = append(dst, recordColumns...)
	}
	for i, name := range f.columns {
		if i > 0 || !f.dataOnly {
			dst = append(dst, ',')
		}
		if !f.dataOnly {
			name = "data." + name
		}
		dst = appendCell(dst, []byte(name))
	}
	return append(dst, '\n')
}

func (f *tableForm) record(dst []byte, r *Record, dataOnly bool) []byte {
	if !dataOnly {
		dst = append(append(dst, r.ID...), ',')
		dst = append(r.CreatedAt.UTC().AppendFormat(dst, time.RFC3339Nano), ',')
		dst = append(r.UpdatedAt.UTC().AppendFormat(dst, time.RFC3339Nano), ',')
		dst = appendInt(dst, r.Version)
	}
	values := make(map[string][]byte, len(f.columns))
	for name, value := range members(r.Data) {
		values[name] = value
	}
	for i, name := range f.columns {
		if i > 0 || !dataOnly {
			dst = append(dst, ',')
		}
		value, ok := values[name]
		if !ok {
			value = nested(r.Data, name)
		}
		dst = appendValue(dst, value)
	}
	return append(dst, '\n')
}

func (*tableForm) end(dst []byte) []byte { return dst }

// nested returns the value at a dotted path, or nil.
func nested(data []byte, path string) []byte {
	names := bytes.Split([]byte(path), []byte{'.'})
	if len(names) == 1 {
		return nil
	}
	for _, name := range names {
		if len(data) == 0 || data[0] != '{' {
			return nil
		}
		data, _ = member(data, string(name))
	}
	return data
}

// appendValue appends a JSON value as a cell.
func appendValue(dst, value []byte) []byte {
	switch {
	case len(value) == 0 || string(value) == "null":
		return dst
	case value[0] != '"':
		return appendCell(dst, value)
	}
	var text string
	if json.Unmarshal(value, &text) != nil { // a stored record is valid JSON
		return dst
	}
	if text == "" {
		return append(dst, '"', '"')
	}
	return appendCell(dst, []byte(text))
}

func appendCell(dst, text []byte) []byte {
	if !slices.ContainsFunc(text, func(c byte) bool { return c == '"' || c == ',' || c == '\n' || c == '\r' }) {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
