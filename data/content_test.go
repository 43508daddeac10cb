package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/acme/platform"
)

func TestCompactObject(t *testing.T) {
	for in, want := range map[string]string{
		` { "a" : 1e3 , "b":[ 10.0, -0.5E+2,12345678901234567890123 ] } `: `{"a":1e3,"b":[10.0,-0.5E+2,12345678901234567890123]}`,
		"{\"a\\u00e9\":\"\\ud83d\\ude00 é  \\\\ \\\" \\/\"}":              "{\"a\\u00e9\":\"\\ud83d\\ude00 é  \\\\ \\\" \\/\"}",
		"{}":                            "{}",
		`{"a":{},"b":[],"c":[[]]}`:      `{"a":{},"b":[],"c":[[]]}`,
		`{"t":true,"f":false,"n":null}`: `{"t":true,"f":false,"n":null}`,
	} {
		if got, err := compactObject([]byte(in), "/data"); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}

func TestCompactObjectRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, maxDepth)
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	for name, c := range map[string]struct{ in, code, path string }{
		"empty":             {``, "malformed_json", ""},
		"white space":       {`  `, "malformed_json", ""},
		"open object":       {`{"a":1`, "malformed_json", ""},
		"open string":       {`{"a":"x`, "malformed_json", ""},
		"no colon":          {`{"a" 1}`, "malformed_json", ""},
		"trailing comma":    {`{"a":1,}`, "malformed_json", ""},
		"trailing text":     {`{"a":1} x`, "malformed_json", ""},
		"two values":        {`{} {}`, "malformed_json", ""},
		"leading zero":      {`{"a":00501}`, "malformed_json", ""},
		"plus":              {`{"a":+1}`, "malformed_json", ""},
		"bare point":        {`{"a":1.}`, "malformed_json", ""},
		"no exponent":       {`{"a":1e}`, "malformed_json", ""},
		"NaN":               {`{"a":NaN}`, "malformed_json", ""},
		"half a word":       {`{"a":tru}`, "malformed_json", ""},
		"control character": {"{\"a\":\"\x01\"}", "malformed_json", ""},
		"bad UTF-8":         {"{\"a\":\"\xff\"}", "malformed_json", ""},
		"bad UTF-8 name":    {"{\"\xff\":1}", "malformed_json", ""},
		"bad escape":        {`{"a":"\x"}`, "malformed_json", ""},
		"short escape":      {`{"a":"\u12"}`, "malformed_json", ""},
		"half surrogate":    {`{"a":"\ud800"}`, "malformed_json", ""},
		"low surrogate":     {`{"a":"\udc00"}`, "malformed_json", ""},
		"wrong pair":        {`{"a":"\ud800\u0041"}`, "malformed_json", ""},
		"array":             {`[1]`, "type", "/data"},
		"null":              {`null`, "type", "/data"},
		"text":              {`"x"`, "type", "/data"},
		"NUL":               {`{"a":{"b":"\u0000"}}`, "nul", "/data/a/b"},
		"NUL in a name":     {`{"a":{"\u0000":1}}`, "nul", "/data/a"},
		"empty name":        {`{"a":[{"":1}]}`, "name", "/data/a/0/"},
		"dollar":            {`{"$set":1}`, "name", "/data/$set"},
		"escaped dollar":    {`{"\u0024set":1}`, "name", "/data/$set"},
		"name twice":        {`{"a/b":{"c":1,"c":2}}`, "duplicate_name", "/data/a~1b/c"},
		"escaped twice":     {`{"c":1,"\u0063":2}`, "duplicate_name", "/data/c"},
		"one of many twice": {`{` + many.String() + `"k0":2}`, "duplicate_name", "/data/k0"},
		"too deep":          {deep + `{}` + strings.Repeat(`}`, maxDepth), "too_deep", "/data" + strings.Repeat("/a", maxDepth)},
		"huge exponent":     {`{"a":[1,1e1000000]}`, "number_range", "/data/a/1"},
		"tiny exponent":     {`{"a":1e-99999999999999999999}`, "number_range", "/data/a"},
		"long number":       {`{"a":` + strings.Repeat("9", maxNumber+1) + `}`, "number_range", "/data/a"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compactObject([]byte(c.in), "/data")
			var e *platform.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if c.path == "" {
				if e.Kind != platform.KindMalformed || e.Code != c.code {
					t.Errorf("got %v", e)
				}
				return
			}
			if e.Kind != platform.KindInvalid || len(e.Fields) != 1 || e.Fields[0].Code != c.code || e.Fields[0].Path != c.path {
				t.Errorf("got %v", e)
			}
		})
	}
	if _, err := compactObject([]byte(strings.Repeat(`{"a":`, maxDepth-1)+`{}`+strings.Repeat(`}`, maxDepth-1)), ""); err != nil {
		t.Errorf("as deep as allowed: %v", err)
	}
}

