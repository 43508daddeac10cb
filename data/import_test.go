package data_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/store"
)

const (
	ndjson = "application/x-ndjson"
	csv    = "text/csv"
)

func (b *bench) importAs(media, path, body string) data.ImportResult {
	b.tb.Helper()
	a := b.call("POST", path, body, "Content-Type", media).must(b.tb, http.StatusOK)
	var r data.ImportResult
	if err := json.Unmarshal([]byte(a.raw), &r); err != nil {
		b.tb.Fatal(err)
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
			r := b.importAs(c.media, path+"/import", c.body)
			if r.Imported != 5 || r.Updated+r.Failed != 0 {
				t.Fatalf("got %+v", r)
			}
			a := b.call("GET", path+"/export?shape=data&sort=@created_at,@id", "", "Accept", ndjson).must(t, http.StatusOK)
			if sorted(a.raw) != sorted(sample) {
				t.Errorf("got\n%s", a.raw)
			}
			if a.header.Get("Content-Type") != ndjson || !strings.Contains(a.header.Get("Content-Disposition"), `.ndjson"`) {
				t.Errorf("got %v", a.header)
			}
			// The array of an export goes in again as it is.
			whole := b.call("GET", path+"/export?shape=data&format=json", "").must(t, http.StatusOK)
			b.collection(`{"name":"again-` + path[1:] + `"}`)
			if r := b.importAs("application/json", "/again-"+path[1:]+"/import", whole.raw); r.Imported != 5 {
				t.Errorf("again: %+v", r)
			}
			records := b.call("GET", path+"/export", "").must(t, http.StatusOK)
			if strings.Count(records.raw, `"version":1,"data":{`) != 5 {
				t.Errorf("records: %s", records.raw)
			}
		})
	}
	b.collection(`{"name":"nothing"}`)
	for format, want := range map[string]string{"ndjson": "", "json": "[\n]\n", "csv": "id,created_at,updated_at,version\n"} {
		if a := b.call("GET", "/nothing/export?format="+format, ""); a.status != 200 || a.raw != want {
			t.Errorf("an empty export as %s: %d %q", format, a.status, a.raw)
		}
	}
}

func sorted(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	// Ids of one millisecond are in no order.
	for i := range lines {
		for j := range i {
			if lines[i] < lines[j] {
				lines[i], lines[j] = lines[j], lines[i]
			}
		}
	}
	return strings.Join(lines, "\n")
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
	r := b.importAs(ndjson, "/things/import", strings.Join(lines, "\n"))
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
	if a := b.call("POST", "/things/count", ""); a.raw != `{"count":2}` {
		t.Errorf("got %s", a.raw)
	}
	// All of a batch refused, and more than are listed.
	r = b.importAs(ndjson, "/things/import", strings.Repeat(`{"code":"a"}`+"\n", 1500)+`{"code":"y"}`)
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
			r := b.importAs("application/json", "/things/import", c.body)
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
	r := b.importAs(ndjson, "/things/import?key=k", body)
	if r.Imported != 2 || r.Updated != 1 || r.Failed != 4 {
		t.Errorf("got %+v", r)
	}
	wantErrors(t, r, "3 key_missing", "4 key_type", "5 key_format", "6 key_type")
	if a := b.call("GET", "/things/records/a", ""); !strings.HasSuffix(a.raw, `"version":2,"data":{"k":"a","v":2}}`) {
		t.Errorf("got %s", a.raw)
	}
	b.call("GET", "/things/records/7", "").must(t, 200)
	r = b.importAs(ndjson, "/things/import?key=k", body)
	if r.Imported != 0 || r.Updated != 3 {
		t.Errorf("again: %+v", r)
	}
	events := b.events()
	if got := events[1]; got != `org_acme data.records.imported things usr_1 {"collection":"things","created":["a","7"],"updated":["a"]}` {
		t.Errorf("got %s", got)
	}
	if len(events) != 3 {
		t.Errorf("%d events, want one a batch", len(events))
	}
}

