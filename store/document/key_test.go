package document_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/acme/platform/store/document"
)

// order is MongoDB's, one line for each place.
var order = [][]string{
	{"", "null"},
	{"-1e6000"},
	{"-9223372036854775809"},
	{"-9223372036854775808"},
	{"-10"},
	{"-9.5"},
	{"-1.5", "-15e-1"},
	{"-1.25"},
	{"-0.001"},
	{"0", "-0", "0.00", "0e9"},
	{"1e-6000"},
	{"0.1", "0.10", "1e-1"},
	{"0.1000000000000000055511151231257827"},
	{"1", "1.0", "10e-1"},
	{"9"},
	{"10"},
	{"9007199254740992"},
	{"9007199254740992.5"},
	{"9007199254740993"},
	{"18446744073709551616"},
	{"1e300"},
	{`""`},
	{`"\u0000"`},
	{`"\u0001"`},
	{`"A"`},
	{`"a"`, `"\u0061"`},
	{`"a\u0000"`},
	{`"aa"`},
	{`"b"`},
	{`"é"`},
	{`"😀"`, `"\ud83d\ude00"`},
	{`{}`},
	{`{"b":null}`},
	{`{"a":1}`},
	{`{"a":1,"b":1}`, `{"a":1.0, "b":1}`},
	{`{"a":2}`},
	{`{"b":0}`},
	{`{"a":""}`},
	{`{"a":[]}`},
	{`[]`},
	{`[null]`},
	{`[1]`},
	{`[1,1]`},
	{`[2]`},
	{`["a"]`},
	{`[[]]`},
	{`[false]`},
	{"false"},
	{"true"},
}

func TestOrder(t *testing.T) {
	for i, a := range order {
		for j, b := range order {
			want := min(max(i-j, -1), 1)
			for _, x := range a {
				for _, y := range b {
					if got := document.Compare(raw(x), raw(y)); got != want {
						t.Errorf("Compare(%s, %s) = %d, want %d", x, y, got, want)
					}
					if got := bytes.Compare(document.AppendKey(nil, raw(x), false), document.AppendKey(nil, raw(y), false)); got != want {
						t.Errorf("keys of %s and %s: %d, want %d", x, y, got, want)
					}
				}
			}
		}
	}
}

func raw(s string) json.RawMessage { return json.RawMessage(s) }

// TestNumbers compares with exact arithmetic.
func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genNumber.Draw(t, "a"), genNumber.Draw(t, "b")
		x, ok := new(big.Rat).SetString(a)
		y, fine := new(big.Rat).SetString(b)
		if !ok || !fine {
			t.Fatalf("%s or %s is no number", a, b)
		}
		if got := document.Compare(raw(a), raw(b)); got != x.Cmp(y) {
			t.Fatalf("Compare(%s, %s) = %d", a, b, got)
		}
	})
}

func TestKeysAreInTheOrderOfValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Lists of values, so that what follows a key matters too.
		var values [2][]string
		var keys [2][]byte
		desc := rapid.SliceOfN(rapid.Bool(), 2, 2).Draw(t, "desc")
		for i := range values {
			values[i] = rapid.SliceOfN(genValue(2), 2, 2).Draw(t, "values")
			for j, v := range values[i] {
				keys[i] = document.AppendKey(keys[i], raw(v), desc[j])
			}
		}
		want := 0
		for j := 0; want == 0 && j < 2; j++ {
			a, b := values[0][j], values[1][j]
			want = document.Compare(raw(a), raw(b))
			ka, kb := document.AppendKey(nil, raw(a), false), document.AppendKey(nil, raw(b), false)
			if len(ka) == document.MaxKeyBytes && len(kb) == document.MaxKeyBytes && want != 0 {
				if bytes.Equal(ka, kb) {
					t.Fatalf("%s and %s have the same key", a, b)
				}
				return // cut keys keep equality only
			}
			if desc[j] {
				want = -want
			}
		}
		if got := bytes.Compare(keys[0], keys[1]); got != want {
			t.Fatalf("keys of %v and %v (desc %v): %d, want %d", values[0], values[1], desc, got, want)
		}
		rest := keys[0]
		for j, v := range values[0] {
			var first []byte
			first, rest = document.SplitKey(rest, desc[j])
			if !bytes.Equal(first, document.AppendKey(nil, raw(v), desc[j])) {
				t.Fatalf("key %d of %v is split as %x", j, values[0], first)
			}
		}
		if len(rest) != 0 {
			t.Fatalf("%x is left of the keys of %v", rest, values[0])
		}
	})
}

func TestSplitKeyOfNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x10, 0x18, 0x21, 0x23, 0x30, 0x40, 0x50, 0x60, 0xFF, 0xCF, 'a'}), 0, 300).Draw(t, "bytes")
		first, rest := document.SplitKey(b, rapid.Bool().Draw(t, "desc"))
		if first != nil && !bytes.Equal(slices.Concat(first, rest), b) {
			t.Fatalf("%x is split into %x and %x", b, first, rest)
		}
	})
}

