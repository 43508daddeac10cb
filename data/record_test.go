package data_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
)

func TestRecords(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"movies"}`)
	a := b.call("POST", "/movies/records", `{"data": {"title": "Ran <é>", "n": 1e3, "big": 12345678901234567890, "f": 10.0}}`).must(t, http.StatusCreated)
	id := a.body["id"].(string)
	if !strings.HasPrefix(id, "rec_") || a.header.Get("Location") != "/v1/data/collections/movies/records/"+id || a.header.Get("ETag") != `"1"` {
		t.Errorf("got %v %s", a.header, a.raw)
	}
	const want = `"version":1,"data":{"title":"Ran <é>","n":1e3,"big":12345678901234567890,"f":10.0}}`
	if !strings.HasSuffix(a.raw, want) {
		t.Errorf("got %s", a.raw)
	}

	a = b.call("GET", "/movies/records/"+id, "").must(t, http.StatusOK)
	if !strings.HasSuffix(a.raw, want) || a.header.Get("ETag") != `"1"` || a.header.Get("Cache-Control") != "private, no-cache" {
		t.Errorf("got %v %s", a.header, a.raw)
	}
	a = b.call("GET", "/movies/records/"+id, "", "If-None-Match", `"5", W/"1"`).must(t, http.StatusNotModified)
	if a.header.Get("ETag") != `"1"` || a.raw != "" {
		t.Errorf("a 304 repeats the ETag and has no body: %v %q", a.header, a.raw)
	}

	a = b.call("PUT", "/movies/records/"+id, `{"data":{"a":{"b":1,"c":2},"d":null}}`, "If-Match", `"1"`).must(t, http.StatusOK)
	if !strings.HasSuffix(a.raw, `"version":2,"data":{"a":{"b":1,"c":2},"d":null}}`) || a.header.Get("ETag") != `"2"` {
		t.Errorf("got %s", a.raw)
	}
	a = b.call("PATCH", "/movies/records/"+id, `{"a":{"b":null,"x":[1]},"e":"new"}`, "Content-Type", "application/merge-patch+json").must(t, http.StatusOK)
	if !strings.HasSuffix(a.raw, `"version":3,"data":{"a":{"c":2,"x":[1]},"d":null,"e":"new"}}`) {
		t.Errorf("got %s", a.raw)
	}

	b.call("POST", "/movies/records", `{"id":"tt:01.~-_","data":{}}`).must(t, http.StatusCreated)
	b.call("POST", "/movies/records", `{"id":"tt:01.~-_","data":{}}`).problem(t, http.StatusConflict, "exists", "")
	b.call("PUT", "/movies/records/made", `{"data":{}}`).problem(t, http.StatusNotFound, "not_found", "")
	b.call("PUT", "/movies/records/made", `{"data":{}}`, "If-None-Match", "*").must(t, http.StatusCreated)
	b.call("PUT", "/movies/records/made", `{"data":{}}`, "If-None-Match", "*").problem(t, http.StatusPreconditionFailed, "exists", "")
	b.call("PUT", "/movies/records/made", `{"data":{}}`, "If-None-Match", `"1"`).problem(t, 422, "invalid", "header.If-None-Match")

	b.call("DELETE", "/movies/records/made", "", "If-Match", `"2"`).problem(t, http.StatusPreconditionFailed, "stale", "")
	b.call("DELETE", "/movies/records/made", "", "If-Match", `"2", "1"`).must(t, http.StatusNoContent)
	b.call("GET", "/movies/records/made", "").problem(t, http.StatusNotFound, "not_found", "")
	b.call("DELETE", "/movies/records/made", "").problem(t, http.StatusNotFound, "not_found", "")

	wantEvents := []string{
		"data.record.created movies/" + id + ` usr_1 {"collection":"movies","id":"` + id + `","version":1}`,
		"data.record.updated movies/" + id + ` usr_1 {"collection":"movies","id":"` + id + `","version":2}`,
		"data.record.updated movies/" + id + ` usr_1 {"collection":"movies","id":"` + id + `","version":3}`,
		`data.record.created movies/tt:01.~-_ usr_1 {"collection":"movies","id":"tt:01.~-_","version":1}`,
		`data.record.created movies/made usr_1 {"collection":"movies","id":"made","version":1}`,
		`data.record.deleted movies/made usr_1 {"collection":"movies","id":"made","version":1}`,
	}
	got := b.events()[1:]
	for i := range got {
		got[i] = strings.TrimPrefix(got[i], "org_acme ")
	}
	if !slices.Equal(got, wantEvents) {
		t.Errorf("events:\n%s", strings.Join(got, "\n"))
	}
}

func TestRecordRefused(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things","schema":{"properties":{"n":{"type":"integer"}}},"indexes":[{"fields":["code"],"unique":true}]}`)
	b.call("POST", "/things/records", `{"id":"one","data":{"code":"x"}}`).must(t, http.StatusCreated)
	large := `{"s":"` + strings.Repeat("a", 1<<20) + `"}`
	huge := `{"s":"` + strings.Repeat("a", 2<<20) + `"}`
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code, field        string
		header             []string
	}{
		"malformed":           {"POST", "/things/records", `{"data":{`, 400, "malformed_json", "", nil},
		"empty":               {"POST", "/things/records", ``, 400, "body_required", "", nil},
		"a list":              {"POST", "/things/records", `{"data":[1]}`, 422, "invalid", "/data", nil},
		"unknown member":      {"POST", "/things/records", `{"data":{},"version":1}`, 422, "invalid", "/version", nil},
		"a bad id":            {"POST", "/things/records", `{"id":"a/b","data":{}}`, 422, "invalid", "/id", nil},
		"an operation's name": {"POST", "/things/records", `{"id":"export","data":{}}`, 422, "invalid", "/id", nil},
		"dots":                {"POST", "/things/records", `{"id":"..","data":{}}`, 422, "invalid", "/id", nil},
		"a long id":           {"POST", "/things/records", `{"id":"` + strings.Repeat("a", 129) + `","data":{}}`, 422, "invalid", "/id", nil},
		"a dollar name":       {"POST", "/things/records", `{"data":{"a":{"$x":1}}}`, 422, "invalid", "/data/a/$x", nil},
		"the schema":          {"POST", "/things/records", `{"data":{"n":"hunter2"}}`, 422, "invalid", "/data/n", nil},
		"a record too large":  {"POST", "/things/records", `{"data":` + large + `}`, 413, "record_too_large", "", nil},
		"a body too large":    {"POST", "/things/records", `{"data":` + huge + `}`, 413, "body_too_large", "", nil},
		"a media type":        {"POST", "/things/records", `a,b`, 415, "unsupported", "", []string{"Content-Type", "text/csv"}},
		"a unique index":      {"POST", "/things/records", `{"data":{"code":"x"}}`, 409, "unique", "", nil},
		"replace: no object":  {"PUT", "/things/records/one", `{"data":1}`, 422, "invalid", "/data", nil},
		"replace: with id":    {"PUT", "/things/records/one", `{"id":"one","data":{}}`, 422, "invalid", "/id", nil},
		"replace: schema":     {"PUT", "/things/records/one", `{"data":{"n":1.5}}`, 422, "invalid", "/data/n", nil},
		"replace: stale":      {"PUT", "/things/records/one", `{"data":{}}`, 412, "stale", "", []string{"If-Match", `"2"`}},
		"replace: weak":       {"PUT", "/things/records/one", `{"data":{}}`, 412, "stale", "", []string{"If-Match", `W/"1"`}},
		"patch: malformed":    {"PATCH", "/things/records/one", `{`, 400, "malformed_json", "", nil},
		"patch: a list":       {"PATCH", "/things/records/one", `[]`, 422, "invalid", "/", nil},
		"patch: schema":       {"PATCH", "/things/records/one", `{"n":"hunter2"}`, 422, "invalid", "/data/n", nil},
		"patch: stale":        {"PATCH", "/things/records/one", `{}`, 412, "stale", "", []string{"If-Match", `"2"`}},
		"patch: too large":    {"PATCH", "/things/records/one", large, 413, "record_too_large", "", nil},
		"patch: media type":   {"PATCH", "/things/records/one", `[]`, 415, "unsupported", "", []string{"Content-Type", "application/json-patch+json"}},
		"patch: none there":   {"PATCH", "/things/records/two", `{}`, 404, "not_found", "", nil},
		"query: unknown":      {"GET", "/things/records?filtre={}", ``, 422, "invalid", "query.filtre", nil},
		"query: twice":        {"GET", "/things/records?limit=1&limit=2", ``, 422, "invalid", "query.limit", nil},
		"query: limit":        {"GET", "/things/records?limit=1001", ``, 422, "invalid", "query.limit", nil},
		"query: no limit":     {"GET", "/things/records?limit=0", ``, 422, "invalid", "query.limit", nil},
		"query: cursor":       {"GET", "/things/records?cursor=x", ``, 400, "bad_cursor", "query.cursor", nil},
		"query: count":        {"GET", "/things/records?count=yes", ``, 422, "invalid", "query.count", nil},
		"query: filter":       {"GET", "/things/records?filter={", ``, 422, "invalid", "/filter", nil},
		"query: operator":     {"GET", "/things/records?filter=%7B%22a%22:%7B%22$where%22:1%7D%7D", ``, 422, "invalid", "/filter/a/$where", nil},
		"query: sort":         {"GET", "/things/records?sort=a..b", ``, 422, "invalid", "/sort", nil},
		"query: fields":       {"GET", "/things/records?fields=a,", ``, 422, "invalid", "/fields/1", nil},
		"body: unknown":       {"POST", "/things/records/query", `{"filtre":{}}`, 422, "invalid", "", nil},
		"body: sort":          {"POST", "/things/records/query", `{"sort":5}`, 422, "invalid", "", nil},
		"body: limit":         {"POST", "/things/records/query", `{"limit":"x"}`, 422, "invalid", "/limit", nil},
		"body: malformed":     {"POST", "/things/records/query", `{"limit":`, 400, "malformed", "", nil},
		"count: operator":     {"POST", "/things/records/count", `{"filter":{"$expr":1}}`, 422, "invalid", "/filter/$expr", nil},
		"import: media type":  {"POST", "/things/records/import", `a`, 415, "unsupported", "", []string{"Content-Type", "application/xml"}},
		"import: option":      {"POST", "/things/records/import?keys=a", `[]`, 422, "invalid", "query.keys", nil},
		"export: format":      {"GET", "/things/records/export?format=xml", ``, 422, "invalid", "query.format", nil},
		"export: shape":       {"GET", "/things/records/export?shape=x", ``, 422, "invalid", "query.shape", nil},
		"export: accept":      {"GET", "/things/records/export", ``, 406, "not_acceptable", "", []string{"Accept", "text/html"}},
		"export: operator":    {"GET", "/things/records/export?filter=%7B%22a%22:%7B%22$where%22:1%7D%7D", ``, 422, "invalid", "/filter/a/$where", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			a := b.call(c.method, c.path, c.body, c.header...)
			a.problem(t, c.status, c.code, c.field)
			if strings.Contains(a.raw, "hunter2") {
				t.Errorf("the value is sent back: %s", a.raw)
			}
		})
	}
	if a := b.call("GET", "/things/records/one", ""); !strings.HasSuffix(a.raw, `"version":1,"data":{"code":"x"}}`) {
		t.Errorf("a refused change left its mark: %s", a.raw)
	}
	if n := len(b.events()); n != 2 {
		t.Errorf("%d events, want those of the collection and the record", n)
	}
}

