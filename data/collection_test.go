package data_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestCollections(t *testing.T) {
	b := setup(t)
	a := b.call("POST", "", `{"name":"movies","schema":{"type":"object"},"indexes":[{"fields":["year","-when"],"unique":true}]}`).must(t, http.StatusCreated)
	if a.header.Get("Location") != "/v1/data/collections/movies" || a.header.Get("ETag") != `"1"` ||
		!strings.Contains(a.raw, `"indexes":[{"fields":["year","-when"],"unique":true}]`) || !strings.Contains(a.raw, `"schema":{"type":"object"}`) {
		t.Errorf("got %v %s", a.header, a.raw)
	}
	b.call("POST", "", `{"name":"movies"}`).problem(t, http.StatusConflict, "collection_exists", "")
	b.collection(`{"name":"a-b_C"}`)
	b.collection(`{"name":"zoo"}`)

	a = b.call("GET", "?limit=2", "").must(t, http.StatusOK)
	if !strings.Contains(a.raw, `"name":"a-b_C"`) || strings.Contains(a.raw, "zoo") {
		t.Errorf("first page: %s", a.raw)
	}
	a = b.call("GET", "?cursor="+a.body["next_cursor"].(string), "").must(t, http.StatusOK)
	if strings.Contains(a.raw, "movies") || !strings.Contains(a.raw, "zoo") || a.body["next_cursor"] != nil {
		t.Errorf("second page: %s", a.raw)
	}

	a = b.call("GET", "/movies", "").must(t, http.StatusOK)
	if a.header.Get("ETag") != `"1"` || a.body["version"] != 1.0 {
		t.Errorf("got %v %s", a.header, a.raw)
	}

	b.call("PATCH", "/movies", `{"schema":null}`, "If-Match", `"7"`).problem(t, http.StatusPreconditionFailed, "stale", "")
	b.call("PATCH", "/movies", `{"schema":null}`, "If-Match", `W/"1"`).problem(t, http.StatusPreconditionFailed, "stale", "")
	a = b.call("PATCH", "/movies", `{"schema":null}`, "If-Match", `"9", "1"`).must(t, http.StatusOK)
	if a.header.Get("ETag") != `"2"` || a.body["schema"] != nil || !strings.Contains(a.raw, `"fields":["year","-when"]`) {
		t.Errorf("the schema goes and the index stays: %s", a.raw)
	}
	a = b.call("PATCH", "/movies", `{"indexes":[]}`).must(t, http.StatusOK)
	if !strings.Contains(a.raw, `"indexes":[]`) || a.header.Get("ETag") != `"3"` {
		t.Errorf("got %s", a.raw)
	}

	b.call("DELETE", "/movies", "", "If-Match", `"1"`).problem(t, http.StatusPreconditionFailed, "stale", "")
	b.call("DELETE", "/movies", "", "If-Match", `"3"`).must(t, http.StatusNoContent)
	b.call("DELETE", "/zoo", "").must(t, http.StatusNoContent)
	b.call("GET", "/movies", "").problem(t, http.StatusNotFound, "not_found", "")
	b.call("DELETE", "/movies", "").problem(t, http.StatusNotFound, "not_found", "")
	b.call("PATCH", "/movies", `{}`).problem(t, http.StatusNotFound, "not_found", "")

	want := []string{
		`org_acme data.collection.created movies usr_1 {"collection":"movies","version":1}`,
		`org_acme data.collection.created a-b_C usr_1 {"collection":"a-b_C","version":1}`,
		`org_acme data.collection.created zoo usr_1 {"collection":"zoo","version":1}`,
		`org_acme data.collection.updated movies usr_1 {"collection":"movies","version":2}`,
		`org_acme data.collection.updated movies usr_1 {"collection":"movies","version":3}`,
		`org_acme data.collection.deleted movies usr_1 {"collection":"movies","version":3}`,
		`org_acme data.collection.deleted zoo usr_1 {"collection":"zoo","version":1}`,
	}
	if got := b.events(); !slices.Equal(got, want) {
		t.Errorf("events:\n%s", strings.Join(got, "\n"))
	}
}

