package mongo_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/mongo"
)

// TestFindIsAScan compares every page of some queries with matching and sorting
// all records: with indexes and without, arrays and values too long for a key
// among them.
func TestFindIsAScan(t *testing.T) {
	docs := open(t, database(t))
	long := strings.Repeat("long", 80)
	values := []string{`1`, `2`, `[1,3]`, `[]`, `null`, `"` + long + `a"`, `"` + long + `b"`, `{"x":1}`, `[[1],2]`, `true`}
	for n, indexes := range [][]store.Index{nil, {{Fields: fields("a")}}, {{Fields: fields("-b,a")}, {Fields: fields("b,@id")}}} {
		name := fmt.Sprint("c", n)
		if _, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: name, Indexes: indexes}); err != nil {
			t.Fatal(err)
		}
		var changes []store.Change
		for i := range 24 {
			changes = append(changes, change(store.OpInsert, fmt.Sprintf("r%02d", 24-i), fmt.Sprintf(`{"a":%s,"b":%d}`, values[i%len(values)], i%4)))
		}
		all, err := docs.Apply(t.Context(), tenant, name, changes, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`{}`, `{"a":1}`, `{"a":{"$gte":2}}`, `{"b":{"$in":[1,3]},"a":{"$ne":null}}`, `{"a":{"$regex":"^lo"}}`} {
			for _, sort := range []string{"", "-@id", "a", "-a", "b", "-b,a", "b,-@id"} {
				walk(t, docs, name, all, text, sort)
			}
		}
	}
}

func walk(t *testing.T, docs *mongo.Documents, name string, all []store.Document, text, sort string) {
	t.Helper()
	f, by := filter(text), fields(sort)
	order, err := document.NewOrder(by)
	if err != nil {
		t.Fatal(err)
	}
	type placed struct {
		key []byte
		id  string
	}
	var want []placed
	for _, d := range all {
		r := document.Record(d)
		if f.MatchRecord(&r) {
			want = append(want, placed{order.AppendKey(nil, &r), d.ID})
		}
	}
	slices.SortFunc(want, func(a, b placed) int { return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.id, b.id)) })
	q := store.Query{Filter: f, Sort: by, Limit: 5}
	var got []placed
	for range 10 {
		page, err := docs.Find(t.Context(), tenant, name, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Documents {
			r := document.Record(d)
			got = append(got, placed{order.AppendKey(nil, &r), d.ID})
		}
		if q.Cursor = page.Next; len(q.Cursor) == 0 {
			break
		}
	}
	if !slices.EqualFunc(got, want, func(a, b placed) bool { return a.id == b.id && bytes.Equal(a.key, b.key) }) {
		t.Errorf("%s: %s by %q: got %v, want %v", name, text, sort, got, want)
	}
	if n, err := docs.Count(t.Context(), tenant, name, f, nil); err != nil || n != int64(len(want)) {
		t.Errorf("%s: %s: counted %d, %v; want %d", name, text, n, err, len(want))
	}
}

// TestReadBesideAWriter has documents move along an index between the look at
// the entries and the look at the documents: the page holds them all the same.
func TestReadBesideAWriter(t *testing.T) {
	name := database(t)
	writer := open(t, name)
	n := &network{}
	reader := openOn(t, name, n, func(cfg *mongo.Config) { cfg.Timeout = 10 * time.Second })
	if _, err := writer.PutCollection(t.Context(), tenant, store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("n")}}}); err != nil {
		t.Fatal(err)
	}
	put := func(of int) {
		var changes []store.Change
		for i := range 8 {
			changes = append(changes, change(store.OpUpsert, fmt.Sprint("d", i), fmt.Sprintf(`{"n":%d}`, of*i)))
		}
		if _, err := writer.Apply(t.Context(), tenant, "c", changes, nil); err != nil {
			t.Error(err)
		}
	}
	put(1)
	moved := 0
	for i, sort := range []string{"n", "-n", "n,@id", ""} {
		n.mu.Lock()
		n.before = map[string]func(){"find documents": func() { moved++; put(i + 2) }}
		n.mu.Unlock()
		page, err := reader.Find(t.Context(), tenant, "c", store.Query{Filter: filter(`{"n":{"$gte":0}}`), Sort: fields(sort), Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, d := range page.Documents {
			sum += number(d.Data, "n")
		}
		if len(page.Documents) != 8 || sum != 28*(i+2) {
			t.Errorf("by %q: %d documents with the sum %d, want 8 with %d", sort, len(page.Documents), sum, 28*(i+2))
		}
	}
	if moved != 4 {
		t.Errorf("they moved %d times", moved)
	}
}

// TestOldState has one process refuse from what another one has changed since.
func TestOldState(t *testing.T) {
	name := database(t)
	one, two := open(t, name), open(t, name)
	unique := []store.Index{{Fields: fields("u"), Unique: true}}
	for range 3 {
		if _, err := one.PutCollection(t.Context(), tenant, store.Collection{Name: "c", Indexes: unique}); err != nil {
			t.Fatal(err)
		}
		for i, docs := range []*mongo.Documents{two, one, two} {
			if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, fmt.Sprint("x", i), `{"u":1}`)}, nil); err != nil {
				t.Fatalf("insert %d: %v", i, err)
			}
			if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpDelete, fmt.Sprint("x", i), ``)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		// Dropped and made again by the other process, with another number.
		if err := two.DropCollection(t.Context(), tenant, "c", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := one.PutCollection(t.Context(), tenant, store.Collection{Name: "c", Indexes: unique}); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "y", `{"u":1}`)}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpReplace, "y", `{"u":2}`)}, nil); err != nil {
			t.Errorf("a change of what another process made: %v", err)
		}
		if err := one.DropCollection(t.Context(), tenant, "c", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := two.Get(t.Context(), tenant, "c", "y"); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("a document of a dropped collection: %v", err)
		}
	}
}

// TestOddDocuments keeps what BSON could not.
func TestOddDocuments(t *testing.T) {
	docs := open(t, database(t))
	collection(t, docs, tenant, "c")
	for i, id := range []string{"x", "a!b", "\x00", "\x01\x01", "ü", strings.Repeat("long", 300)} {
		data := fmt.Sprintf(`{"$set":{"a.b":%d},"n":123456789012345678901234567890.10,"z":"\u0000","d":[[1,[2]]]}`, i)
		if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{{Op: store.OpInsert, ID: id, Data: json.RawMessage(data)}}, nil); err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		if d, err := docs.Get(t.Context(), tenant, "c", id); err != nil || d.ID != id || string(d.Data) != data {
			t.Errorf("%q came back as %q %s, %v", id, d.ID, d.Data, err)
		}
	}
	page, err := docs.Find(t.Context(), tenant, "c", store.Query{Limit: 10})
	var ids []string
	for _, d := range page.Documents {
		ids = append(ids, d.ID)
	}
	if err != nil || len(ids) != 6 || !slices.IsSorted(ids) {
		t.Errorf("found %q, %v", ids, err)
	}
	for _, id := range []string{"", "\xff"} {
		_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, id, `{}`)}, nil)
		if !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("the id %q: %v", id, err)
		}
		if _, err := docs.Get(t.Context(), tenant, "c", id); !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("the id %q: %v", id, err)
		}
	}
}
