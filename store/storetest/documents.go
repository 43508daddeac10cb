package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// DocumentsStore is a [store.Documents] under test.
type DocumentsStore struct {
	store.Documents
	// Emitted returns the ids of the events that were committed so far, in
	// their order.
	Emitted func(ctx context.Context) ([]string, error)
}

// Documents tests a [store.Documents].
func Documents(t *testing.T, open func(testing.TB) DocumentsStore) {
	t.Helper()
	run(t, open, documentsCases)
}

var documentsCases = []testCase[DocumentsStore]{
	{"WritesAndReads", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		text := `{"n":1,"big":12345678901234567890,"dec":1.50,"e":1e3,"s":"ü\u0000\"","a":[1,null],"o":{"z":1,"a":2}}`
		doc := p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(text)})
		if doc.ID != "x" || doc.Version != 1 || doc.CreatedAt.IsZero() || !doc.CreatedAt.Equal(doc.UpdatedAt) {
			p.errorf("inserted: %+v", doc)
		}
		if got := p.get(s, tenantA, "x"); string(got.Data) != text {
			p.errorf("the text of the values changed:\n%s\n%s", text, got.Data)
		}
		doc = p.apply(s, tenantA, store.Change{Op: store.OpReplace, ID: "x", Data: json.RawMessage(`{"n":2}`)})
		if doc.Version != 2 || doc.UpdatedAt.Before(doc.CreatedAt) || string(doc.Data) != `{"n":2}` {
			p.errorf("replaced: %+v", doc)
		}
		doc = p.apply(s, tenantA, store.Change{Op: store.OpPatch, ID: "x", Data: json.RawMessage(`{"m":{"a":null,"b":1},"n":null}`)})
		if doc.Version != 3 || string(doc.Data) != `{"m":{"b":1}}` {
			p.errorf("patched: %d %s", doc.Version, doc.Data)
		}
		doc = p.apply(s, tenantA, store.Change{Op: store.OpUpsert, ID: "y", Data: json.RawMessage(`{}`)})
		if doc.Version != 1 {
			p.errorf("upserted as new: %+v", doc)
		}
		doc = p.apply(s, tenantA, store.Change{Op: store.OpUpsert, ID: "y", Data: json.RawMessage(`{"n":1}`)})
		if doc.Version != 2 {
			p.errorf("upserted again: %+v", doc)
		}
		doc = p.apply(s, tenantA, store.Change{Op: store.OpDelete, ID: "x"})
		if doc.ID != "x" || string(doc.Data) != `{"m":{"b":1}}` {
			p.errorf("a deletion must answer what was: %+v", doc)
		}
		_, err := s.Get(p.ctx, tenantA, "things", "x")
		p.kind(err, platform.KindNotFound, "a deleted document")
	}},
	{"RefusedChanges", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{}`)})
		for what, c := range map[string]struct {
			change store.Change
			kind   platform.Kind
		}{
			"insert of a taken id": {store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{}`)}, platform.KindConflict},
			"replace of nothing":   {store.Change{Op: store.OpReplace, ID: "none", Data: json.RawMessage(`{}`)}, platform.KindNotFound},
			"patch of nothing":     {store.Change{Op: store.OpPatch, ID: "none", Data: json.RawMessage(`{}`)}, platform.KindNotFound},
			"delete of nothing":    {store.Change{Op: store.OpDelete, ID: "none"}, platform.KindNotFound},
			"stale replace":        {store.Change{Op: store.OpReplace, ID: "x", IfVersion: 2, Data: json.RawMessage(`{}`)}, platform.KindStale},
			"stale patch":          {store.Change{Op: store.OpPatch, ID: "x", IfVersion: 2, Data: json.RawMessage(`{}`)}, platform.KindStale},
			"stale delete":         {store.Change{Op: store.OpDelete, ID: "x", IfVersion: 2}, platform.KindStale},
		} {
			_, err := s.Apply(p.ctx, tenantA, "things", []store.Change{
				{Op: store.OpUpsert, ID: "before", Data: json.RawMessage(`{}`)}, c.change,
			}, oneEvent("evt_never"))
			p.kind(err, c.kind, what)
			var refused *store.ChangeError
			if !errors.As(err, &refused) || refused.Index != 1 {
				p.errorf("%s: the error does not name change 1: %v", what, err)
			}
		}
		_, err := s.Get(p.ctx, tenantA, "things", "before")
		p.kind(err, platform.KindNotFound, "a change beside a refused one")
		if ids, _ := s.Emitted(p.ctx); slices.Contains(ids, "evt_never") {
			p.errorf("the event of refused changes was emitted")
		}
	}},
	{"EventsCommitWithTheChanges", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		_, err := s.Apply(p.ctx, tenantA, "things", []store.Change{
			{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{}`)}, {Op: store.OpReplace, ID: "x", Data: json.RawMessage(`{"n":1}`)},
		}, func(applied []store.Document) []platform.Event {
			if len(applied) != 2 || applied[0].Version != 1 || applied[1].Version != 2 {
				p.errorf("the builder got %+v", applied)
			}
			return []platform.Event{event(tenantA, "x", 1), event(tenantA, "x", 2)}
		})
		p.must(err)
		ids, err := s.Emitted(p.ctx)
		p.must(err)
		if !slices.Equal(ids, []string{event(tenantA, "x", 1).ID, event(tenantA, "x", 2).ID}) {
			p.errorf("emitted %v", ids)
		}
	}},
	{"OneWinnerPerVersion", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{}`)})
		var won atomic.Int32
		parallel(16, func(i int) {
			_, err := s.Apply(p.ctx, tenantA, "things", []store.Change{
				{Op: store.OpReplace, ID: "x", IfVersion: 1, Data: fmt.Appendf(nil, `{"n":%d}`, i)},
			}, nil)
			switch {
			case err == nil:
				won.Add(1)
			case platform.KindOf(err) != platform.KindStale:
				p.errorf("a loser got %v", err)
			}
		})
		if won.Load() != 1 || p.get(s, tenantA, "x").Version != 2 {
			p.errorf("%d won", won.Load())
		}
	}},
	{"NoUpdateIsLost", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{}`)})
		parallel(20, func(i int) {
			_, err := s.Apply(p.ctx, tenantA, "things", []store.Change{
				{Op: store.OpPatch, ID: "x", Data: fmt.Appendf(nil, `{"f%d":1}`, i)},
			}, nil)
			if err != nil {
				p.errorf("patch: %v", err)
			}
		})
		var fields map[string]int
		doc := p.get(s, tenantA, "x")
		p.must(json.Unmarshal(doc.Data, &fields))
		if len(fields) != 20 || doc.Version != 21 {
			p.errorf("%d of 20 patches are there, version %d", len(fields), doc.Version)
		}
	}},
	{"UniqueIndex", func(p *probe, s DocumentsStore) {
		unique := store.Index{Fields: []document.SortField{{Path: "email"}}, Unique: true}
		p.collection(s, tenantA, "things", unique)
		p.collection(s, tenantB, "things", unique)
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{"email":"a"}`)})
		p.apply(s, tenantB, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{"email":"a"}`)})
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "none 1", Data: json.RawMessage(`{}`)})
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "none 2", Data: json.RawMessage(`{}`)})
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "y", Data: json.RawMessage(`{"email":"b"}`)})
		for what, c := range map[string]store.Change{
			"insert":  {Op: store.OpInsert, ID: "z", Data: json.RawMessage(`{"email":"a"}`)},
			"replace": {Op: store.OpReplace, ID: "y", Data: json.RawMessage(`{"email":"a"}`)},
			"patch":   {Op: store.OpPatch, ID: "y", Data: json.RawMessage(`{"email":"a"}`)},
		} {
			_, err := s.Apply(p.ctx, tenantA, "things", []store.Change{c}, nil)
			if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}) {
				p.errorf("%s of a taken value: got %v", what, err)
			}
		}
		p.apply(s, tenantA, store.Change{Op: store.OpReplace, ID: "x", Data: json.RawMessage(`{"email":"a","n":1}`)})
		p.apply(s, tenantA, store.Change{Op: store.OpDelete, ID: "x"})
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "z", Data: json.RawMessage(`{"email":"a"}`)})
	}},
	{"ANewIndexCoversWhatIsThere", func(p *probe, s DocumentsStore) {
		c := p.collection(s, tenantA, "things")
		for i := range 50 {
			p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: fmt.Sprintf("d%02d", i), Data: fmt.Appendf(nil, `{"n":%d,"same":1}`, i%10)})
		}
		before := p.find(s, tenantA, `{"n":3}`, "-n", 7)
		c.Indexes = []store.Index{{Fields: []document.SortField{{Path: "n", Desc: true}}}}
		c, err := s.PutCollection(p.ctx, tenantA, c)
		p.must(err)
		if after := p.find(s, tenantA, `{"n":3}`, "-n", 7); !slices.Equal(before, after) || len(after) != 5 {
			p.errorf("before the index %v, with it %v", before, after)
		}
		stale := c
		stale.Version--
		_, err = s.PutCollection(p.ctx, tenantA, stale)
		p.kind(err, platform.KindStale, "a stale definition")
		broken := c
		broken.Indexes = append(slices.Clone(c.Indexes), store.Index{Fields: []document.SortField{{Path: "same"}}, Unique: true})
		_, err = s.PutCollection(p.ctx, tenantA, broken)
		p.kind(err, platform.KindConflict, "a unique index over equal values")
		got, err := s.Collections(p.ctx, tenantA, "things")
		p.must(err)
		if len(got) != 1 || got[0].Version != c.Version || len(got[0].Indexes) != 1 {
			p.errorf("a refused definition left %+v", got)
		}
	}},
	{"Sizes", documentsSizes},
	{"PagesAreBoundedInBytes", documentsPagesInBytes},
	{"PagesHoldEachDocumentOnce", func(p *probe, s DocumentsStore) {
		for _, indexed := range []bool{false, true} {
			name := fmt.Sprintf("pages-%v", indexed)
			var indexes []store.Index
			if indexed {
				indexes = []store.Index{{Fields: []document.SortField{{Path: "v"}}}, {Fields: []document.SortField{{Path: "g"}, {Path: "v", Desc: true}}}}
			}
			p.must1(s.PutCollection(p.ctx, tenantA, store.Collection{Name: name, Indexes: indexes}))
			var changes []store.Change
			for i := range pageDocuments {
				changes = append(changes, store.Change{Op: store.OpInsert, ID: fmt.Sprintf("d%03d", i), Data: fmt.Appendf(nil, `{"g":%d,"v":%s}`, i%2, mixed[i%len(mixed)])})
			}
			_, err := s.Apply(p.ctx, tenantA, name, changes, nil)
			p.must(err)
			for _, sort := range []string{"", "v", "-v", "g,-v", "-g,v"} {
				whole := p.findIn(s, tenantA, name, "", sort, 1000)
				if len(whole) != pageDocuments {
					p.errorf("%s sort %q: %d documents", name, sort, len(whole))
				}
				for _, limit := range []int{1, 7, pageDocuments / 2, pageDocuments - 1, pageDocuments} {
					if got := p.findIn(s, tenantA, name, "", sort, limit); !slices.Equal(got, whole) {
						p.errorf("%s sort %q in pages of %d differs from the whole", name, sort, limit)
					}
				}
			}
		}
	}},
	{"TheOrderOfValues", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		for i, v := range mixed {
			p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: fmt.Sprintf("d%02d", i), Data: fmt.Appendf(nil, `{"v":%s}`, v)})
		}
		got := p.find(s, tenantA, "", "v", 1000)
		if !slices.IsSorted(got) {
			p.errorf("the order is %v", got)
		}
	}},
	{"Count", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things", store.Index{Fields: []document.SortField{{Path: "n"}}})
		for i := range 30 {
			p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: fmt.Sprint(i), Data: fmt.Appendf(nil, `{"n":%d,"m":%d}`, i, i%3)})
		}
		for filter, want := range map[string]int64{"": 30, `{"n":{"$gte":10}}`: 20, `{"m":1}`: 10, `{"n":{"$lt":9},"m":0}`: 3, `{"n":-1}`: 0} {
			if n, err := s.Count(p.ctx, tenantA, "things", p.filter(filter), nil); n != want || err != nil {
				p.errorf("%s: got %d, %v; want %d", filter, n, err, want)
			}
		}
	}},
	{"Budget", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things", store.Index{Fields: []document.SortField{{Path: "n"}}})
		for i := range 30 {
			p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: fmt.Sprint(i), Data: fmt.Appendf(nil, `{"n":%d,"m":%d}`, i, i%3)})
		}
		for _, c := range []struct {
			filter, sort string
			costly       bool
		}{
			{``, "", false}, {``, "n", false}, {`{"n":3}`, "m", false}, {``, "m", true}, {`{"m":7}`, "", true}, {`{"n":{"$gte":0}}`, "m", true},
		} {
			q := store.Query{Filter: p.filter(c.filter), Limit: 5, Budget: store.NewBudget(20)}
			if c.sort != "" {
				q.Sort = []document.SortField{{Path: c.sort}}
			}
			if _, err := s.Find(p.ctx, tenantA, "things", q); errors.Is(err, store.ErrTooCostly) != c.costly || err != nil && !c.costly {
				p.errorf("%+v: got %v", c, err)
			}
			q.Budget = store.NewBudget(1000)
			if _, err := s.Find(p.ctx, tenantA, "things", q); err != nil {
				p.errorf("%+v with a large budget: got %v", c, err)
			}
		}
		for filter, costly := range map[string]bool{`{"n":3}`: false, `{"m":1}`: true, `{"n":{"$gte":0}}`: true} {
			_, err := s.Count(p.ctx, tenantA, "things", p.filter(filter), store.NewBudget(20))
			if errors.Is(err, store.ErrTooCostly) != costly || err != nil && !costly {
				p.errorf("count %s: got %v", filter, err)
			}
		}
	}},
	{"Collections", func(p *probe, s DocumentsStore) {
		a := p.collection(s, tenantA, "b")
		if a.Version != 1 || a.CreatedAt.IsZero() {
			p.errorf("created %+v", a)
		}
		_, err := s.PutCollection(p.ctx, tenantA, store.Collection{Name: "b"})
		p.kind(err, platform.KindConflict, "the same name again")
		_, err = s.PutCollection(p.ctx, tenantA, store.Collection{Name: "none", Version: 1})
		p.kind(err, platform.KindNotFound, "a change of nothing")
		p.must1(s.PutCollection(p.ctx, tenantA, store.Collection{Name: "a", Schema: json.RawMessage(`{"type":"object"}`)}, event(tenantA, "a", 1)))
		all, err := s.Collections(p.ctx, tenantA)
		p.must(err)
		if len(all) != 2 || all[0].Name != "a" || all[1].Name != "b" || string(all[0].Schema) != `{"type":"object"}` {
			p.errorf("got %+v", all)
		}
		_, err = s.Collections(p.ctx, tenantA, "a", "none")
		p.kind(err, platform.KindNotFound, "an unknown name")
		p.kind(s.DropCollection(p.ctx, tenantA, "a", 7), platform.KindStale, "a stale drop")
		p.must(s.DropCollection(p.ctx, tenantA, "a", 1, event(tenantA, "a", 2)))
		p.kind(s.DropCollection(p.ctx, tenantA, "a", 0), platform.KindNotFound, "a second drop")
		if ids, _ := s.Emitted(p.ctx); len(ids) != 2 {
			p.errorf("emitted %v", ids)
		}
	}},
	{"ADroppedCollectionComesBackEmpty", func(p *probe, s DocumentsStore) {
		index := store.Index{Fields: []document.SortField{{Path: "n"}}, Unique: true}
		p.collection(s, tenantA, "things", index)
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{"n":1}`)})
		p.must(s.DropCollection(p.ctx, tenantA, "things", 0))
		_, err := s.Get(p.ctx, tenantA, "things", "x")
		p.kind(err, platform.KindNotFound, "a document of a dropped collection")
		_, err = s.Find(p.ctx, tenantA, "things", store.Query{Limit: 1})
		p.kind(err, platform.KindNotFound, "a dropped collection")
		p.collection(s, tenantA, "things", index)
		if got := p.find(s, tenantA, "", "n", 10); len(got) != 0 {
			p.errorf("it holds %v", got)
		}
		p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{"n":1}`)})
	}},
	{"TenantsAreApart", documentsTenants},
	{"TenantsAreApartAtRandom", documentsAtRandom},
	{"Cancelled", func(p *probe, s DocumentsStore) {
		p.collection(s, tenantA, "things")
		ctx := p.cancelled()
		_, err := s.Apply(ctx, tenantA, "things", []store.Change{{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{}`)}}, nil)
		_, findErr := s.Find(ctx, tenantA, "things", store.Query{Limit: 1})
		if !errors.Is(err, context.Canceled) || !errors.Is(findErr, context.Canceled) {
			p.errorf("got %v and %v", err, findErr)
		}
		_, err = s.Get(p.ctx, tenantA, "things", "x")
		p.kind(err, platform.KindNotFound, "what a cancelled call wrote")
	}},
}