// FuzzCompactObject holds the scanner against encoding/json: what it takes is
// valid and says the same.
func FuzzCompactObject(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"\u00e9"}],"c":1e3}`, `{"a":"\ud83d\ude00"}`, `{"a" :1 , "b":[ ]}`, `{"a":1,"a":2}`, "{\"\xff\":0}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := compactObject(in, "")
		if err != nil {
			if kind := platform.KindOf(err); kind != platform.KindMalformed && kind != platform.KindInvalid {
				t.Fatalf("got %v", err)
			}
			return
		}
		var a, b any
		if json.Unmarshal(in, &a) != nil || json.Unmarshal(out, &b) != nil {
			t.Fatalf("encoding/json does not take %q -> %q", in, out)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if string(x) != string(y) {
			t.Fatalf("%q became %q", in, out)
		}
		again, err := compactObject(out, "")
		if err != nil || string(again) != string(out) {
			t.Fatalf("not stable: %q -> %q, %v", out, again, err)
		}
		n := 0
		for name, value := range members(out) {
			n++
			if !json.Valid(value) {
				t.Fatalf("member %q of %q: %q", name, out, value)
			}
		}
		if m, ok := a.(map[string]any); !ok || n != len(m) {
			t.Fatalf("%d members in %q", n, out)
		}
	})
}

func TestEnvelope(t *testing.T) {
	id, data, err := envelope([]byte(` { "data" : { "a" : 1 } , "id" : "x" } `), true)
	if err != nil || id != "x" || string(data) != `{"a":1}` {
		t.Fatalf("got %q %s %v", id, data, err)
	}
	for name, c := range map[string]struct{ in, code, path string }{
		"nothing":      {``, "malformed_json", ""},
		"array":        {`[]`, "type", "/"},
		"no data":      {`{}`, "required", "/data"},
		"only id":      {`{"id":"x"}`, "required", "/data"},
		"unknown":      {`{"data":{},"dat":1}`, "unknown", "/dat"},
		"twice":        {`{"data":{},"data":{}}`, "duplicate_name", "/data"},
		"id twice":     {`{"id":"a","id":"b","data":{}}`, "duplicate_name", "/id"},
		"id a number":  {`{"id":1,"data":{}}`, "type", "/id"},
		"empty id":     {`{"id":"","data":{}}`, "format", "/id"},
		"data an list": {`{"data":[]}`, "type", "/data"},
		"data null":    {`{"data":null}`, "type", "/data"},
		"text after":   {`{"data":{}} x`, "malformed_json", ""},
		"cut":          {`{"data":{}`, "malformed_json", ""},
		"cut earlier":  {`{"data"`, "malformed_json", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := envelope([]byte(c.in), true)
			var e *platform.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if c.path == "" && e.Code != c.code || c.path != "" && (len(e.Fields) == 0 || e.Fields[0].Code != c.code || e.Fields[0].Path != c.path) {
				t.Errorf("got %v", e)
			}
		})
	}
	if _, _, err := envelope([]byte(`{"id":"x","data":{}}`), false); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("an id where none may be: %v", err)
	}
}

func TestIfMatch(t *testing.T) {
	for header, want := range map[string][]int64{
		`"3"`: {3}, `"3", "4"`: {3, 4}, `W/"3"`: {}, `3`: {}, `"x"`: {}, `"03"`: {}, `"-1"`: {}, `*`: nil, ``: {}, `"3", *`: nil,
	} {
		got := ifMatch([]string{header})
		if (got == nil) != (want == nil) || len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
			t.Errorf("%s: got %v, want %v", header, got, want)
		}
	}
	if ifMatch(nil) != nil {
		t.Error("no header must be no condition")
	}
	for header, want := range map[string]bool{`"3"`: true, `W/"3"`: true, `"2","3"`: true, `*`: true, `"4"`: false, `3`: false} {
		if got := ifNoneMatch([]string{header}, 3); got != want {
			t.Errorf("If-None-Match %s: got %v", header, got)
		}
	}
}

func TestAccepted(t *testing.T) {
	for header, want := range map[string]Format{
		"*/*": NDJSON, "application/json": JSON, "text/csv, application/json;q=0.5": CSV,
		"application/json;q=0.5, text/csv;q=0.9": CSV, "text/html": "", "text/csv;q=0": "", "text/html, */*;q=0.1": NDJSON,
	} {
		if got := accepted([]string{header}); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}
