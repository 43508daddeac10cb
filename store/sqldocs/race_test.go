package sqldocs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/sqldocs"
)

// processes are the documents of as many processes over one place.
func processes(t *testing.T, n int) ([]*sqldocs.Documents, testdb.DB) {
	t.Helper()
	place := testdb.NewPlace(t)
	db := place.Open(t)
	var all []*sqldocs.Documents
	for range n {
		docs, err := sqldocs.New(sqldocs.Config{DB: place.Another(t, db)})
		if err != nil {
			t.Fatal(err)
		}
		if err := docs.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, docs)
	}
	return all, db
}

// waiting blocks until a transaction waits for a lock, where there can be one.
func waiting(t *testing.T, db store.Relational) {
	t.Helper()
	for n := 0; n == 0 && testdb.OnPostgres(); runtime.Gosched() {
		err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&n)
		}, store.ReadOnly)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func number(t *testing.T, db store.Relational, text string) (n int) {
	t.Helper()
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, text).Scan(&n)
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// write changes random documents of "c" until end is closed. What others may be
// in the way of is no failure.
func write(t *testing.T, docs *sqldocs.Documents, seed uint64, end <-chan struct{}) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	for {
		select {
		case <-end:
			return
		default:
		}
		changes := make([]store.Change, 1+r.IntN(4))
		for i := range changes {
			changes[i] = store.Change{
				Op: []store.ChangeOp{store.OpUpsert, store.OpUpsert, store.OpPatch, store.OpDelete}[r.IntN(4)],
				ID: fmt.Sprintf("r%02d", r.IntN(40)),
			}
			if changes[i].Op != store.OpDelete {
				changes[i].Data = json.RawMessage(fmt.Sprintf(`{"n":%d,"tags":[%d,%d]}`, r.IntN(1000), r.IntN(9), r.IntN(9)))
			}
		}
		_, err := docs.Apply(t.Context(), tenant, "c", changes, nil)
		if err != nil && platform.KindOf(err) != platform.KindNotFound {
			t.Errorf("a writer: %v", err)
			return
		}
	}
}

// An index that comes beside writers has a row for what each of them writes, and
// none for what is gone.
func TestIndexComesBesideWriters(t *testing.T) {
	all, db := processes(t, 4)
	c, err := all[0].PutCollection(t.Context(), tenant, store.Collection{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var writers sync.WaitGroup
	for i, docs := range all[1:] {
		writers.Go(func() { write(t, docs, uint64(i), end) })
	}
	for i := range 12 {
		c.Indexes = []store.Index{{Fields: fields("n")}, {Fields: fields("tags,-n")}}[:1+i%2]
		if i%3 == 2 {
			c.Indexes = nil
		}
		if c, err = all[0].PutCollection(t.Context(), tenant, c); err != nil {
			t.Fatal(err)
		}
	}
	c.Indexes = []store.Index{{Fields: fields("n")}, {Fields: fields("tags")}}
	if _, err = all[0].PutCollection(t.Context(), tenant, c); err != nil {
		t.Fatal(err)
	}
	close(end)
	writers.Wait()
	checkIndexes(t, all, db)
}

// checkIndexes compares "c" by its two indexes with its documents.
func checkIndexes(t *testing.T, all []*sqldocs.Documents, db store.Relational) {
	t.Helper()
	m, tags := model{}, map[string]int{}
	p, err := all[0].Find(t.Context(), tenant, "c", store.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, doc := range p.Documents {
		m[doc.ID] = doc
		var data struct{ Tags []int }
		if err := json.Unmarshal(doc.Data, &data); err != nil {
			t.Fatal(err)
		}
		tags[fmt.Sprint(data.Tags)]++
		if rows += 2; data.Tags[0] != data.Tags[1] {
			rows++
		}
	}
	if n := number(t, db, `SELECT count(*) FROM document_index`); n != rows {
		t.Errorf("%d rows of indexes, want %d for %d documents", n, rows, len(m))
	}
	for _, docs := range all {
		for _, f := range []string{`{"n":{"$gte":0}}`, `{"n":{"$lt":500}}`, `{"tags":{"$gte":0}}`, `{"tags":3}`} {
			checkWalk(t, docs, "c", m, f, fields("n"), 7)
			checkWalk(t, docs, "c", m, f, fields("-tags"), 7)
		}
	}
}

// A collection that is dropped beside writers leaves nothing behind.
func TestCollectionGoesBesideWriters(t *testing.T) {
	all, db := processes(t, 4)
	end := make(chan struct{})
	var writers sync.WaitGroup
	for i, docs := range all[1:] {
		writers.Go(func() { write(t, docs, uint64(i), end) })
	}
	for range 15 {
		c := store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("n")}}}
		if _, err := all[0].PutCollection(t.Context(), tenant, c); err != nil {
			t.Fatal(err)
		}
		for number(t, db, `SELECT count(*) FROM documents`) == 0 {
			runtime.Gosched()
		}
		if err := all[0].DropCollection(t.Context(), tenant, "c", 0); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	writers.Wait()
	for _, table := range []string{"documents", "document_index", "document_collections"} {
		if n := number(t, db, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%d rows of %s are left", n, table)
		}
	}
}

// Two writers that each bring the first array of a field both leave the mark that
// keeps queries from taking the field's index for an order.
func TestMarksOfTwoWriters(t *testing.T) {
	all, db := processes(t, 2)
	c := store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("a")}, {Fields: fields("b")}}}
	if _, err := all[0].PutCollection(t.Context(), tenant, c); err != nil {
		t.Fatal(err)
	}
	insert := func(docs *sqldocs.Documents, id, data string, build store.EventsBuilder) {
		_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{{Op: store.OpInsert, ID: id, Data: json.RawMessage(data)}}, build)
		if err != nil {
			t.Errorf("insert %s: %v", id, err)
		}
	}
	marked, second := make(chan struct{}), make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		insert(all[0], "x", `{"a":[1,2,3]}`, func([]store.Document) []platform.Event {
			close(marked)
			waiting(t, db)
			return nil
		})
	})
	<-marked
	writers.Go(func() { close(second); insert(all[1], "y", `{"b":[1,2,3]}`, nil) })
	<-second
	writers.Wait()
	for _, docs := range all {
		for _, f := range []string{`{"a":{"$gte":1}}`, `{"b":{"$gte":1}}`} {
			if n, err := docs.Count(t.Context(), tenant, "c", filter(f), nil); n != 1 || err != nil {
				t.Errorf("%s: counted %d, %v", f, n, err)
			}
		}
	}
}

