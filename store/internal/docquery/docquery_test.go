package docquery_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

var genValue = rapid.SampledFrom([]string{`null`, `0`, `1`, `2`, `"a"`, `true`, `[0,1]`, `[]`, `[2]`, `{"b":1}`})

var genFields = rapid.Custom(func(t *rapid.T) []document.SortField {
	var fields []document.SortField
	for _, path := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "@id"}), 1, 3, rapid.ID[string]).Draw(t, "paths") {
		fields = append(fields, document.SortField{Path: path, Desc: rapid.Bool().Draw(t, "desc")})
	}
	return fields
})

var genCondition = rapid.Custom(func(t *rapid.T) string {
	v := genValue.Draw(t, "value")
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return fmt.Sprintf(`{"$in":[%s,%s]}`, v, genValue.Draw(t, "or"))
	case 1:
		return fmt.Sprintf(`{"$gte":%s}`, v)
	case 2:
		return fmt.Sprintf(`{"$gt":%s,"$lt":%s}`, v, genValue.Draw(t, "below"))
	case 3:
		return fmt.Sprintf(`{"$ne":%s}`, v)
	}
	return fmt.Sprintf(`{"$eq":%s}`, v)
})

// TestPagesAreASortedScan compares every page and count with matching and
// sorting all records, with stale entries among the others or without.
func TestPagesAreASortedScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flat := rapid.Bool().Draw(t, "flat")
		var records []document.Record
		for i := range rapid.IntRange(0, 90).Draw(t, "records") { // more than a group in memory
			value := func(name string) string {
				v := genValue.Draw(t, name)
				if flat && (v[0] == '[' || v[0] == '{') {
					return "1"
				}
				return v
			}
			records = append(records, document.Record{
				ID: fmt.Sprintf("r%02d", (i*37)%97), Version: int64(i) + 1,
				Data: json.RawMessage(fmt.Sprintf(`{"a":%s,"b":%s}`, value("a"), value("b"))),
			})
		}
		var indexes [][]document.SortField
		for range rapid.IntRange(0, 2).Draw(t, "indexes") {
			indexes = append(indexes, genFields.Draw(t, "index"))
		}
		m := newMemory(indexes, records)
		stale := rapid.Bool().Draw(t, "stale")
		if stale {
			m.addStale()
		}
		text := fmt.Sprintf(`{%q:%s,%q:%s}`, "a", genCondition.Draw(t, "on a"), "b", genCondition.Draw(t, "on b"))
		switch rapid.IntRange(0, 2).Draw(t, "filter") {
		case 0:
			text = fmt.Sprintf(`{"a":%s}`, genCondition.Draw(t, "on a alone"))
		case 1:
			text = `{}`
		}
		filter, err := document.ParseFilter([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		q := store.Query{Filter: filter, Limit: rapid.IntRange(1, 9).Draw(t, "limit"), MaxBytes: rapid.SampledFrom([]int{0, 1, 20, 40, 100}).Draw(t, "bytes")}
		if rapid.Bool().Draw(t, "sorted") {
			q.Sort = genFields.Draw(t, "sort")
		}
		check(t, m, records, q, stale)
	})
}

func check(t *rapid.T, m *memory, records []document.Record, q store.Query, stale bool) {
	order, err := document.NewOrder(q.Sort)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.DeleteFunc(slices.Clone(records), func(r document.Record) bool { return !q.Filter.MatchRecord(&r) })
	slices.SortFunc(want, func(a, b document.Record) int {
		return cmp.Or(bytes.Compare(order.AppendKey(nil, &a), order.AppendKey(nil, &b)), cmp.Compare(a.ID, b.ID))
	})
	var got []document.Record
	for range len(records) + 1 {
		query, err := docquery.NewQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		f := &docquery.Finder{Source: m, Indexes: m.indexes, Query: query, Lot: 3, Stale: stale, Large: new(atomic.Bool)}
		found, err := f.Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		page := query.Page(found)
		size := 0
		for _, d := range page.Documents {
			size += len(d.Data)
			got = append(got, document.Record(d))
		}
		if len(page.Documents) > q.Limit || len(page.Documents) > 1 && q.MaxBytes > 0 && size > q.MaxBytes {
			t.Fatalf("a page of %d records with %d bytes; it is at most %d and %d", len(page.Documents), size, q.Limit, q.MaxBytes)
		}
		if q.Cursor = page.Next; q.Cursor == nil {
			break
		}
	}
	if !slices.EqualFunc(got, want, func(a, b document.Record) bool { return a.ID == b.ID && a.Version == b.Version }) {
		t.Fatalf("%s by %v: got %v, want %v", q.Filter, q.Sort, got, want)
	}
	f := &docquery.Finder{Source: m, Indexes: m.indexes, Query: docquery.NewCount(q.Filter), Lot: 3, Stale: stale, Large: new(atomic.Bool)}
	if n, err := f.Count(t.Context()); err != nil || n != int64(len(want)) {
		t.Fatalf("%s: counted %d, %v; want %d", q.Filter, n, err, len(want))
	}
}

// TestAPageReadsWhatItHolds has a page in the order of an index cost no more
// than its records.
func TestAPageReadsWhatItHolds(t *testing.T) {
	var records []document.Record
	for i := range 500 {
		records = append(records, document.Record{ID: fmt.Sprintf("r%03d", i), Data: json.RawMessage(fmt.Sprintf(`{"a":%d}`, i*7%500))})
	}
	m := newMemory([][]document.SortField{{{Path: "a"}}}, records)
	for _, desc := range []bool{false, true} {
		m.read = 0
		query, err := docquery.NewQuery(store.Query{Sort: []document.SortField{{Path: "a", Desc: desc}}, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		f := &docquery.Finder{Source: m, Indexes: m.indexes, Query: query, Lot: 32, Large: new(atomic.Bool)}
		found, err := f.Find(t.Context())
		if err != nil || len(found.Records) != 10 || !found.More || m.read > 12 {
			t.Errorf("descending %v: %d records, %d read, %v", desc, len(found.Records), m.read, err)
		}
	}
}

func TestRefusedQueries(t *testing.T) {
	if _, err := docquery.NewQuery(store.Query{}); err == nil {
		t.Error("a page of nothing")
	}
	if _, err := docquery.NewQuery(store.Query{Limit: docquery.MaxLimit + 1}); err == nil {
		t.Error("a page of too many")
	}
	if _, err := docquery.NewQuery(store.Query{Limit: 1, Sort: []document.SortField{{Path: "$"}}}); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("an order by nothing: %v", err)
	}
	for _, cursor := range []store.Cursor{{1}, bytes.Repeat([]byte{1}, 20)} {
		if _, err := docquery.NewQuery(store.Query{Limit: 1, Cursor: cursor}); !errors.Is(err, platform.ErrMalformed) {
			t.Errorf("the cursor %x: %v", cursor, err)
		}
	}
}