func TestImportCSV(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"plain"}`)
	b.collection(`{"name":"typed","schema":{"properties":{
		"n":{"type":"integer"},"f":{"type":["number","null"]},"b":{"type":"boolean"},"s":{"type":"string"},"o":{"type":"object"},"either":{"type":["string","integer"]}}}}`)
	for name, c := range map[string]struct {
		path, body string
		imported   int64
		want       string // exported data, or
		errors     []string
	}{
		"strings": {"/plain/import", "zip,n,b\n00501,1.50,true\n", 1, `{"zip":"00501","n":"1.50","b":"true"}`, nil},
		"quoted":  {"/plain/import", "a,b\r\n\"x, \"\"y\"\"\nz\",\"\"\r\n", 1, `{"a":"x, \"y\"\nz","b":""}`, nil},
		"missing": {"/plain/import", "\ufeffa,b,c\n1,,3\n\n,,\n", 2, "{\"a\":\"1\",\"c\":\"3\"}\n{}", nil},
		"no end":  {"/plain/import", "a\nx", 1, `{"a":"x"}`, nil},
		"inferred": {
			"/plain/import?types=infer", "zip,n,b,q,x\n00501,1.50,TRUE,\"7\",1e3\n+1,-0,no,\"\",0x1F\n", 2,
			"{\"zip\":\"00501\",\"n\":1.50,\"b\":true,\"q\":\"7\",\"x\":1e3}\n{\"zip\":\"+1\",\"n\":-0,\"b\":\"no\",\"q\":\"\",\"x\":\"0x1F\"}", nil,
		},
		"typed": {
			"/typed/import", "n,f,b,s,o,either,other\n1,1.50,true,5,\"{\"\"a\"\":[1]}\",6,7\n\"2\",null,False,,,,\n", 2,
			"{\"n\":1,\"f\":1.50,\"b\":true,\"s\":\"5\",\"o\":{\"a\":[1]},\"either\":\"6\",\"other\":\"7\"}\n{\"n\":2,\"f\":null,\"b\":false}", nil,
		},
		"wrong types":   {"/typed/import", "n,f,b,o\nx,,,\n1.5,,,\n007,,,\n,x,,\n,,1,\n,,,5\n1,2,true,{}\n", 1, `{"n":1,"f":2,"b":true,"o":{}}`, []string{"2 csv_type", "3 type", "4 csv_type", "5 csv_type", "6 csv_type", "7 csv_type"}},
		"wrong lines":   {"/plain/import", "a,b\n1\n1,2,3\nx\"y,1\n\"x\"y,1\n\"two\nlines\",ok\nlast,\"open\nto the end\n", 1, `{"a":"two\nlines","b":"ok"}`, []string{"2 csv_fields", "3 csv_fields", "4 csv_quote", "5 csv_quote", "8 csv_quote"}},
		"bad text":      {"/plain/import", "a,b\n\xff,1\n\x00,1\n1,2\n", 1, `{"a":"1","b":"2"}`, []string{"2 csv_text", "3 csv_text"}},
		"too large":     {"/plain/import", "a,b\n1," + strings.Repeat("x", 2<<20) + "\n1,2\n", 1, `{"a":"1","b":"2"}`, []string{"2 record_too_large"}},
		"too many":      {"/plain/import", "a,b\n" + strings.Repeat(",", 1<<20) + "\n1,2\n", 1, `{"a":"1","b":"2"}`, []string{"2 csv_fields"}},
		"a key":         {"/plain/import?key=a", "a,b\nx,1\n,2\ny,3\n", 2, "{\"a\":\"x\",\"b\":\"1\"}\n{\"a\":\"y\",\"b\":\"3\"}", []string{"3 key_missing"}},
		"only a header": {"/plain/import", "a,b\n", 0, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			collection := strings.Split(c.path, "/")[1]
			r := b.importAs(csv, c.path, c.body)
			if r.Imported != c.imported || r.Failed != int64(len(c.errors)) {
				t.Errorf("got %+v", r)
			}
			wantErrors(t, r, c.errors...)
			a := b.call("GET", "/"+collection+"/export?shape=data", "")
			if sorted(a.raw) != sorted(c.want) {
				t.Errorf("got %s, want %s", a.raw, c.want)
			}
			for _, r := range b.call("GET", "/"+collection+"/records", "").list(t).Data {
				b.call("DELETE", "/"+collection+"/records/"+r.ID, "").must(t, 204)
			}
		})
	}
	for name, body := range map[string]string{
		"no header": "", "an empty name": "a,,b\n", "a name twice": "a,b,a\n", "a dollar": "$a\n", "bad text": "a\xff\n",
		"many columns": strings.Repeat("a,", 2000) + "b\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			a := b.call("POST", "/plain/import", body, "Content-Type", csv)
			a.problem(t, 422, "invalid", "")
			if !strings.Contains(a.raw, `"code":"header"`) {
				t.Errorf("got %s", a.raw)
			}
		})
	}
}

func TestExportCSV(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"plain"}`)
	const rows = `{"a":"x, \"y\"\nz","b":"","n":1e3}
{"a":null,"o":{"k":[1,"q"]},"t":true}
`
	b.importAs(ndjson, "/plain/import?key=a", `{"a":"first"}`)
	b.call("DELETE", "/plain/records/first", "").must(t, 204)
	for i, row := range strings.Split(strings.TrimSpace(rows), "\n") {
		b.call("POST", "/plain/records", fmt.Sprintf(`{"id":"r%d","data":%s}`, i, row)).must(t, 201)
	}
	a := b.call("GET", "/plain/export?shape=data", "", "Accept", csv).must(t, 200)
	const want = "a,b,n,o,t\n\"x, \"\"y\"\"\nz\",\"\",1e3,,\n,,,\"{\"\"k\"\":[1,\"\"q\"\"]}\",true\n"
	if a.raw != want || a.header.Get("Content-Type") != csv {
		t.Errorf("got %q", a.raw)
	}
	a = b.call("GET", "/plain/export?format=csv&fields=o.k,a&filter=%7B%22t%22:true%7D", "").must(t, 200)
	if !strings.HasPrefix(a.raw, "id,created_at,updated_at,version,data.o.k,data.a\nr1,20") || !strings.HasSuffix(a.raw, ",1,\"[1,\"\"q\"\"]\",\n") {
		t.Errorf("got %q", a.raw)
	}
	b.collection(`{"name":"typed","schema":{"properties":{"z":{"type":"integer"},"a":{"type":"string"}}}}`)
	b.call("POST", "/typed/records", `{"data":{"a":"7","z":7,"more":1}}`).must(t, 201)
	a = b.call("GET", "/typed/export?format=csv&shape=data", "").must(t, 200)
	if a.raw != "z,a\n7,7\n" {
		t.Errorf("the schema's columns: got %q", a.raw)
	}
	if r := b.importAs(csv, "/typed/import", a.raw); r.Imported != 1 {
		t.Errorf("what an export wrote: %+v", r)
	}
}