// pageDocuments is how many documents are walked in pages, three of each of
// mixed. A page of one makes a call for each.
const pageDocuments = 66

// mixed are JSON values in ascending order.
var mixed = []string{
	"null", "-1e300", "-2", "-1.5", "0", "0.1", "1", "9007199254740992", "9007199254740993", "1e300",
	`""`, `"A"`, `"a"`, `"aa"`, `"b"`, `"é"`, `{}`, `{"a":1}`, `{"a":2}`, `{"b":1}`, "false", "true",
}

func documentsTenants(p *probe, s DocumentsStore) {
	index := store.Index{Fields: []document.SortField{{Path: "n"}}}
	p.collection(s, tenantA, "things", index)
	_, err := s.Find(p.ctx, tenantB, "things", store.Query{Limit: 1})
	p.kind(err, platform.KindNotFound, "another tenant's collection")
	p.collection(s, tenantB, "things", index)
	p.collection(s, tenantB, "more")
	if all, err := s.Collections(p.ctx, tenantA); err != nil || len(all) != 1 {
		p.errorf("the collections of both tenants: %+v, %v", all, err)
	}
	_, err = s.Collections(p.ctx, tenantA, "more")
	p.kind(err, platform.KindNotFound, "another tenant's collection by its name")
	p.apply(s, tenantA, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{"n":1,"of":"a"}`)})
	_, err = s.Get(p.ctx, tenantB, "things", "x")
	p.kind(err, platform.KindNotFound, "another tenant's document")
	p.apply(s, tenantB, store.Change{Op: store.OpInsert, ID: "x", Data: json.RawMessage(`{"n":1,"of":"b"}`)})
	p.apply(s, tenantB, store.Change{Op: store.OpPatch, ID: "x", Data: json.RawMessage(`{"n":2}`)})
	if doc := p.get(s, tenantA, "x"); string(doc.Data) != `{"n":1,"of":"a"}` || doc.Version != 1 {
		p.errorf("the other tenant's change reached %s", doc.Data)
	}
	if got := p.find(s, tenantA, `{"n":{"$gte":0}}`, "n", 10); len(got) != 1 {
		p.errorf("got %v", got)
	}
	if n, _ := s.Count(p.ctx, tenantA, "things", document.Filter{}, nil); n != 1 {
		p.errorf("counted %d", n)
	}
	p.apply(s, tenantB, store.Change{Op: store.OpDelete, ID: "x"})
	p.must(s.DropCollection(p.ctx, tenantB, "things", 0))
	if got := p.find(s, tenantA, `{"n":1}`, "n", 10); len(got) != 1 {
		p.errorf("after the other tenant dropped its collection: %v", got)
	}
	for _, t := range badTenants {
		_, err := s.Get(p.ctx, t, "things", "x")
		p.kind(err, platform.KindNoTenant, "Get")
		_, err = s.Find(p.ctx, t, "things", store.Query{Limit: 1})
		p.kind(err, platform.KindNoTenant, "Find")
		_, err = s.Count(p.ctx, t, "things", document.Filter{}, nil)
		p.kind(err, platform.KindNoTenant, "Count")
		_, err = s.Collections(p.ctx, t)
		p.kind(err, platform.KindNoTenant, "Collections")
		_, err = s.PutCollection(p.ctx, t, store.Collection{Name: "x"})
		p.kind(err, platform.KindNoTenant, "PutCollection")
		p.kind(s.DropCollection(p.ctx, t, "things", 0), platform.KindNoTenant, "DropCollection")
		_, err = s.Apply(p.ctx, t, "things", []store.Change{{Op: store.OpDelete, ID: "x"}}, nil)
		p.kind(err, platform.KindNoTenant, "Apply")
	}
}
