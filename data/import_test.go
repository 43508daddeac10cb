package data_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/acme/platform/data"
)

const (
	ndjson = "application/x-ndjson"
	csv    = "text/csv"
)

func (b *bench) importAs(media, path, body string) data.ImportResult {
	b.tb.Helper()
	a := b.call("POST", path, body, "Content-Type", media)
	var r data.ImportResult
	if a.status == http.StatusUnprocessableEntity && strings.Contains(a.raw, "nothing_imported") {
		return b.refused(a.raw)
	}
	a.must(b.tb, http.StatusOK)
	if err := json.Unmarshal([]byte(a.raw), &r); err != nil {
		b.tb.Fatal(err)
	}
	return r
}

// refused makes a result of the problem of an import of which nothing was taken.
func (b *bench) refused(raw string) (r data.ImportResult) {
	b.tb.Helper()
	var p struct {
		Errors []struct{ Path, Code, Detail string }
	}
	if err := json.Unmarshal([]byte(raw), &p); err != nil {
		b.tb.Fatal(err)
	}
	for _, e := range p.Errors {
		line, err := strconv.ParseInt(strings.TrimPrefix(e.Path, "line."), 10, 64)
		if err != nil {
			b.tb.Fatalf("the path %q", e.Path)
		}
		r.Failed++
		r.Errors = append(r.Errors, data.ImportError{Line: line, Code: e.Code, Detail: e.Detail})
	}
	return r
}

// wantErrors compares "line code" with what a result holds.
func wantErrors(tb testing.TB, r data.ImportResult, want ...string) {
	tb.Helper()
	var got []string
	for _, e := range r.Errors {
		got = append(got, fmt.Sprintf("%d %s", e.Line, e.Code))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		tb.Errorf("errors: got %v, want %v (%+v)", got, want, r.Errors)
	}
}

// sample holds what imports get wrong: numbers by their text, missing members,
// several types in one, other scripts, and what looks like something else.
const sample = `{"n":1e3,"zip":"00501","title":"Amélie 東京 😀"}
{"n":10.0,"big":123456789012345678901234567890,"neg":-0.0}
{"n":"text","list":[1,"a",null,{"x":[]}],"esc":"a\"b\\c\/d\u00e9\n"}
{}
{"n":null,"t":true,"empty":"","obj":{"b":1,"a":2}}
`

func TestImportExport(t *testing.T) {
	b := setup(t)
	array := "[" + strings.ReplaceAll(strings.TrimSpace(sample), "\n", ",\r\n ") + "]"
	for name, c := range map[string]struct{ media, body string }{
		"ndjson":  {ndjson, sample},
		"crlf":    {ndjson, strings.ReplaceAll(sample, "\n", "\r\n\r\n")},
		"no end":  {ndjson, strings.TrimSpace(sample)},
		"bom":     {ndjson, "\ufeff" + sample},
		"array":   {"application/json", array},
		"charset": {"application/json; charset=utf-8", array},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			path := "/" + strings.ReplaceAll(name, " ", "-")
			b.collection(`{"name":"` + path[1:] + `"}`)
			r := b.importAs(c.media, path+"/records/import", c.body)
			if r.Imported != 5 || r.Updated+r.Failed != 0 {
				t.Fatalf("got %+v", r)
			}
			a := b.call("GET", path+"/records/export?shape=data", "", "Accept", ndjson).must(t, http.StatusOK)
			if a.raw != sample {
				t.Errorf("got\n%s", a.raw)
			}
			if a.header.Get("Content-Type") != ndjson || !strings.Contains(a.header.Get("Content-Disposition"), `.ndjson"`) {
				t.Errorf("got %v", a.header)
			}
			// The array of an export goes in again as it is.
			whole := b.call("GET", path+"/records/export?shape=data&format=json", "").must(t, http.StatusOK)
			b.collection(`{"name":"again-` + path[1:] + `"}`)
			if r := b.importAs("application/json", "/again-"+path[1:]+"/records/import", whole.raw); r.Imported != 5 {
				t.Errorf("again: %+v", r)
			}
			records := b.call("GET", path+"/records/export", "").must(t, http.StatusOK)
			if strings.Count(records.raw, `"version":1,"data":{`) != 5 {
				t.Errorf("records: %s", records.raw)
			}
		})
	}
	b.collection(`{"name":"nothing"}`)
	for format, want := range map[string]string{"ndjson": "", "json": "[\n]\n", "csv": "id,created_at,updated_at,version\n"} {
		if a := b.call("GET", "/nothing/records/export?format="+format, ""); a.status != 200 || a.raw != want {
			t.Errorf("an empty export as %s: %d %q", format, a.status, a.raw)
		}
	}
}

