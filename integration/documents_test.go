package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/sqldocs"
)

// TestDocumentsAgree runs one random script on every store that keeps
// documents: whatever is asked, all answer the same, refusals included.
func TestDocumentsAgree(t *testing.T) {
	// It stands still within a step, so that stores that look at it more often than
	// others write the same times.
	clock := testclock.At(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC))
	stores := documentStores(t, clock)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		s := &script{t: t, stores: stores, clock: clock, name: fmt.Sprintf("c%d", n), tenant: "org_1", versions: map[string]int64{}}
		s.put(0)
		for range rapid.IntRange(2, 7).Draw(t, "steps") {
			s.step()
		}
		s.drop()
	})
}

type namedStore struct {
	name string
	store.Documents
}

func documentStores(t *testing.T, clock *testclock.Clock) []namedStore {
	now := clock.Now
	onSQL := func(db store.Relational) store.Documents {
		docs, err := sqldocs.New(sqldocs.Config{DB: db, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		if err := docs.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return docs
	}
	pg, err := testdb.Connect(t.Context(), teststack.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Close() })
	docs, err := mongo.New(mongo.Config{
		URL: teststack.Mongo(t), Database: fmt.Sprintf("agree%d", time.Now().UnixNano()), Events: noEvents{}, Now: now, Interval: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docs.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := docs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return []namedStore{{"SQLite", onSQL(testdb.New(t))}, {"PostgreSQL", onSQL(pg)}, {"MongoDB", docs}}
}

// noEvents is a stream for changes whose events nobody asks for.
type noEvents struct{ store.Events }

func (noEvents) Publish(context.Context, ...platform.Event) error { return nil }

// script is one random script on all stores.
type script struct {
	t        *rapid.T
	stores   []namedStore
	clock    *testclock.Clock
	name     string
	tenant   platform.TenantID
	version  int64
	versions map[string]int64 // of the documents, as far as known
}

// all has every store do something and compares what they say.
func (s *script) all(what string, do func(store.Documents) (string, error)) string {
	s.clock.Advance(time.Millisecond)
	var first string
	for i, d := range s.stores {
		answer, err := do(d.Documents)
		if err != nil {
			answer = refusal(err)
		}
		if i == 0 {
			first = answer
			continue
		}
		if answer != first {
			s.t.Fatalf("%s\n%s: %s\n%s: %s", what, s.stores[0].name, first, d.name, answer)
		}
	}
	return first
}

// refusal is an error as far as callers may act on it.
func refusal(err error) string {
	var change *store.ChangeError
	at := ""
	if errors.As(err, &change) {
		at = fmt.Sprintf(" of change %d", change.Index)
	}
	var known *platform.Error
	if !errors.As(err, &known) {
		return "an error without a kind: " + err.Error()
	}
	return fmt.Sprintf("%s %v%s", known.CodeOrKind(), known.Fields, at)
}

func describe(d store.Document) string {
	return fmt.Sprintf("%s.%d %s %s %s", d.ID, d.Version, d.Data, d.CreatedAt.Format(time.RFC3339Nano), d.UpdatedAt.Format(time.RFC3339Nano))
}

func (s *script) step() {
	switch rapid.IntRange(0, 9).Draw(s.t, "step") {
	case 0:
		s.put(s.version)
	case 1:
		s.put(rapid.Int64Range(0, 3).Draw(s.t, "some version"))
	case 2, 3, 4:
		s.apply()
	case 5:
		s.get()
	case 6:
		s.count()
	default:
		s.find()
	}
}

func (s *script) put(version int64) {
	c := store.Collection{Name: s.name, Version: version}
	for range rapid.IntRange(0, 3).Draw(s.t, "indexes") {
		if fields := genSort.Draw(s.t, "index"); len(fields) > 0 {
			c.Indexes = append(c.Indexes, store.Index{Fields: fields, Unique: rapid.IntRange(0, 3).Draw(s.t, "unique") == 0})
		}
	}
	if rapid.Bool().Draw(s.t, "schema") {
		c.Schema = json.RawMessage(`{"type":"object"}`)
	}
	s.all(fmt.Sprintf("put %+v", c), func(d store.Documents) (string, error) {
		put, err := d.PutCollection(s.t.Context(), s.tenant, c)
		if err == nil {
			s.version = put.Version
		}
		return fmt.Sprintf("%+v", put), err
	})
	s.all("collections", func(d store.Documents) (string, error) {
		all, err := d.Collections(s.t.Context(), s.tenant, s.name)
		return fmt.Sprintf("%+v", all), err
	})
}

func (s *script) drop() {
	s.all("drop", func(d store.Documents) (string, error) {
		return "dropped", d.DropCollection(s.t.Context(), s.tenant, s.name, 0)
	})
	s.get()
	s.count()
}

var genID = rapid.SampledFrom([]string{"r1", "r2", "r3", "r4", "r5", "r6", "r10", "é", "a b"})

func (s *script) apply() {
	var changes []store.Change
	for range rapid.IntRange(1, 6).Draw(s.t, "changes") {
		ch := store.Change{
			ID: genID.Draw(s.t, "id"),
			Op: rapid.SampledFrom([]store.ChangeOp{store.OpUpsert, store.OpUpsert, store.OpUpsert, store.OpInsert, store.OpReplace, store.OpPatch, store.OpDelete}).Draw(s.t, "op"),
		}
		if ch.Op != store.OpDelete {
			ch.Data = json.RawMessage(genObject(2).Draw(s.t, "data"))
			if rapid.IntRange(0, 30).Draw(s.t, "bad") == 0 {
				ch.Data = json.RawMessage(rapid.SampledFrom([]string{`[]`, `{"a":1,"a":2}`, `{"a":`, `{"a":1e7000}`}).Draw(s.t, "bad data"))
			}
		}
		switch rapid.IntRange(0, 7).Draw(s.t, "if version") {
		case 0:
			ch.IfVersion = s.versions[ch.ID]
		case 1:
			ch.IfVersion = rapid.Int64Range(1, 3).Draw(s.t, "some version")
		}
		changes = append(changes, ch)
	}
	s.all(fmt.Sprintf("apply %+v", changes), func(d store.Documents) (string, error) {
		out, err := d.Apply(s.t.Context(), s.tenant, s.name, changes, nil)
		var all []string
		for _, doc := range out {
			s.versions[doc.ID] = doc.Version
			all = append(all, describe(doc))
		}
		return strings.Join(all, "\n"), err
	})
}

func (s *script) get() {
	id := genID.Draw(s.t, "get")
	s.all("get "+id, func(d store.Documents) (string, error) {
		doc, err := d.Get(s.t.Context(), s.tenant, s.name, id)
		return describe(doc), err
	})
}

func (s *script) filter() document.Filter {
	f, err := document.ParseFilter([]byte(genFilter(2).Draw(s.t, "filter")))
	if err != nil { // a value may look like an operator
		return document.Filter{}
	}
	return f
}

func (s *script) count() {
	f := s.filter()
	s.all("count "+f.String(), func(d store.Documents) (string, error) {
		n, err := d.Count(s.t.Context(), s.tenant, s.name, f, nil)
		return fmt.Sprint(n), err
	})
}

// find walks all pages of a query, the places of the pages compared too.
func (s *script) find() {
	q := store.Query{Filter: s.filter(), Sort: genSort.Draw(s.t, "sort"), Limit: rapid.IntRange(1, 4).Draw(s.t, "limit")}
	for range 20 {
		var cursors []store.Cursor
		s.all(fmt.Sprintf("find %s by %v, %d after %x", q.Filter, q.Sort, q.Limit, q.Cursor), func(d store.Documents) (string, error) {
			page, err := d.Find(s.t.Context(), s.tenant, s.name, q)
			var all []string
			for _, doc := range page.Documents {
				all = append(all, describe(doc))
			}
			cursors = append(cursors, page.Next)
			return fmt.Sprintf("%s\nnext %x", strings.Join(all, "\n"), page.Next), err
		})
		if slices.ContainsFunc(cursors, func(c store.Cursor) bool { return !bytes.Equal(c, cursors[0]) }) {
			s.t.Fatalf("the cursors differ: %x", cursors)
		}
		if q.Cursor = cursors[0]; len(q.Cursor) == 0 {
			return
		}
	}
	s.t.Fatalf("the pages have no end")
}
