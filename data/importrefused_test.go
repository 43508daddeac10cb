package data_test

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

// What is not in a format that is taken is refused: never a 200 under which
// nothing, or something else, was stored.
func TestImportThatStoresNothingIsRefused(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things","schema":{"properties":{"n":{"type":"integer"}}}}`)
	for name, c := range map[string]struct {
		media, body string
		status      int
		code, field string
	}{
		"CloudEvents":            {"application/cloudevents+json", `{"specversion":"1.0"}`, 415, "unsupported", ""},
		"CloudEvents in a batch": {"application/cloudevents-batch+json", `[{"specversion":"1.0"}]`, 415, "unsupported", ""},
		"tabs, said so":          {"text/tab-separated-values", "a\tb\n1\t2\n", 415, "unsupported", ""},
		"tabs":                   {"text/csv", "a\tb\n1\t2\n", 422, "invalid", "/"},
		"semicolons":             {"text/csv", "a;b\n1;2\n", 422, "invalid", "/"},
		"bars":                   {"text/csv", "a|b\n1|2\n", 422, "invalid", "/"},
		"CR alone, CSV":          {"text/csv", "a,b\r1,2\r3,4\r", 400, "csv_line_end", ""},
		"CR alone, quoted CSV":   {"text/csv", "\"a\",\"b\"\r\"1\",\"2\"\r", 400, "csv_line_end", ""},
		"CR alone, NDJSON":       {"application/x-ndjson", "{\"n\":1}\r{\"n\":2}\r", 422, "nothing_imported", "line.1"},
		"an object":              {"application/json", `{"n":1}`, 422, "nothing_imported", "line.1"},
		"every line":             {"application/x-ndjson", "{\"n\":\"x\"}\n5\n", 422, "nothing_imported", "line.1"},
		"JSON as text in JSON":   {"application/json", `"[{\"n\":1}]"`, 422, "nothing_imported", "line.1"},
		"no type":                {"", `{"n":1}`, 415, "content_type_missing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			a := b.call("POST", "/things/records/import", c.body, "Content-Type", c.media)
			a.problem(t, c.status, c.code, c.field)
		})
	}
	if a := b.call("POST", "/things/records/count", ""); a.raw != `{"count":0}` {
		t.Errorf("got %s", a.raw)
	}
	// Of many columns one may have such a name, and a single one in quotes.
	for _, body := range []string{"\"a;b\"\nx\n", "a;b,c\nx,y\n", "a,b\r\nx,\"1\r2\"\r\n", "a,b\r\nx,y\r"} {
		if r := b.importAs("text/csv", "/things/records/import", body); r.Imported != 1 || r.Failed != 0 {
			t.Errorf("%q: %+v", body, r)
		}
	}
}

// A gzipped file is imported as what it holds, and one made to cost much ends.
func TestImportGzip(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	zip := func(text string) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return out.String()
	}
	send := func(media, body string) answer {
		return b.call("POST", "/things/records/import", body, "Content-Type", media, "Content-Encoding", "gzip")
	}
	for media, text := range map[string]string{"text/csv": "a,b\n1,2\n", "application/x-ndjson": "{\"a\":1}\n", "application/json": `[{"a":1}]`} {
		if a := send(media, zip(text)); a.status != 200 || !strings.Contains(a.raw, `"imported":1`) {
			t.Errorf("%s: %d %s", media, a.status, a.raw)
		}
	}
	whole := zip(strings.Repeat("a,b\n1,2\n", 10_000))
	for media, text := range map[string]string{"text/csv": whole[:len(whole)/2], "application/x-ndjson": "{\"a\":1}\n"} {
		if a := send(media, text); a.status != 400 || !strings.Contains(a.raw, "malformed_gzip") {
			t.Errorf("%s: %d %s", media, a.status, a.raw)
		}
	}
	a := send("application/x-ndjson", zip(strings.Repeat(" ", 200<<20)))
	if a.status != 413 || !strings.Contains(a.raw, "compression_ratio") && !strings.Contains(a.raw, "import_too_large") {
		t.Errorf("a bomb: %d %s", a.status, a.raw)
	}
}
