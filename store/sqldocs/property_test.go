package sqldocs_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/sqldocs"
)

const tenant = platform.TenantID("org_1")

var long = strings.Repeat("long", 80)

// The values are few, so that filters meet records and places in orders are
// shared.
var scalars = []string{
	`null`, `0`, `1`, `1.0`, `2`, `-1`, `2.5`, `9007199254740993`, `"a"`, `"b"`, `""`, `true`, `false`,
	`"` + long + `a"`, `"` + long + `b"`,
}

func genValue(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if depth > 0 {
			switch rapid.IntRange(0, 7).Draw(t, "shape") {
			case 0:
				return "[" + strings.Join(rapid.SliceOfN(genValue(depth-1), 0, 3).Draw(t, "array"), ",") + "]"
			case 1:
				return genObject(depth-1).Draw(t, "object")
			}
		}
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	})
}

func genObject(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "0"}), 0, 3, rapid.ID[string]).Draw(t, "names") {
			members = append(members, fmt.Sprintf("%q:%s", name, genValue(depth).Draw(t, name)))
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

// genFlat makes records of scalars only, for which indexes give orders too.
var genFlat = rapid.Custom(func(t *rapid.T) string { return genObject(0).Draw(t, "flat") })

var genPath = rapid.SampledFrom([]string{"a", "b", "c", "a.b", "a.0", "b.c", "@id", "@version"})

func genFilter(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var conditions []string
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			if depth > 0 && rapid.IntRange(0, 4).Draw(t, "combine") == 0 {
				op := rapid.SampledFrom([]string{"$and", "$or", "$nor"}).Draw(t, "op")
				kids := rapid.SliceOfN(genFilter(depth-1), 1, 2).Draw(t, "kids")
				conditions = append(conditions, fmt.Sprintf("%q:[%s]", op, strings.Join(kids, ",")))
				continue
			}
			conditions = append(conditions, fmt.Sprintf("%q:%s", genPath.Draw(t, "path"), genCondition(depth).Draw(t, "condition")))
		}
		return "{" + strings.Join(conditions, ",") + "}"
	})
}

func genCondition(depth int) *rapid.Generator[string] {
	value := genValue(1)
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1:
			return value.Draw(t, "equal")
		case 2:
			return fmt.Sprintf(`{"$in":[%s]}`, strings.Join(rapid.SliceOfN(value, 0, 3).Draw(t, "in"), ","))
		case 3:
			return fmt.Sprintf(`{"$gt":%s,"$lte":%s}`, value.Draw(t, "gt"), value.Draw(t, "lte"))
		case 4:
			return fmt.Sprintf(`{"$gte":%s}`, value.Draw(t, "gte"))
		case 5:
			return fmt.Sprintf(`{"$lt":%s}`, value.Draw(t, "lt"))
		case 6:
			return rapid.SampledFrom([]string{
				`{"$exists":true}`, `{"$exists":false}`, `{"$type":"string"}`, `{"$type":["null","array","number"]}`,
				`{"$size":1}`, `{"$regex":"^lo"}`, `{"$regex":"A","$options":"i"}`, `{"$all":[1,"a"]}`,
			}).Draw(t, "fixed")
		case 7:
			return fmt.Sprintf(`{"$ne":%s}`, value.Draw(t, "ne"))
		case 8:
			if depth > 0 {
				return fmt.Sprintf(`{"$not":%s}`, operators(genCondition(depth-1).Draw(t, "not")))
			}
			return fmt.Sprintf(`{"$nin":[%s]}`, value.Draw(t, "nin"))
		}
		if depth > 0 && rapid.Bool().Draw(t, "of values") {
			return fmt.Sprintf(`{"$elemMatch":%s}`, operators(genCondition(depth-1).Draw(t, "elem")))
		}
		return fmt.Sprintf(`{"$elemMatch":{"b":%s}}`, value.Draw(t, "elem"))
	})
}

// operators makes a condition one that may stand where only operators may.
func operators(condition string) string {
	if strings.HasPrefix(condition, `{"$`) {
		return condition
	}
	return `{"$eq":` + condition + `}`
}

var genSort = rapid.Custom(func(t *rapid.T) []document.SortField {
	var fields []document.SortField
	for _, path := range rapid.SliceOfNDistinct(genPath, 0, 3, rapid.ID[string]).Draw(t, "sort") {
		fields = append(fields, document.SortField{Path: path, Desc: rapid.Bool().Draw(t, "desc")})
	}
	return fields
})