// Of many writers of one new id, one inserts; replacing it, all follow one
// another.
func TestOneInserts(t *testing.T) {
	all, _ := processes(t, 4)
	if _, err := all[0].PutCollection(t.Context(), tenant, store.Collection{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		var inserted, upserted atomic.Int32
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				_, err := all[w%4].Apply(t.Context(), tenant, "c", []store.Change{
					{Op: store.OpInsert, ID: fmt.Sprint("i", i), Data: json.RawMessage(`{}`)},
				}, nil)
				if err == nil {
					inserted.Add(1)
				} else if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "exists"}) {
					t.Errorf("insert: %v", err)
				}
				applied, err := all[w%4].Apply(t.Context(), tenant, "c", []store.Change{
					{Op: store.OpUpsert, ID: fmt.Sprint("u", i), Data: json.RawMessage(`{}`)},
				}, nil)
				if err != nil {
					t.Errorf("upsert: %v", err)
					return
				}
				upserted.Add(int32(applied[0].Version))
			})
		}
		writers.Wait()
		if n := inserted.Load(); n != 1 {
			t.Errorf("%d writers inserted the same id", n)
		}
		if n := upserted.Load(); n != 1+2+3+4+5+6+7+8 {
			t.Errorf("the versions of 8 upserts come to %d", n)
		}
	}
}

// Of many writers of one value of a unique index, one has it, and who gives it
// up lets one other have it.
func TestOneHasTheValue(t *testing.T) {
	all, _ := processes(t, 4)
	c := store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("u"), Unique: true}}}
	if _, err := all[0].PutCollection(t.Context(), tenant, c); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			id := fmt.Sprint("w", w)
			for i := range 20 {
				_, err := all[w%4].Apply(t.Context(), tenant, "c", []store.Change{
					{Op: store.OpUpsert, ID: id, Data: json.RawMessage(fmt.Sprintf(`{"u":%d}`, (w+i)%3))},
				}, nil)
				if err != nil && !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}) {
					t.Errorf("upsert: %v", err)
				}
			}
		})
	}
	writers.Wait()
	p, err := all[0].Find(t.Context(), tenant, "c", store.Query{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, doc := range p.Documents {
		if other := seen[string(doc.Data)]; other != "" {
			t.Errorf("%s and %s both have %s", other, doc.ID, doc.Data)
		}
		seen[string(doc.Data)] = doc.ID
	}
	if n, err := all[0].Count(t.Context(), tenant, "c", document.Filter{}, nil); n != int64(len(seen)) || err != nil || n == 0 {
		t.Errorf("%d documents, %v", n, err)
	}
}

// Writers of the same documents wait for each other, in whatever order they name
// them: nobody runs into another one and has to begin again.
func TestWritersWait(t *testing.T) {
	place := testdb.NewPlace(t)
	db := place.Open(t)
	var runs atomic.Int32 // each begins with a look at the clock
	docs, err := sqldocs.New(sqldocs.Config{DB: db, Now: func() time.Time {
		runs.Add(1)
		return time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := docs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ids := []string{"a", "b", "c", "d"}
	fill(t, docs, "c", nil, nil)
	upsert := func(down bool) {
		changes := make([]store.Change, len(ids))
		for i, id := range ids {
			if down {
				i = len(ids) - 1 - i
			}
			changes[i] = store.Change{Op: store.OpUpsert, ID: id, Data: json.RawMessage(`{}`)}
		}
		if _, err := docs.Apply(t.Context(), tenant, "c", changes, nil); err != nil {
			t.Error(err)
		}
	}
	upsert(false)
	before := runs.Load()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 25 {
				upsert((w+i)%2 == 1)
			}
		})
	}
	writers.Wait()
	if n := runs.Load() - before; n != 100 {
		t.Errorf("100 changes were made in %d runs", n)
	}
	for _, id := range ids {
		if doc, err := docs.Get(t.Context(), tenant, "c", id); err != nil || doc.Version != 101 {
			t.Errorf("%s has version %d, %v; want 101", id, doc.Version, err)
		}
	}
}
