package data_test

import (
	"strings"
	"testing"
)

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
		"strings": {"/plain/records/import", "zip,n,b\n00501,1.50,true\n", 1, `{"zip":"00501","n":"1.50","b":"true"}`, nil},
		"quoted":  {"/plain/records/import", "a,b\r\n\"x, \"\"y\"\"\nz\",\"\"\r\n", 1, `{"a":"x, \"y\"\nz","b":""}`, nil},
		"missing": {"/plain/records/import", "\ufeffa,b,c\n1,,3\n\n,,\n", 2, "{\"a\":\"1\",\"c\":\"3\"}\n{}", nil},
		"no end":  {"/plain/records/import", "a\nx", 1, `{"a":"x"}`, nil},
		"inferred": {
			"/plain/records/import?types=infer", "zip,n,b,q,x\n00501,1.50,TRUE,\"7\",1e3\n+1,-0,no,\"\",0x1F\n", 2,
			"{\"zip\":\"00501\",\"n\":1.50,\"b\":true,\"q\":\"7\",\"x\":1e3}\n{\"zip\":\"+1\",\"n\":-0,\"b\":\"no\",\"q\":\"\",\"x\":\"0x1F\"}", nil,
		},
		"typed": {
			"/typed/records/import", "n,f,b,s,o,either,other\n1,1.50,true,5,\"{\"\"a\"\":[1]}\",6,7\n\"2\",null,False,,,,\n", 2,
			"{\"n\":1,\"f\":1.50,\"b\":true,\"s\":\"5\",\"o\":{\"a\":[1]},\"either\":\"6\",\"other\":\"7\"}\n{\"n\":2,\"f\":null,\"b\":false}", nil,
		},
		"wrong types":   {"/typed/records/import", "n,f,b,o\nx,,,\n1.5,,,\n007,,,\n,x,,\n,,1,\n,,,5\n1,2,true,{}\n", 1, `{"n":1,"f":2,"b":true,"o":{}}`, []string{"2 csv_type", "3 type", "4 csv_type", "5 csv_type", "6 csv_type", "7 csv_type"}},
		"wrong lines":   {"/plain/records/import", "a,b\n1\n1,2,3\nx\"y,1\n\"x\"y,1\n\"two\nlines\",ok\nlast,\"open\nto the end\n", 1, `{"a":"two\nlines","b":"ok"}`, []string{"2 csv_fields", "3 csv_fields", "4 csv_quote", "5 csv_quote", "8 csv_quote"}},
		"bad text":      {"/plain/records/import", "a,b\n\xff,1\n\x00,1\n1,2\n", 1, `{"a":"1","b":"2"}`, []string{"2 csv_text", "3 csv_text"}},
		"too large":     {"/plain/records/import", "a,b\n1," + strings.Repeat("x", 2<<20) + "\n1,2\n", 1, `{"a":"1","b":"2"}`, []string{"2 record_too_large"}},
		"too many":      {"/plain/records/import", "a,b\n" + strings.Repeat(",", 1<<20) + "\n1,2\n", 1, `{"a":"1","b":"2"}`, []string{"2 csv_fields"}},
		"a key":         {"/plain/records/import?key=a", "a,b\nx,1\n,2\ny,3\n", 2, "{\"a\":\"x\",\"b\":\"1\"}\n{\"a\":\"y\",\"b\":\"3\"}", []string{"3 key_missing"}},
		"only a header": {"/plain/records/import", "a,b\n", 0, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{tb: t, mux: b.mux}
			collection := strings.Split(c.path, "/")[1]
			r := b.importAs(csv, c.path, c.body)
			if r.Imported != c.imported || r.Failed != int64(len(c.errors)) {
				t.Errorf("got %+v", r)
			}
			wantErrors(t, r, c.errors...)
			a := b.call("GET", "/"+collection+"/records/export?shape=data", "")
			if strings.TrimSpace(a.raw) != c.want {
				t.Errorf("got %s, want %s", a.raw, c.want)
			}
			for _, r := range b.call("GET", "/"+collection+"/records", "").list(t).Data { // for the next case
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
			a := b.call("POST", "/plain/records/import", body, "Content-Type", csv)
			a.problem(t, 422, "invalid", "")
			if !strings.Contains(a.raw, `"code":"header"`) {
				t.Errorf("got %s", a.raw)
			}
		})
	}
}