func TestCollectionRefused(t *testing.T) {
	b := setup(t)
	indexes := strings.Repeat(`{"fields":["a"]},`, 16) + `{"fields":["b"]}`
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
		path   string
	}{
		"no name":          {`{}`, 422, "invalid", "/name"},
		"a digit first":    {`{"name":"1a"}`, 422, "invalid", "/name"},
		"a slash":          {`{"name":"a/b"}`, 422, "invalid", "/name"},
		"too long":         {`{"name":"` + strings.Repeat("a", 65) + `"}`, 422, "invalid", "/name"},
		"unknown member":   {`{"name":"a","schemas":{}}`, 422, "invalid", "/schemas"},
		"malformed":        {`{"name":`, 400, "malformed", ""},
		"a bad schema":     {`{"name":"a","schema":{"type":"x"}}`, 422, "invalid", "/schema/type"},
		"a remote schema":  {`{"name":"a","schema":{"$ref":"http://127.0.0.1:1/"}}`, 422, "invalid", "/schema/$ref"},
		"a name twice":     {`{"name":"a","schema":{"type":"object","type":"object"}}`, 422, "invalid", "/schema/type"},
		"no fields":        {`{"name":"a","indexes":[{"fields":[]}]}`, 422, "invalid", "/indexes/0/fields"},
		"a bad path":       {`{"name":"a","indexes":[{"fields":["a..b"]}]}`, 422, "invalid", "/indexes/0/fields/0"},
		"two in one":       {`{"name":"a","indexes":[{"fields":["a,b"]}]}`, 422, "invalid", "/indexes/0/fields/0"},
		"a field twice":    {`{"name":"a","indexes":[{"fields":["a","-a"]}]}`, 422, "invalid", "/indexes/0/fields/1"},
		"an index twice":   {`{"name":"a","indexes":[{"fields":["a"]},{"fields":["a"]}]}`, 422, "invalid", "/indexes/1/fields"},
		"too many fields":  {`{"name":"a","indexes":[{"fields":["a","b","c","d","e","f","g","h","i"]}]}`, 422, "invalid", "/indexes/0/fields"},
		"too many indexes": {`{"name":"a","indexes":[` + indexes + `]}`, 422, "invalid", "/indexes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			b.call("POST", "", c.body).problem(t, c.status, c.code, c.path)
		})
	}
}

func TestSchemaChange(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"people"}`)
	b.call("POST", "/people/records", `{"id":"old","data":{"age":"ten"}}`).must(t, http.StatusCreated)
	const schema = `"schema":{"properties":{"age":{"type":"integer"}},"required":["age"]}`
	a := b.call("PATCH", "/people", `{`+schema+`,"check_records":true}`)
	a.problem(t, http.StatusConflict, "records_invalid", "/schema")
	if !strings.Contains(a.raw, "old: /age must be integer") {
		t.Errorf("the record is not named: %s", a.raw)
	}
	b.call("PATCH", "/people", `{`+schema+`}`).must(t, http.StatusOK)
	b.call("GET", "/people/records/old", "").must(t, http.StatusOK)
	b.call("POST", "/people/records", `{"data":{"age":"ten"}}`).problem(t, http.StatusUnprocessableEntity, "invalid", "/data/age")
	b.call("PATCH", "/people/records/old", `{"name":"x"}`).problem(t, http.StatusUnprocessableEntity, "invalid", "/data/age")
	b.call("PATCH", "/people/records/old", `{"age":10}`).must(t, http.StatusOK)
	b.call("PATCH", "/people", `{`+schema+`,"check_records":true}`).must(t, http.StatusOK)

	// The same name and the same versions, another schema.
	b.call("DELETE", "/people", "").must(t, http.StatusNoContent)
	b.collection(`{"name":"people","schema":{"required":["name"]}}`)
	b.call("POST", "/people/records", `{"data":{"age":1}}`).problem(t, http.StatusUnprocessableEntity, "invalid", "/data/name")
	b.call("DELETE", "/people", "").must(t, http.StatusNoContent)
	b.collection(`{"name":"people","schema":{"required":["mail"]}}`)
	b.call("POST", "/people/records", `{"data":{"name":1}}`).problem(t, http.StatusUnprocessableEntity, "invalid", "/data/mail")
}
