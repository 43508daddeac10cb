package data_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestExportCSV(t *testing.T) {
	b := setup(t)
	b.collection(`{"name":"plain"}`)
	const rows = `{"a":"x, \"y\"\nz","b":"","n":1e3}
{"a":null,"o":{"k":[1,"q"]},"t":true}
`
	b.importAs(ndjson, "/plain/records/import?key=a", `{"a":"first"}`)
	b.call("DELETE", "/plain/records/first", "").must(t, 204)
	for i, row := range strings.Split(strings.TrimSpace(rows), "\n") {
		b.call("POST", "/plain/records", fmt.Sprintf(`{"id":"r%d","data":%s}`, i, row)).must(t, 201)
	}
	a := b.call("GET", "/plain/records/export?shape=data", "", "Accept", csv).must(t, 200)
	const want = "a,b,n,o,t\n\"x, \"\"y\"\"\nz\",\"\",1e3,,\n,,,\"{\"\"k\"\":[1,\"\"q\"\"]}\",true\n"
	if a.raw != want || a.header.Get("Content-Type") != csv {
		t.Errorf("got %q", a.raw)
	}
	a = b.call("GET", "/plain/records/export?format=csv&fields=o.k,a&filter=%7B%22t%22:true%7D", "").must(t, 200)
	if !strings.HasPrefix(a.raw, "id,created_at,updated_at,version,data.o.k,data.a\nr1,20") || !strings.HasSuffix(a.raw, ",1,\"[1,\"\"q\"\"]\",\n") {
		t.Errorf("got %q", a.raw)
	}
	b.collection(`{"name":"typed","schema":{"properties":{"z":{"type":"integer"},"a":{"type":"string"}}}}`)
	b.call("POST", "/typed/records", `{"data":{"a":"7","z":7,"more":1}}`).must(t, 201)
	a = b.call("GET", "/typed/records/export?format=csv&shape=data", "").must(t, 200)
	if a.raw != "z,a\n7,7\n" {
		t.Errorf("the schema's columns: got %q", a.raw)
	}
	if r := b.importAs(csv, "/typed/records/import", a.raw); r.Imported != 1 {
		t.Errorf("what an export wrote: %+v", r)
	}
}
