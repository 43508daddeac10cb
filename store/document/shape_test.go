package document_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

func TestSelect(t *testing.T) {
	const data = `{"b":1,"a":{"x":1.50,"y":[{"z":1,"w":2},3,[{"z":4}]]},"c":null}`
	for _, c := range []struct {
		fields []string
		want   string
	}{
		{nil, data},
		{[]string{}, `{}`},
		{[]string{"a.x", "b"}, `{"b":1,"a":{"x":1.50}}`},
		{[]string{"a.y.z"}, `{"a":{"y":[{"z":1},[{"z":4}]]}}`},
		{[]string{"a", "a.x"}, `{"a":{"x":1.50,"y":[{"z":1,"w":2},3,[{"z":4}]]}}`},
		{[]string{"b.x", "none", "@id", "c"}, `{"c":null}`},
	} {
		if got := document.Select(raw(data), c.fields); string(got) != c.want {
			t.Errorf("%v: got %s, want %s", c.fields, got, c.want)
		}
	}
}

func TestMergePatch(t *testing.T) {
	// The examples of RFC 7396, appendix A, and what it does not say: order
	// and spelling.
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"z":1.50,"a":1}`, `{"n":1e2,"a":2.0}`, `{"z":1.50,"a":2.0,"n":1e2}`},
		{`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
	} {
		if got := document.MergePatch(raw(c[0]), raw(c[1])); string(got) != c[2] {
			t.Errorf("%s with %s: got %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// TestMergePatchMeans compares with the algorithm of RFC 7396, section 2.
func TestMergePatchMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, patch := genValue(3).Draw(t, "target"), genValue(3).Draw(t, "patch")
		got := decode(t, string(document.MergePatch(raw(target), raw(patch))))
		if want := mergePatch(decode(t, target), decode(t, patch)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s with %s: got %v, want %v", target, patch, got, want)
		}
	})
}

func decode(t *rapid.T, s string) any {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func mergePatch(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if m, ok := target.(map[string]any); ok {
		for k, v := range m {
			out[k] = v
		}
	}
	for k, v := range p {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = mergePatch(out[k], v)
		}
	}
	return out
}

func TestNormalize(t *testing.T) {
	wide := `{"x":0`
	for i := range 40 {
		wide += fmt.Sprintf(`,"n%d":1`, i)
	}
	for data, want := range map[string]string{
		` { "b" : 1.50 , "a" : [ 1 , "x y" ] } `: `{"b":1.50,"a":[1,"x y"]}`,
		`{"a":"<&>\u2028"}`:                      `{"a":"<&>\u2028"}`,
		`{"a":1e6144,"b":-1e-6144,"c":0e99999}`:  `{"a":1e6144,"b":-1e-6144,"c":0e99999}`,
		wide + "}":                               wide + "}",
	} {
		if got, err := document.Normalize("/data", raw(data)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", data, got, err)
		}
	}
	for data, want := range map[string]string{
		``: "/data type", `[]`: "/data type", `null`: "/data type", `{"a":}`: "/data type", `{} {}`: "/data type", `{"a":01}`: "/data type",
		"{\"a\":\"\xff\"}":            "/data format",
		`{"a":1,"a":2}`:               "/data/a duplicate",
		`{"a":1,"\u0061":2}`:          "/data/a duplicate",
		wide + `,"n39":2}`:            "/data/n39 duplicate",
		`{"b":[0,{"c/d":1,"c/d":2}]}`: "/data/b/1/c~1d duplicate",
		`{"a":1e6145}`:                "/data/a range",
		`{"a":[1e-99999999999]}`:      "/data/a/0 range",
		`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`: "/data too_deep",
	} {
		_, err := document.Normalize("/data", raw(data))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.KindInvalid || e.Fields[0].Path+" "+e.Fields[0].Code != want {
			t.Errorf("%.60s: got %v, want %s", data, err, want)
		}
	}
}

func TestParseSort(t *testing.T) {
	got, err := document.ParseSort("-Release Date,@id,a.b")
	want := []document.SortField{{Path: "Release Date", Desc: true}, {Path: "@id"}, {Path: "a.b"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := document.ParseSort(""); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{",", "a,", "-", "a,-a", "$a", "a..b", "a,b,c,d,e,f,g,h,i", strings.Repeat("x", 257), strings.Repeat("a.", 16) + "a"} {
		if _, err := document.ParseSort(s); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%q: got %v", s, err)
		}
	}
}

func ExampleMergePatch() {
	fmt.Println(string(document.MergePatch(
		[]byte(`{"Title":"The Land Girls","Gross":146083,"Genre":null}`),
		[]byte(`{"Gross":null,"Genre":"Drama"}`))))
	// Output: {"Title":"The Land Girls","Genre":"Drama"}
}