// TestRoundTrip imports any records as an array, exports them as NDJSON, imports
// that and exports again: text by text the same.
func TestRoundTrip(t *testing.T) {
	b := setup(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		records := rapid.SliceOfN(object(3), 0, 20).Draw(rt, "records")
		one, two := fmt.Sprintf("/a%d", n), fmt.Sprintf("/b%d", n)
		b.collection(`{"name":"` + one[1:] + `"}`)
		b.collection(`{"name":"` + two[1:] + `"}`)
		r := b.importAs("application/json", one+"/import", "["+strings.Join(records, " ,\n")+"]")
		if r.Imported != int64(len(records)) {
			rt.Fatalf("imported %+v", r)
		}
		first := b.call("GET", one+"/export?shape=data", "").raw
		if sorted(first) != sorted(strings.Join(records, "\n")) {
			rt.Fatalf("exported\n%s\nwant\n%s", first, strings.Join(records, "\n"))
		}
		if r := b.importAs(ndjson, two+"/import", first); r.Imported != int64(len(records)) {
			rt.Fatalf("imported %+v", r)
		}
		second := b.call("GET", two+"/export?shape=data", "").raw
		if sorted(first) != sorted(second) {
			rt.Fatalf("exported again\n%s\nwant\n%s", second, first)
		}
	})
}

// object makes JSON objects without white space whose numbers and strings are
// written in every way there is.
func object(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zA-Zé. ]{1,8}`), 0, 5, rapid.ID).Draw(t, "names")
		parts := make([]string, len(names))
		for i, name := range names {
			parts[i] = `"` + name + `":` + value(depth).Draw(t, "value")
		}
		return "{" + strings.Join(parts, ",") + "}"
	})
}

func value(depth int) *rapid.Generator[string] {
	leaves := []*rapid.Generator[string]{
		rapid.SampledFrom([]string{"null", "true", "false", "0", "-0", "10.0", "1e3", "1E+03", "-0.0", "12345678901234567890", "1e400", "0.1", "1e-7"}),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?`),
		rapid.SampledFrom([]string{`""`, `"00501"`, `"\u00e9\n"`, `"\ud83d\ude00"`, `"\/"`, `"a,b"`, `"null"`}),
		rapid.Custom(func(t *rapid.T) string {
			s := strings.ReplaceAll(rapid.String().Draw(t, "s"), "\x00", "")
			return string(must(json.Marshal(s)))
		}),
	}
	if depth > 0 {
		leaves = append(leaves, object(depth-1), rapid.Custom(func(t *rapid.T) string {
			return "[" + strings.Join(rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "list"), ",") + "]"
		}))
	}
	return rapid.OneOf(leaves...)
}

