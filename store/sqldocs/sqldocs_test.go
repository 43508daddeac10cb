package sqldocs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqldocs"
)

// rows counts the rows of every table.
func rows(t *testing.T, db store.Relational) (n map[string]int) {
	t.Helper()
	n = map[string]int{}
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		for _, table := range []string{"documents", "document_index", "document_unique", "document_collections"} {
			var count int
			if err := tx.QueryRow(ctx, "SELECT COUNT(*) FROM "+table).Scan(&count); err != nil {
				return err
			}
			n[table] = count
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNothingIsLeftBehind(t *testing.T) {
	docs, db := open(t)
	fill(t, docs, "kept", []string{"a"}, []string{`{"a":1}`})
	before := rows(t, db)
	fill(t, docs, "gone", []string{"a,b", "b"}, []string{`{"a":[1,2],"b":[1,2]}`, `{"a":1}`, `{}`})
	c, err := docs.PutCollection(t.Context(), tenant, store.Collection{
		Name: "gone", Version: 1, Indexes: []store.Index{{Fields: fields("a,b")}, {Fields: fields("b"), Unique: true}},
	})
	if err != nil || c.Version != 2 {
		t.Fatal(c, err)
	}
	if _, err := docs.Apply(t.Context(), tenant, "gone", []store.Change{{Op: store.OpDelete, ID: "r00003"}, {Op: store.OpReplace, ID: "r00002", Data: json.RawMessage(`{"b":5}`)}}, nil); err != nil {
		t.Fatal(err)
	}
	if n := rows(t, db); n["document_index"] != before["document_index"]+4 || n["document_unique"] != 1 {
		t.Errorf("after a removal and a change: %v, before %v", n, before)
	}
	if err := docs.DropCollection(t.Context(), tenant, "gone", 2); err != nil {
		t.Fatal(err)
	}
	if after := rows(t, db); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after the drop: %v, before %v", after, before)
	}
}

func TestNewUniqueIndexIsRefused(t *testing.T) {
	docs, db := open(t)
	fill(t, docs, "c", []string{"a"}, []string{`{"a":1,"b":1}`, `{"a":2,"b":1}`, `{"a":3}`, `{"a":4}`})
	before := rows(t, db)
	c := store.Collection{Name: "c", Version: 1, Indexes: []store.Index{{Fields: fields("b"), Unique: true}}}
	_, err := docs.PutCollection(t.Context(), tenant, c)
	if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}) {
		t.Fatalf("got %v", err)
	}
	if after := rows(t, db); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("after the refusal: %v, before %v", after, before)
	}
	if got, err := docs.Collections(t.Context(), tenant, "c"); err != nil || got[0].Version != 1 || got[0].Indexes[0].Fields[0].Path != "a" {
		t.Errorf("the collection has changed: %+v, %v", got, err)
	}
}

func TestBadData(t *testing.T) {
	docs, _ := open(t)
	fill(t, docs, "c", []string{"a,b"}, nil)
	var many []int
	for i := range 40 {
		many = append(many, i)
	}
	list, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"no object": `[]`, "no JSON": `{"a":`, "a name twice": `{"a":1,"a":2}`, "too many keys": fmt.Sprintf(`{"a":%s,"b":%s}`, list, list),
	} {
		_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{
			{Op: store.OpInsert, ID: "fine", Data: json.RawMessage(`{}`)}, {Op: store.OpInsert, ID: "bad", Data: json.RawMessage(data)},
		}, nil)
		var refused *store.ChangeError
		if !errors.As(err, &refused) || refused.Index != 1 || refused.Err.Kind != platform.KindInvalid {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n, err := docs.Count(t.Context(), tenant, "c", filter(`{}`), nil); n != 0 || err != nil {
		t.Errorf("%d records are there, %v", n, err)
	}
}

func TestCursorOfAnotherQuery(t *testing.T) {
	docs, _ := open(t)
	fill(t, docs, "c", []string{"a"}, []string{`{"a":1}`, `{"a":2}`, `{"a":3}`})
	q := store.Query{Sort: fields("a"), Limit: 1}
	p, err := docs.Find(t.Context(), tenant, "c", q)
	if err != nil || p.Next == nil {
		t.Fatal(p, err)
	}
	for name, other := range map[string]store.Query{
		"another order":  {Sort: fields("-a"), Limit: 1, Cursor: p.Next},
		"another filter": {Sort: fields("a"), Filter: filter(`{"a":1}`), Limit: 1, Cursor: p.Next},
		"cut":            {Sort: fields("a"), Limit: 1, Cursor: p.Next[:9]},
		"short":          {Sort: fields("a"), Limit: 1, Cursor: p.Next[:3]},
		"another key":    {Sort: fields("a"), Limit: 1, Cursor: slices.Concat(p.Next[:8], []byte{3, 0x30, 'a', 'a', 'x'})},
	} {
		if _, err := docs.Find(t.Context(), tenant, "c", other); !errors.Is(err, platform.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// doneAfter is a context that ends after it was asked n times.
type doneAfter struct {
	context.Context

	n int
}

func (c *doneAfter) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestScanIsCancelled(t *testing.T) {
	testdb.SQLiteOnly(t) // a store with a context of its own does not ask this one
	docs, _ := open(t)
	var data []string
	for i := range 2000 {
		data = append(data, fmt.Sprintf(`{"a":%d}`, i))
	}
	fill(t, docs, "c", nil, data)
	for n := range 8 {
		ctx := &doneAfter{t.Context(), n}
		_, err := docs.Find(ctx, tenant, "c", store.Query{Sort: fields("a"), Limit: 1})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended after %d looks: got %v", n, err)
		}
	}
}

func TestReopen(t *testing.T) {
	place := testdb.NewPlace(t)
	db := place.Open(t)
	docs := start(t, db)
	m := fill(t, docs, "c", []string{"a"}, []string{`{"a":[1,2]}`, `{"a":2}`, `{"a":3}`})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	docs = start(t, place.Open(t))
	// What is known of the arrays in an index must be known again.
	for _, sort := range []string{"a", "-a"} {
		checkWalk(t, docs, "c", m, `{"a":{"$gte":1}}`, fields(sort), 1)
	}
}

func TestNewNeedsADatabase(t *testing.T) {
	if _, err := sqldocs.New(sqldocs.Config{}); err == nil {
		t.Error("no error")
	}
}