func TestImportRefusedLines(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things","schema":{"properties":{"n":{"type":"integer"}}},"indexes":[{"fields":["code"],"unique":true}]}`)
	lines := []string{
		`{"code":"a"}`,
		``,
		`{"code":"b"`,
		`[1]`,
		`{"n":"hunter2"}`,
		`{"code":"a","twice":true}`,
		`{"x":1,"x":2}`,
		"{\"x\":\"\xff\"}",
		`{"x":"\u0000"}`,
		`{"x":"` + strings.Repeat("a", 1<<20) + `"}`,
		`{"x":"` + strings.Repeat("a", 3<<20) + `"}`,
		`{"n":1.5}`,
		strings.Repeat(`{"a":`, 70) + `{}` + strings.Repeat("}", 70),
		`{"code":"z"}`,
	}
	r := b.importAs(ndjson, "/things/records/import", strings.Join(lines, "\n"))
	if r.Imported != 2 || r.Failed != 11 {
		t.Errorf("got %+v", r)
	}
	wantErrors(t, r, "3 malformed_json", "4 type", "5 type", "7 duplicate_name", "8 malformed_json", "9 nul",
		"10 record_too_large", "11 record_too_large", "12 type", "13 too_deep", "6 unique")
	for _, e := range r.Errors {
		if strings.Contains(e.Detail, "hunter2") || e.Detail == "" {
			t.Errorf("the detail %q", e.Detail)
		}
	}
	if a := b.call("POST", "/things/records/count", ""); a.raw != `{"count":2}` {
		t.Errorf("got %s", a.raw)
	}
	// All of a batch refused, and more than are listed.
	r = b.importAs(ndjson, "/things/records/import", strings.Repeat(`{"code":"a"}`+"\n", 1500)+`{"code":"y"}`)
	if r.Imported != 1 || r.Failed != 1500 || len(r.Errors) != 1000 || r.Errors[999].Line != 1000 {
		t.Errorf("got %d %d %d", r.Imported, r.Failed, len(r.Errors))
	}
}

func TestImportArray(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things","schema":{"properties":{"n":{"type":"integer"}}}}`)
	long := `{"x":"` + strings.Repeat("a", 3<<20) + `"}`
	for name, c := range map[string]struct {
		body     string
		imported int64
		errors   []string
	}{
		"empty":               {`[]`, 0, nil},
		"white space":         {" \n[ ] \n", 0, nil},
		"a refused element":   {`[{"n":1},{"n":"x"},5,"a,]",{"n":2}]`, 2, []string{"2 type", "3 type", "4 type"}},
		"too large":           {`[{"n":1},` + long + `,{"n":2}]`, 2, []string{"2 record_too_large"}},
		"nested":              {`[{"a":{"b":[1,{"c":"]}"}]}} , {}]`, 2, nil},
		"nothing":             {``, 0, []string{"1 malformed"}},
		"an object":           {`{"n":1}`, 0, []string{"1 malformed"}},
		"not closed":          {`[{"n":1},{"n":2}`, 2, []string{"2 malformed"}},
		"cut in an element":   {`[{"n":1},{"n":`, 1, []string{"2 malformed"}},
		"no comma":            {`[{"n":1} {"n":2}]`, 1, []string{"1 malformed"}},
		"trailing comma":      {`[{"n":1},]`, 1, []string{"2 malformed"}},
		"two commas":          {`[{"n":1},,{"n":2}]`, 1, []string{"2 malformed"}},
		"text after":          {`[{"n":1}] x`, 1, []string{"2 malformed"}},
		"a malformed element": {`[{"n":1},{"n" 2},{"n":3}]`, 1, []string{"2 malformed_json"}},
		"mixed brackets":      {`[{"n":1},{"n":2],{"n":3}}]`, 1, []string{"2 malformed_json"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			r := b.importAs("application/json", "/things/records/import", c.body)
			if r.Imported != c.imported || r.Failed != int64(len(c.errors)) {
				t.Errorf("got %+v", r)
			}
			wantErrors(t, r, c.errors...)
		})
	}
}

func TestImportKey(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	const body = `{"k":"a","v":1}
{"k":7,"v":1}
{"v":1}
{"k":1.5}
{"k":"a b"}
{"k":null}
{"k":"a","v":2}
`
	r := b.importAs(ndjson, "/things/records/import?key=k", body)
	if r.Imported != 2 || r.Updated != 1 || r.Failed != 4 {
		t.Errorf("got %+v", r)
	}
	wantErrors(t, r, "3 key_missing", "4 key_type", "5 key_format", "6 key_type")
	if a := b.call("GET", "/things/records/a", ""); !strings.HasSuffix(a.raw, `"version":2,"data":{"k":"a","v":2}}`) {
		t.Errorf("got %s", a.raw)
	}
	b.call("GET", "/things/records/7", "").must(t, 200)
	r = b.importAs(ndjson, "/things/records/import?key=k", body)
	if r.Imported != 0 || r.Updated != 3 {
		t.Errorf("again: %+v", r)
	}
}

// An import has the events of single changes, each with the record's subject and
// the import's id, in the transaction of its batch.
func TestImportEmitsForEachRecord(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	b.call("POST", "/things/records", `{"id":"b","data":{}}`).must(t, http.StatusCreated)
	r := b.importAs(ndjson, "/things/records/import?key=k", `{"k":"a"}
{"k":7}
{"no":"key"}
{"k":"b"}
{"k":"a","v":2}
`)
	again := b.importAs(ndjson, "/things/records/import?key=k", `{"k":7,"v":2}`)
	b.call("PATCH", "/things/records/a", `{"v":3}`).must(t, http.StatusOK)
	if !strings.HasPrefix(r.ID, "imp_") || r.ID == again.ID {
		t.Errorf("the imports %q and %q", r.ID, again.ID)
	}
	event := func(what, id string, version int, more string) string {
		return fmt.Sprintf(`org_acme data.record.%s things/%s usr_1 {"collection":"things","id":"%s","version":%d%s}`, what, id, id, version, more)
	}
	first, second := `,"import":"`+r.ID+`"`, `,"import":"`+again.ID+`"`
	want := []string{
		event("created", "b", 1, ""),
		event("created", "a", 1, first), event("created", "7", 1, first), event("updated", "b", 2, first), event("updated", "a", 2, first),
		event("updated", "7", 2, second), event("updated", "a", 3, ""),
	}
	if got := b.events()[1:]; !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}