// breaking ends with an error after its text.
type breaking struct {
	io.Reader
	err error
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

// TestImportBroken breaks an import off and sends it again: what was committed
// stays, half a record is never written, and nothing is doubled.
func TestImportBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.db")
	b := open(t, path)
	b.collection(`{"name":"things"}`)
	var file strings.Builder
	for i := range 1700 {
		fmt.Fprintf(&file, `{"k":"k%d","v":"%d"}`+"\n", i, i)
	}
	cut := file.String()[:file.Len()-7] // within a record; without its end it would still be a number
	p := principal(acme)
	r, err := b.service.Import(t.Context(), p, "things", &breaking{strings.NewReader(cut), io.ErrUnexpectedEOF}, data.ImportOptions{Format: data.NDJSON, Key: "k"})
	if !errors.Is(err, platform.ErrMalformed) || r.Imported != 1500 {
		t.Errorf("got %+v, %v", r, err)
	}
	w := httptest.NewRecorder()
	req := httptest.NewRequest("POST", "/v1/data/collections/things/import?key=k", &breaking{strings.NewReader(cut), io.ErrUnexpectedEOF})
	req.Header.Set("Content-Type", ndjson)
	b.mux.ServeHTTP(w, req.WithContext(platform.WithPrincipal(req.Context(), p)))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "before that 0 records were imported and 1500 updated") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	defer b.db.Close()
	if a := b.call("POST", "/things/count", ""); a.raw != `{"count":1500}` {
		t.Errorf("after a restart: %s", a.raw)
	}
	// The caller goes away between two batches.
	ctx, cancel := context.WithCancel(t.Context())
	stop := &faulty{Documents: b.docs, after: func(n int) {
		if n == 2 {
			cancel()
		}
	}}
	b.serve(stop)
	_, err = b.service.Import(ctx, p, "things", strings.NewReader(file.String()), data.ImportOptions{Format: data.NDJSON, Key: "k"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.serve(b.docs)
	again := b.importAs(ndjson, "/things/import?key=k", file.String())
	if again.Imported != 200 || again.Updated != 1500 || again.Failed != 0 {
		t.Errorf("again: %+v", again)
	}
}

// faulty is documents that fail, or tell, at a given call.
type faulty struct {
	store.Documents
	batches  int
	after    func(n int)
	applyErr func(n int) error
	findErr  func(n int) error
	finds    int
}

func (s *faulty) Apply(
	ctx context.Context, tenant platform.TenantID, collection string, changes []store.Change, build store.EventsBuilder,
) ([]store.Document, error) {
	if s.applyErr != nil {
		if err := s.applyErr(s.batches + 1); err != nil {
			s.batches++
			return nil, err
		}
	}
	docs, err := s.Documents.Apply(ctx, tenant, collection, changes, build)
	if s.batches++; s.after != nil {
		s.after(s.batches)
	}
	return docs, err
}

func (s *faulty) Find(ctx context.Context, tenant platform.TenantID, collection string, q store.Query) (store.Page, error) {
	if s.finds++; s.findErr != nil {
		if err := s.findErr(s.finds); err != nil {
			return store.Page{}, err
		}
	}
	return s.Documents.Find(ctx, tenant, collection, q)
}

// TestExportBroken has the store fail in the middle of an export: the connection
// must break, or the caller would take what came for all.
func TestExportBroken(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	b.importAs(ndjson, "/things/import", strings.Repeat("{\"a\":1}\n", 300))
	failing := errors.New("the disk is gone")
	for fail := 1; fail <= 2; fail++ {
		b.serve(&faulty{Documents: b.docs, findErr: func(n int) error {
			if n >= fail {
				return failing
			}
			return nil
		}})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.mux.ServeHTTP(w, r.WithContext(platform.WithPrincipal(r.Context(), principal(acme))))
		}))
		resp, err := server.Client().Get(server.URL + "/v1/data/collections/things/export")
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if fail == 1 && (resp.StatusCode != 500 || err != nil) || fail == 2 && (resp.StatusCode != 200 || err == nil) {
			t.Errorf("fail at page %d: %d, %v", fail, resp.StatusCode, err)
		}
		server.Close()
	}
}

// TestImportStoreAway tells a store that is away from a line that is wrong, and
// a transaction that lost from both.
func TestImportStoreAway(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	full := platform.Errorf(platform.KindUnavailable, "disk_full", "the disk is full")
	b.serve(&faulty{Documents: b.docs, applyErr: func(n int) error {
		switch n {
		case 1:
			return platform.Errorf(platform.KindConflict, "conflict", "another transaction was faster")
		case 3:
			return full
		}
		return nil
	}})
	a := b.call("POST", "/things/import", strings.Repeat("{\"a\":1}\n", 1200), "Content-Type", ndjson)
	a.problem(t, http.StatusServiceUnavailable, "disk_full", "")
	if !strings.Contains(a.raw, "before that 500 records were imported") {
		t.Errorf("got %s", a.raw)
	}
	b.serve(b.docs)
	if a := b.call("POST", "/things/count", ""); a.raw != `{"count":500}` {
		t.Errorf("got %s", a.raw)
	}
}
