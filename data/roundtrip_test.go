package data_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRoundTrip imports any records as an array, exports them as NDJSON, imports
// that and exports again: text by text the same, in the same order.
func TestRoundTrip(t *testing.T) {
	b := setup(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		records := rapid.SliceOfN(object(3), 0, 20).Draw(rt, "records")
		one, two := fmt.Sprintf("/a%d", n), fmt.Sprintf("/b%d", n)
		b.collection(`{"name":"` + one[1:] + `"}`)
		b.collection(`{"name":"` + two[1:] + `"}`)
		r := b.importAs("application/json", one+"/records/import", "["+strings.Join(records, " ,\n")+"]")
		if r.Imported != int64(len(records)) {
			rt.Fatalf("imported %+v", r)
		}
		first := b.call("GET", one+"/records/export?shape=data", "").raw
		if strings.TrimSuffix(first, "\n") != strings.Join(records, "\n") {
			rt.Fatalf("exported\n%s\nwant\n%s", first, strings.Join(records, "\n"))
		}
		if r := b.importAs(ndjson, two+"/records/import", first); r.Imported != int64(len(records)) {
			rt.Fatalf("imported %+v", r)
		}
		second := b.call("GET", two+"/records/export?shape=data", "").raw
		if first != second {
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
