package document_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func parse(t fataler, text string) document.Filter {
	t.Helper()
	f, err := document.ParseFilter([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// TestMatch holds what MongoDB answers, after its manual and the unit tests of
// its matcher (src/mongo/db/matcher, path_test.cpp and expression_leaf_test.cpp).
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter  string
		yes, no []string
	}{
		{`{}`, []string{`{}`, `{"a":1}`}, nil},
		{`{"a":1}`, []string{`{"a":1}`, `{"a":1.0}`, `{"a":[0,1]}`, `{"b":[],"a":1}`}, []string{`{}`, `{"a":2}`, `{"a":"1"}`, `{"a":[[1]]}`, `{"a":{"a":1}}`}},
		{`{"a":null}`, []string{`{}`, `{"a":null}`, `{"a":[1,null]}`}, []string{`{"a":0}`, `{"a":[]}`, `{"a":""}`}},
		{`{"a":"x"}`, []string{`{"a":"x"}`, `{"a":"\u0078"}`, `{"\u0061":"x"}`}, []string{`{"a":"X"}`, `{"b":"x"}`}},
		{`{"a":[1,2]}`, []string{`{"a":[1,2]}`, `{"a":[0,[1,2]]}`}, []string{`{"a":[2,1]}`, `{"a":[1,2,3]}`, `{"a":1}`}},
		{`{"a":{"x":1,"y":2}}`, []string{`{"a":{"x":1,"y":2}}`, `{"a":[{"x":1,"y":2.0}]}`}, []string{`{"a":{"y":2,"x":1}}`, `{"a":{"x":1}}`}},
		{`{"a":{}}`, []string{`{"a":{}}`}, []string{`{"a":{"b":1}}`, `{}`}},
		{`{"a":{"$gt":1}}`, []string{`{"a":1.5}`, `{"a":[0,2]}`}, []string{`{"a":1}`, `{"a":"2"}`, `{"a":true}`, `{}`, `{"a":[[2]]}`}},
		{`{"a":{"$gt":1,"$lt":3}}`, []string{`{"a":2}`, `{"a":[0,5]}`}, []string{`{"a":3}`, `{"a":[0,1]}`}},
		{`{"a":{"$gte":null}}`, []string{`{}`, `{"a":null}`}, []string{`{"a":1}`}},
		{`{"a":{"$gt":null}}`, nil, []string{`{}`, `{"a":null}`, `{"a":1}`}},
		{`{"a":{"$lt":"b"}}`, []string{`{"a":"a"}`, `{"a":""}`}, []string{`{"a":1}`, `{}`}},
		{`{"a":{"$lte":true}}`, []string{`{"a":false}`, `{"a":true}`}, []string{`{"a":0}`}},
		{`{"a":{"$gt":[1]}}`, []string{`{"a":[1,0]}`, `{"a":[2]}`, `{"a":[0,[2]]}`}, []string{`{"a":[1]}`, `{"a":2}`}},
		{`{"a":9007199254740993}`, []string{`{"a":9007199254740993}`, `{"a":9007199254740993.0}`}, []string{`{"a":9007199254740992}`}},
		{`{"a":{"$ne":1}}`, []string{`{}`, `{"a":2}`, `{"a":[2]}`}, []string{`{"a":1}`, `{"a":[1,2]}`}},
		{`{"a":{"$in":[1,"x",null]}}`, []string{`{"a":1}`, `{"a":["x"]}`, `{}`}, []string{`{"a":2}`, `{"a":"y"}`, `{"a":[]}`}},
		{`{"a":{"$in":[]}}`, nil, []string{`{}`, `{"a":1}`}},
		{`{"a":{"$nin":[1,null]}}`, []string{`{"a":2}`, `{"a":[]}`}, []string{`{}`, `{"a":1}`, `{"a":[1]}`}},
		{`{"a":{"$exists":true}}`, []string{`{"a":null}`, `{"a":[]}`}, []string{`{}`}},
		{`{"a":{"$exists":false}}`, []string{`{}`}, []string{`{"a":null}`}},
		{`{"a":{"$type":"number"}}`, []string{`{"a":1}`, `{"a":["x",1]}`}, []string{`{"a":"1"}`, `{}`}},
		{`{"a":{"$type":"null"}}`, []string{`{"a":null}`}, []string{`{}`}},
		{`{"a":{"$type":["array","bool"]}}`, []string{`{"a":[]}`, `{"a":true}`, `{"a":[[]]}`}, []string{`{"a":{}}`}},
		{`{"a":{"$size":2}}`, []string{`{"a":[1,[2]]}`}, []string{`{"a":[[1,2]]}`, `{"a":[1]}`, `{"a":"ab"}`, `{}`}},
		{`{"a":{"$all":[1,2]}}`, []string{`{"a":[2,1,3]}`}, []string{`{"a":[1]}`, `{"a":1}`}},
		{`{"a":{"$all":[1]}}`, []string{`{"a":1}`, `{"a":[1]}`}, nil},
		{`{"a":{"$all":[]}}`, nil, []string{`{}`, `{"a":[]}`}},
		{`{"a":{"$all":[{"$elemMatch":{"x":1}},{"$elemMatch":{"y":1}}]}}`, []string{`{"a":[{"x":1},{"y":1}]}`}, []string{`{"a":[{"x":1}]}`}},
		{`{"a":{"$elemMatch":{"$gt":1,"$lt":3}}}`, []string{`{"a":[0,2]}`}, []string{`{"a":[0,5]}`, `{"a":2}`, `{"a":[[2]]}`}},
		{`{"a":{"$elemMatch":{"x":1,"y":{"$gt":1}}}}`, []string{`{"a":[{"x":1,"y":2}]}`}, []string{`{"a":[{"x":1},{"y":2}]}`, `{"a":{"x":1,"y":2}}`}},
		{`{"a":{"$elemMatch":{"$or":[{"x":1},{"y":1}]}}}`, []string{`{"a":[{"y":1}]}`}, []string{`{"a":[1]}`}},
		{`{"a":{"$elemMatch":{"0":1}}}`, []string{`{"a":[[1]]}`, `{"a":[{"0":1}]}`}, []string{`{"a":[1]}`}},
		{`{"a":{"$elemMatch":{"$not":{"$gt":1}}}}`, []string{`{"a":[2,1]}`}, []string{`{"a":[2]}`, `{"a":[]}`}},
		{`{"a":{"$regex":"^x"}}`, []string{`{"a":"xy"}`, `{"a":["y","x"]}`}, []string{`{"a":"yx"}`, `{"a":1}`, `{}`}},
		{`{"a":{"$options":"i","$regex":"^X"}}`, []string{`{"a":"xy"}`}, []string{`{"a":"yx"}`}},
		{`{"a":{"$not":{"$gt":1}}}`, []string{`{}`, `{"a":1}`, `{"a":"x"}`}, []string{`{"a":2}`, `{"a":[1,2]}`}},
		{`{"$or":[{"a":1},{"b":1}]}`, []string{`{"a":1}`, `{"b":1}`}, []string{`{}`}},
		{`{"$nor":[{"a":1},{"b":1}]}`, []string{`{}`}, []string{`{"a":1}`, `{"b":1}`}},
		{`{"$and":[{"a":1},{"a":2}]}`, []string{`{"a":[1,2]}`}, []string{`{"a":1}`}},
		{`{"a.b":1}`, []string{`{"a":{"b":1}}`, `{"a":[{"b":2},{"b":1}]}`, `{"a":{"b":[1]}}`}, []string{`{"a":[[{"b":1}]]}`, `{"a.b":1}`, `{"a":1}`}},
		{`{"a.b":null}`, []string{`{}`, `{"a":{}}`, `{"a":5}`, `{"a":[{}]}`, `{"a":{"b":null}}`, `{"a":[{"b":1},{}]}`}, []string{`{"a":[]}`, `{"a":[null]}`, `{"a":[1,2]}`, `{"a":{"b":4}}`, `{"a":{"b":{}}}`}},
		{`{"a.b":{"$exists":false}}`, []string{`{}`, `{"a":[]}`, `{"a":[1]}`, `{"a":[{}]}`}, []string{`{"a":[{"b":null}]}`}},
		{`{"a.1":7}`, []string{`{"a":[5,7,3]}`, `{"a":{"1":7}}`, `{"a":[5,{"1":7}]}`}, []string{`{"a":[7,5]}`, `{"a":[5,[7]]}`}},
		{`{"a.1":[2,4]}`, []string{`{"a":[5,[2,4],3]}`}, []string{`{"a":[5,[[2,4]],3]}`}},
		{`{"a.1.b":4}`, []string{`{"a":[5,{"b":4}]}`, `{"a":[5,[{"b":4}]]}`}, []string{`{"a":[{"b":4}]}`}},
		{`{"@id":"id1"}`, []string{`{}`}, nil},
		{`{"id":"id1"}`, []string{`{"id":"id1"}`}, []string{`{}`}},
		{`{"@type":"x"}`, []string{`{"@type":"x"}`}, []string{`{}`}},
	} {
		f := parse(t, c.filter)
		for _, data := range c.yes {
			if !f.Match(raw(data), "id1") {
				t.Errorf("%s does not match %s", c.filter, data)
			}
		}
		for _, data := range c.no {
			if f.Match(raw(data), "id1") {
				t.Errorf("%s matches %s", c.filter, data)
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	deep := strings.Repeat(`{"$and":[`, 20) + `{}` + strings.Repeat(`]}`, 20)
	for _, c := range []struct{ filter, path, code string }{
		{`{"year":{"$foo":1}}`, "/filter/year/$foo", "unknown_operator"},
		{`{"$where":"1"}`, "/filter/$where", "unknown_operator"},
		{`{"$or":[{"a/b":{"$bad":1}}]}`, "/filter/$or/0/a~1b/$bad", "unknown_operator"},
		{`{"a":{"$gt":1,"b":2}}`, "/filter/a/b", "unknown_operator"},
		{`{"a":{"$not":{"$near":1}}}`, "/filter/a/$not/$near", "unknown_operator"},
		{`{"a":{"$elemMatch":{"b":{"$x":1}}}}`, "/filter/a/$elemMatch/b/$x", "unknown_operator"},
		{`{"a":{"$elemMatch":{"$gt":1,"x":1}}}`, "/filter/a/$elemMatch/x", "unknown_operator"},
		{`[]`, "/filter", "format"},
		{`{`, "/filter", "format"},
		{`"x"`, "/filter", "format"},
		{`{"a":{"$in":1}}`, "/filter/a/$in", "operand"},
		{`{"a":{"$in":[{"$gt":1}]}}`, "/filter/a/$in/0", "operand"},
		{`{"$or":[]}`, "/filter/$or", "operand"},
		{`{"$or":[1]}`, "/filter/$or/0", "operand"},
		{`{"$and":{}}`, "/filter/$and", "operand"},
		{`{"a":{"$exists":1}}`, "/filter/a/$exists", "operand"},
		{`{"a":{"$size":-1}}`, "/filter/a/$size", "operand"},
		{`{"a":{"$size":1.5}}`, "/filter/a/$size", "operand"},
		{`{"a":{"$type":"date"}}`, "/filter/a/$type", "operand"},
		{`{"a":{"$type":[]}}`, "/filter/a/$type", "operand"},
		{`{"a":{"$regex":"("}}`, "/filter/a/$regex", "operand"},
		{`{"a":{"$regex":1}}`, "/filter/a/$regex", "operand"},
		{`{"a":{"$regex":"a","$options":"x"}}`, "/filter/a/$regex", "operand"},
		{`{"a":{"$options":"i"}}`, "/filter/a/$options", "operand"},
		{`{"a":{"$not":1}}`, "/filter/a/$not", "operand"},
		{`{"a":{"$all":1}}`, "/filter/a/$all", "operand"},
		{`{"a":{"$elemMatch":1}}`, "/filter/a/$elemMatch", "operand"},
		{`{"":1}`, "/filter/", "path"},
		{`{"a..b":1}`, "/filter/a..b", "path"},
		{`{"a.$b":1}`, "/filter/a.$b", "path"},
		{`{"@created_at":{"$gt":5}}`, "/filter/@created_at/$gt", "operand"},
		{deep, "/filter" + strings.Repeat("/$and/0", 16), "too_deep"},
		{`{"a":` + strings.Repeat("[", 101) + strings.Repeat("]", 101) + `}`, "/filter/a", "too_deep"},
		{`{"$or":[` + strings.Repeat(`{"a":1},`, 200) + `{}]}`, "/filter/$or/99/a", "too_many"},
		{`{"a":{"$in":[` + strings.Repeat("1,", 1000) + `1]}}`, "/filter/a/$in/1000", "too_many"},
		{`{"a":"` + strings.Repeat("x", 65<<10) + `"}`, "/filter", "too_large"},
		{`{"a":{"$regex":"` + strings.Repeat("x", 513) + `"}}`, "/filter/a/$regex", "operand"},
	} {
		_, err := document.ParseFilter([]byte(c.filter))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.KindInvalid || len(e.Fields) != 1 {
			t.Errorf("%.80s: got %v", c.filter, err)
			continue
		}
		if f := e.Fields[0]; f.Path != c.path || f.Code != c.code {
			t.Errorf("%.80s: got %s %s, want %s %s", c.filter, f.Path, f.Code, c.path, c.code)
		}
		if e.Fields[0].Code == "unknown_operator" && !strings.Contains(e.Fields[0].Detail, "$") {
			t.Errorf("%.80s: the operators are not listed: %s", c.filter, e.Fields[0].Detail)
		}
	}
}

func TestFilterZero(t *testing.T) {
	for _, text := range []string{"", " ", "null", "{}"} {
		if f := parse(t, text); !f.IsZero() || !f.Match(raw(`{}`), "") || f.String() != "{}" {
			t.Errorf("%q: %v", text, f)
		}
	}
	if f := parse(t, ` { "a" : 1 } `); f.IsZero() || f.String() != `{"a":1}` {
		t.Errorf("got %v", f)
	}
}

func TestStoreFields(t *testing.T) {
	r := &document.Record{ID: "x", Version: 3, Data: raw(`{"@id":"y"}`)}
	r.CreatedAt = r.CreatedAt.AddDate(2025, 0, 0)
	for text, want := range map[string]bool{
		`{"@id":"x"}`: true, `{"@id":"y"}`: false, `{"@version":{"$gt":2}}`: true, `{"@updated_at":null}`: false,
		`{"@created_at":"2026-01-01T01:00:00+01:00"}`: true, `{"@created_at":{"$lt":"2026-01-01T00:00:00.000001Z"}}`: true,
		`{"@created_at":{"$gt":"2026-01-01T00:00:00Z"}}`: false, `{"@updated_at":{"$exists":false}}`: true,
	} {
		f, err := document.ParseFilter([]byte(text))
		if text == `{"@updated_at":null}` {
			if err == nil {
				t.Error("null is taken for a time")
			}
			continue
		}
		if err != nil || f.MatchRecord(r) != want {
			t.Errorf("%s: %v, want %t", text, err, want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`{"a":{"$gt":1}}`, `{"a":[1,2]}`)
	f.Add(`{"a":{"$elemMatch":{"b":1}}}`, `{"a":[{"b":`)
	f.Add(`{"a.0":"\u00"}`, `{"a`)
	f.Fuzz(func(t *testing.T, text, data string) {
		filter, err := document.ParseFilter([]byte(text))
		if err != nil {
			return
		}
		// Data that is no JSON must not bring it down.
		filter.Match(raw(data), "x")
		if again := parse(t, filter.String()); again.String() != filter.String() {
			t.Fatalf("%s became %s", filter, again)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	f := parse(b, `{"tag":"tag07","num":{"$gt":500}}`)
	data := raw(`{"title":"record 0123456789abcdef of the benchmark","num":501,"flag":true,` +
		`"meta":{"a":1,"b":"some text that nobody looks at, in a nested object","c":[1,2,3]},` +
		`"when":"2026-01-01T00:00:00Z","tag":"tag07","note":"and a note, so that it comes to about three hundred bytes in all"}`)
	b.ReportAllocs()
	for b.Loop() {
		if !f.Match(data, "x") {
			b.Fatal("no match")
		}
	}
}

func ExampleParseFilter() {
	f, err := document.ParseFilter([]byte(`{"year": {"$gte": 1990, "$lt": 2000}, "tags": "comedy"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Match([]byte(`{"year": 1998, "tags": ["comedy", "romance"]}`), "rec_1"))
	fmt.Println(f.Match([]byte(`{"year": "1998", "tags": "comedy"}`), "rec_2"))

	_, err = document.ParseFilter([]byte(`{"year": {"$after": 1990}}`))
	fmt.Println(err)
	// Output:
	// true
	// false
	// invalid: the input is not valid; /filter/year/$after: on a field there are $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $type, $size, $all, $elemMatch, $regex, $options, $not
}