// TestFindIsAScan compares every page of every query with matching and sorting
// all records, for random records, indexes and changes.
func TestFindIsAScan(t *testing.T) {
	docs, _ := open(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		name := fmt.Sprintf("c%d", n)
		c := store.Collection{Name: name}
		for range rapid.IntRange(0, 3).Draw(t, "indexes") {
			if fields := genSort.Draw(t, "index"); len(fields) > 0 {
				c.Indexes = append(c.Indexes, store.Index{Fields: fields})
			}
		}
		late := rapid.Bool().Draw(t, "index late")
		first := c
		if late {
			first.Indexes = nil
		}
		first, err := docs.PutCollection(t.Context(), tenant, first)
		if err != nil {
			t.Fatal(err)
		}
		model := change(t, docs, name, nil)
		if late {
			c.Version = first.Version
			if _, err := docs.PutCollection(t.Context(), tenant, c); err != nil {
				t.Fatal(err)
			}
			model = change(t, docs, name, model)
		}
		for range 8 {
			checkQuery(t, docs, name, model)
		}
		if err := docs.DropCollection(t.Context(), tenant, name, 0); err != nil {
			t.Fatal(err)
		}
	})
}

type model map[string]store.Document

// change applies random changes and returns what must then be stored.
func change(t *rapid.T, docs *sqldocs.Documents, name string, m model) model {
	gen := genFlat
	if rapid.Bool().Draw(t, "nested") {
		gen = genObject(2)
	}
	if m == nil {
		m = model{}
	}
	var changes []store.Change
	for range rapid.IntRange(0, 30).Draw(t, "changes") {
		ch := store.Change{
			ID: fmt.Sprintf("r%02d", rapid.IntRange(0, 25).Draw(t, "id")), Op: store.OpUpsert,
			Data: json.RawMessage(gen.Draw(t, "data")),
		}
		known := slices.ContainsFunc(changes, func(c store.Change) bool { return c.ID == ch.ID && c.Op != store.OpDelete })
		if _, there := m[ch.ID]; (there || known) && rapid.IntRange(0, 3).Draw(t, "other") == 0 &&
			!slices.ContainsFunc(changes, func(c store.Change) bool { return c.ID == ch.ID && c.Op == store.OpDelete }) {
			ch.Op = rapid.SampledFrom([]store.ChangeOp{store.OpReplace, store.OpPatch, store.OpDelete}).Draw(t, "op")
		}
		changes = append(changes, ch)
	}
	applied, err := docs.Apply(t.Context(), tenant, name, changes, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, doc := range applied {
		if changes[i].Op == store.OpDelete {
			delete(m, doc.ID)
			continue
		}
		m[doc.ID] = doc
	}
	return m
}

func checkQuery(t *rapid.T, docs *sqldocs.Documents, name string, m model) {
	checkWalk(t, docs, name, m, genFilter(2).Draw(t, "filter"), genSort.Draw(t, "order"), rapid.IntRange(1, 7).Draw(t, "limit"))
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Context() context.Context
}

// checkWalk reads all pages of a query and counts its records, and compares
// with matching and sorting the model.
func checkWalk(t failer, docs *sqldocs.Documents, name string, m model, text string, sort []document.SortField, limit int) {
	t.Helper()
	filter, err := document.ParseFilter([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	order, err := document.NewOrder(sort)
	if err != nil {
		t.Fatalf("%v: %v", sort, err)
	}
	type placed struct {
		key []byte
		id  string
	}
	var want []placed
	for _, doc := range m {
		r := document.Record(doc)
		if filter.MatchRecord(&r) {
			want = append(want, placed{order.AppendKey(nil, &r), doc.ID})
		}
	}
	slices.SortFunc(want, func(a, b placed) int { return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.id, b.id)) })
	var ids []string
	for _, w := range want {
		ids = append(ids, w.id)
	}

	q := store.Query{Filter: filter, Sort: sort, Limit: limit}
	var got []string
	for range len(m) + 1 {
		page, err := docs.Find(t.Context(), tenant, name, q)
		if err != nil {
			t.Fatalf("%s by %v: %v", text, sort, err)
		}
		for _, doc := range page.Documents {
			got = append(got, doc.ID)
			if w := m[doc.ID]; !bytes.Equal(doc.Data, w.Data) || doc.Version != w.Version || !doc.UpdatedAt.Equal(w.UpdatedAt) {
				t.Fatalf("%s by %v: got %+v, want %+v", text, sort, doc, w)
			}
		}
		if q.Cursor = page.Next; q.Cursor == nil {
			break
		}
		if len(page.Documents) != q.Limit {
			t.Fatalf("%s by %v: a page of %d with a cursor", text, sort, len(page.Documents))
		}
	}
	if !slices.Equal(got, ids) {
		t.Fatalf("%s by %v: got %v, want %v", text, sort, got, ids)
	}
	n, err := docs.Count(t.Context(), tenant, name, filter, nil)
	if err != nil || n != int64(len(ids)) {
		t.Fatalf("%s: counted %d (%v), want %d", text, n, err, len(ids))
	}
}