// TestBoundsHoldWhatMatches is what every index relies on: a record that meets
// a filter has a key in the bounds of each path.
func TestBoundsHoldWhatMatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := genFilter(2).Draw(t, "filter")
		filter := parse(t, text)
		data := genObject(3).Draw(t, "data")
		path := genPath.Draw(t, "path")
		desc := rapid.Bool().Draw(t, "desc")
		index, err := document.NewIndex([]document.SortField{{Path: path, Desc: desc}})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := index.Keys(&document.Record{Data: raw(data)})
		if err != nil {
			t.Fatal(err)
		}
		arrays := entries.Arrays != 0
		ranges, ok := filter.Bounds(path, arrays)
		within := slices.ContainsFunc(entries.Keys, func(key []byte) bool {
			return slices.ContainsFunc(ranges, func(r document.Range) bool {
				if desc {
					r = r.Down()
				}
				return r.Contains(key)
			})
		})
		matches := filter.Match(raw(data), "x")
		if ok && matches && !within {
			t.Fatalf("%s meets %s, but no key of %s is in %x", data, text, path, ranges)
		}
		covered := filter.Covered(func(p string) bool { return p == path && !arrays && entries.Cut == 0 })
		if covered && ok && matches != within {
			t.Fatalf("%s is said to be covered by %s: %s matches: %t", text, path, data, matches)
		}
		order, err := document.NewOrder([]document.SortField{{Path: path, Desc: desc}})
		if err != nil {
			t.Fatal(err)
		}
		key := order.AppendKey(nil, &document.Record{Data: raw(data)})
		if !arrays && entries.Cut == 0 && !bytes.Equal(key, entries.Keys[0]) {
			t.Fatalf("%s by %s: the order has %x, the index %x", data, path, key, entries.Keys)
		}
		if fields, ok := order.Split(key); !ok || !bytes.Equal(fields[0], key) {
			t.Fatalf("%x is split as %x", key, fields)
		}
	})
}

func TestIndexKeys(t *testing.T) {
	for _, c := range []struct {
		fields, data string
		keys         []string // values, joined by a blank
		present      bool
	}{
		{"a", `{"a":1}`, []string{"1"}, true},
		{"a", `{}`, []string{"null"}, false},
		{"a", `{"a":null}`, []string{"null"}, true},
		{"a", `{"a":[2,1,2]}`, []string{"1", "2"}, true},
		{"a.b", `{"a":[{"b":1},{"c":1},5]}`, []string{"null", "1"}, true},
		{"a,b", `{"a":[1,2],"b":[3,4]}`, []string{"1 3", "1 4", "2 3", "2 4"}, true},
		{"a,b", `{"b":1}`, []string{"null 1"}, true},
	} {
		index, err := document.NewIndex(sortOf(t, c.fields))
		if err != nil {
			t.Fatal(err)
		}
		got, err := index.Keys(&document.Record{Data: raw(c.data)})
		if err != nil {
			t.Fatal(err)
		}
		var want [][]byte
		for _, values := range c.keys {
			var key []byte
			for _, v := range bytes.Split([]byte(values), []byte(" ")) {
				key = document.AppendKey(key, v, false)
			}
			want = append(want, key)
		}
		if !slices.EqualFunc(got.Keys, want, bytes.Equal) || got.Present != c.present {
			t.Errorf("%s of %s: got %x (present %t), want %x", c.fields, c.data, got.Keys, got.Present, want)
		}
	}
}

func TestTooManyIndexKeys(t *testing.T) {
	var numbers []int
	for i := range 40 {
		numbers = append(numbers, i)
	}
	list, err := json.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	index, err := document.NewIndex(sortOf(t, "a,b"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = index.Keys(&document.Record{Data: raw(fmt.Sprintf(`{"a":%s,"b":%s}`, list, list))}); err == nil {
		t.Error("1,600 combinations are taken")
	}
}

func sortOf(t testing.TB, s string) []document.SortField {
	t.Helper()
	fields, err := document.ParseSort(s)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// TestBoundsOfArrays: several elements may meet several conditions together,
// so that bounds must not be joined, except within one element.
func TestBoundsOfArrays(t *testing.T) {
	for _, c := range []struct{ filter, data string }{
		{`{"a":{"$gt":2,"$lt":4}}`, `{"a":[0,5]}`},
		{`{"$and":[{"a":1},{"a":2}]}`, `{"a":[1,2]}`},
		{`{"a":{"$all":[1,2]}}`, `{"a":[1,2]}`},
		{`{"a":{"$elemMatch":{"$gt":2,"$lt":4}}}`, `{"a":[0,3,5]}`},
		{`{"a":[1,2]}`, `{"a":[1,2]}`},
	} {
		f := parse(t, c.filter)
		if !f.Match(raw(c.data), "") {
			t.Fatalf("%s does not match %s", c.filter, c.data)
		}
		index, err := document.NewIndex(sortOf(t, "a"))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := index.Keys(&document.Record{Data: raw(c.data)})
		if err != nil {
			t.Fatal(err)
		}
		ranges, ok := f.Bounds("a", true)
		if ok && !slices.ContainsFunc(entries.Keys, func(k []byte) bool {
			return slices.ContainsFunc(ranges, func(r document.Range) bool { return r.Contains(k) })
		}) {
			t.Errorf("%s: no key of %s is in its bounds", c.filter, c.data)
		}
	}
	if ranges, ok := parse(t, `{"a":{"$gt":2,"$lt":4}}`).Bounds("a", false); !ok || len(ranges) != 1 || len(ranges[0].To) < 2 {
		t.Errorf("without arrays both ends bound: got %x", ranges)
	}
}