// TestIsolation asks every route for what belongs to another tenant, and wants
// the answer for what never was.
func TestIsolation(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"secret","schema":{"required":["a"]}}`)
	b.call("POST", "/secret/records", `{"id":"r1","data":{"a":1}}`).must(t, http.StatusCreated)
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/%s", ""},
		{"PATCH", "/%s", "{}"},
		{"DELETE", "/%s", ""},
		{"GET", "/%s/records", ""},
		{"POST", "/%s/records", `{"data":{}}`},
		{"GET", "/%s/records/r1", ""},
		{"PUT", "/%s/records/r1", `{"data":{}}`},
		{"PATCH", "/%s/records/r1", `{}`},
		{"DELETE", "/%s/records/r1", ""},
		{"POST", "/%s/records/query", "{}"},
		{"POST", "/%s/records/count", "{}"},
		{"POST", "/%s/records/import", "[]"},
		{"GET", "/%s/records/export", ""},
		{"GET", "/%s/records/export?format=csv", ""},
	} {
		theirs := b.callAs(globex, c.method, fmt.Sprintf(c.path, "secret"), c.body)
		nobodys := b.callAs(globex, c.method, fmt.Sprintf(c.path, "nothing"), c.body)
		if theirs.status != http.StatusNotFound || theirs.raw != nobodys.raw {
			t.Errorf("%s %s: got %d %s, want %s", c.method, c.path, theirs.status, theirs.raw, nobodys.raw)
		}
	}
	// A collection of one's own with that name does not help either.
	b.callAs(globex, "POST", "", `{"name":"secret"}`).must(t, http.StatusCreated)
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		body := map[string]string{"PUT": `{"data":{}}`, "PATCH": "{}"}[method]
		theirs := b.callAs(globex, method, "/secret/records/r1", body)
		nobodys := b.callAs(globex, method, "/secret/records/r2", body)
		if theirs.status != http.StatusNotFound || theirs.raw != nobodys.raw {
			t.Errorf("%s: got %d %s, want %s", method, theirs.status, theirs.raw, nobodys.raw)
		}
	}
	if a := b.callAs(globex, "GET", "/secret/records", ""); a.raw != `{"data":[]}` {
		t.Errorf("list: %s", a.raw)
	}
	a := b.callAs(acme, "GET", "/secret/records?limit=1", "").must(t, http.StatusOK)
	if !strings.Contains(a.raw, `"r1"`) {
		t.Errorf("one's own: %s", a.raw)
	}
	for _, r := range b.service.Routes() {
		if r.Access.Permission() == "" {
			t.Errorf("%s asks for no permission", r.Operation)
		}
	}
	if _, err := b.service.Record(t.Context(), platform.System("", "test"), "secret", "r1"); !errors.Is(err, platform.ErrUnauthenticated) {
		t.Errorf("without a tenant: %v", err)
	}
}

// TestRace has many replace one version; one may win. It also has many patch
// without a version; all must.
func TestRace(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"things"}`)
	b.call("POST", "/things/records", `{"id":"one","data":{}}`).must(t, http.StatusCreated)
	const n = 16
	var wg sync.WaitGroup
	statuses := make([]int, n)
	for i := range n {
		wg.Go(func() {
			statuses[i] = b.call("PUT", "/things/records/one", fmt.Sprintf(`{"data":{"by":%d}}`, i), "If-Match", `"1"`).status
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	if statuses[0] != http.StatusOK || statuses[1] != http.StatusPreconditionFailed || statuses[n-1] != http.StatusPreconditionFailed {
		t.Errorf("got %v", statuses)
	}
	const patchers = 12
	for i := range patchers {
		wg.Go(func() {
			statuses[i] = b.call("PATCH", "/things/records/one", fmt.Sprintf(`{"p%d":true}`, i)).status
		})
	}
	wg.Wait()
	a := b.call("GET", "/things/records/one", "")
	for i := range patchers {
		if statuses[i] != http.StatusOK || !strings.Contains(a.raw, fmt.Sprintf(`"p%d":true`, i)) {
			t.Errorf("patch %d: %d, %s", i, statuses[i], a.raw)
		}
	}
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data.db")
	b := open(t, path)
	b.collection(`{"name":"things","schema":{"required":["a"]}}`)
	b.call("POST", "/things/records", `{"id":"one","data":{"a":1.50}}`).must(t, http.StatusCreated)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	defer b.db.Close()
	if a := b.call("GET", "/things/records/one", ""); !strings.HasSuffix(a.raw, `"version":1,"data":{"a":1.50}}`) {
		t.Errorf("got %s", a.raw)
	}
	b.call("POST", "/things/records", `{"data":{}}`).problem(t, 422, "invalid", "/data/a")
}
