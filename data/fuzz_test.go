package data

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/acme/platform"
)

// read takes all items of an input that arrives byte by byte. It fails the
// test where an input does not end, or an item does not name its line.
func read(t *testing.T, input []byte, o ImportOptions, schema json.RawMessage) (good []string, faults int) {
	t.Helper()
	src, err := newSource(iotest.OneByteReader(bytes.NewReader(input)), o, schema, 1<<12)
	if err != nil {
		if !errors.Is(err, platform.ErrInvalid) && !errors.Is(err, platform.ErrMalformed) && !errors.Is(err, platform.ErrTooLarge) {
			t.Fatalf("newSource: %v", err)
		}
		return nil, 1
	}
	for range len(input) + 2 {
		it, err := src.next()
		if errors.Is(err, io.EOF) {
			return good, faults
		}
		if err != nil {
			t.Fatalf("next: %v", err)
		}
		if it.line < 1 || it.line > int64(len(input)+2) {
			t.Fatalf("line %d", it.line)
		}
		data, err := []byte(nil), it.err
		if err == nil {
			data, err = compactObject(it.raw, "")
		}
		var e *platform.Error
		switch {
		case err == nil:
			good = append(good, string(data))
		case !errors.As(err, &e):
			t.Fatalf("item: %v", err)
		default:
			faults++
			if it.last || it.fragile && e.Kind == platform.KindMalformed {
				return good, faults
			}
		}
	}
	t.Fatal("the input does not end")
	return nil, 0
}

func FuzzImportNDJSON(f *testing.F) {
	for _, seed := range []string{"{\"a\":1}\n\n{\"b\":\n{}\r\n", "\ufeff{}", "[]\nnull\n{\"a\":1,\"a\":2}", strings.Repeat("x", 100_000) + "\n{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		good, faults := read(t, input, ImportOptions{Format: NDJSON}, nil)
		lines := 0
		for line := range bytes.SplitSeq(bytes.TrimPrefix(input, []byte("\ufeff")), []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		if len(good)+faults != lines {
			t.Fatalf("%d good and %d refused of %d lines", len(good), faults, lines)
		}
	})
}

func FuzzImportArray(f *testing.F) {
	for _, seed := range []string{`[{"a":[1,"]"]},{}]`, `[ ]`, `[{"a":1},`, `[1,"x",null,{"a":"\""}]`, `[{]}`, `{}`, ``, `[{"a":1}] 5`, `["\\",{}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		good, faults := read(t, input, ImportOptions{Format: JSON}, nil)
		input = bytes.TrimPrefix(input, []byte("\ufeff"))
		var elements []json.RawMessage
		if json.Unmarshal(input, &elements) != nil || elements == nil {
			if faults == 0 {
				t.Fatalf("%q is no array", input)
			}
			return
		}
		var want []string
		for _, e := range elements {
			compact, err := compactObject(e, "")
			if errors.Is(err, platform.ErrMalformed) { // valid to encoding/json and not to us: bad UTF-8
				break
			}
			if err == nil {
				want = append(want, string(compact))
			}
		}
		if strings.Join(good, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q gave %q, want %q", input, good, want)
		}
	})
}

func FuzzImportCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a\n\"x\"\"y\n\"\n", "a,b\r\n\"\",\r\n", "a,a\n", "\"a\n", "a\nx\"y\n1", "a,b\n\"1\"2,3\n4,5", "a\n\n\n1"} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	schema := json.RawMessage(`{"properties":{"a":{"type":"integer"},"b":{"type":["boolean","null"]},"c":{"type":["object","array"]}}}`)
	f.Fuzz(func(t *testing.T, input []byte, typed bool) {
		if typed {
			read(t, input, ImportOptions{Format: CSV, Infer: true}, schema)
			return
		}
		good, faults := read(t, input, ImportOptions{Format: CSV}, nil)
		if bytes.ContainsAny(input, "\r\x00") || bytes.HasPrefix(input, []byte("\ufeff")) || len(input) > 1000 {
			return // encoding/csv rewrites these, or knows no limit
		}
		r := stdcsv.NewReader(bytes.NewReader(input))
		rows, err := r.ReadAll()
		if err != nil || faults > 0 {
			return
		}
		if len(rows) > 0 && len(good) != len(rows)-1 {
			t.Fatalf("%d records, encoding/csv has %d", len(good), len(rows)-1)
		}
		for i, text := range good {
			var got map[string]string
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			for j, name := range rows[0] {
				if got[name] != rows[i+1][j] {
					t.Fatalf("%s of record %d is %q, encoding/csv has %q", name, i, got[name], rows[i+1][j])
				}
			}
		}
	})
}
