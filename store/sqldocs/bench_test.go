package sqldocs_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/sqldocs"
)

const benchSize = 100_000

// benchRecord is about 300 bytes, as in the load that peers were measured with.
func benchRecord(r *rand.Rand) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"title":"record %016x of the benchmark","num":%d,"flag":%t,`+
		`"meta":{"a":%d,"b":"some text that nobody looks at, in a nested object","c":[1,2,3]},`+
		`"when":"%s","tag":"tag%02d","note":"and a note, so that it comes to about three hundred bytes in all"}`,
		r.Uint64(), r.IntN(1000), r.IntN(2) == 0, r.IntN(100),
		time.Unix(1_700_000_000+r.Int64N(50_000_000), 0).UTC().Format(time.RFC3339), r.IntN(100)))
}

func fields(sort string) []document.SortField {
	f, err := document.ParseSort(sort)
	if err != nil {
		panic(err)
	}
	return f
}

func filter(text string) document.Filter {
	f, err := document.ParseFilter([]byte(text))
	if err != nil {
		panic(err)
	}
	return f
}

// fillBench makes a collection of 100,000 records.
func fillBench(b *testing.B, docs *sqldocs.Documents, name string, indexes ...string) []string {
	b.Helper()
	c := store.Collection{Name: name}
	for _, x := range indexes {
		c.Indexes = append(c.Indexes, store.Index{Fields: fields(x)})
	}
	if _, err := docs.PutCollection(b.Context(), tenant, c); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	ids := make([]string, benchSize)
	start := time.Now()
	for done := 0; done < benchSize; done += 500 {
		changes := make([]store.Change, 500)
		for i := range changes {
			ids[done+i] = platform.NewID("rec")
			changes[i] = store.Change{Op: store.OpInsert, ID: ids[done+i], Data: benchRecord(r)}
		}
		if _, err := docs.Apply(b.Context(), tenant, name, changes, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%s: %.0f records/s filled", name, benchSize/time.Since(start).Seconds())
	return ids
}

// startInParallel is start with the real clock, which many may ask at once.
func startInParallel(b *testing.B, db store.Relational) *sqldocs.Documents {
	b.Helper()
	return startWith(b, sqldocs.Config{DB: db})
}

func BenchmarkRead(b *testing.B) { testdb.OnEach(b, benchmarkRead) }

func benchmarkRead(b *testing.B, db testdb.DB) {
	b.Helper()
	docs := start(b, db)
	ids := fillBench(b, docs, "indexed", "tag,-when")
	fillBench(b, docs, "plain")
	list := store.Query{Sort: fields("-when"), Limit: 50}
	find := func(name, text string) func(b *testing.B) {
		return func(b *testing.B) {
			b.Helper()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				q := list
				q.Filter = filter(fmt.Sprintf(text, i%100))
				p, err := docs.Find(b.Context(), tenant, name, q)
				if err != nil || len(p.Documents) != 50 {
					b.Fatal(len(p.Documents), err)
				}
			}
		}
	}
	b.Run("list", find("indexed", `{"tag":"tag%02d","num":{"$gt":500}}`))
	b.Run("list parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				q := list
				q.Filter = filter(fmt.Sprintf(`{"tag":"tag%02d","num":{"$gt":500}}`, i%100))
				if _, err := docs.Find(b.Context(), tenant, "indexed", q); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("scan", find("plain", `{"tag":"tag%02d","num":{"$gt":500}}`))
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := docs.Get(b.Context(), tenant, "indexed", ids[i*7919%benchSize]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count all", func(b *testing.B) {
		for b.Loop() {
			if n, err := docs.Count(b.Context(), tenant, "indexed", document.Filter{}, nil); err != nil || n != benchSize {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("count list", func(b *testing.B) {
		for b.Loop() {
			n, err := docs.Count(b.Context(), tenant, "indexed", filter(`{"tag":"tag07","num":{"$gt":500}}`), nil)
			if err != nil || n < 300 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("count tag", func(b *testing.B) {
		for b.Loop() {
			if n, err := docs.Count(b.Context(), tenant, "indexed", filter(`{"tag":"tag07"}`), nil); err != nil || n < 500 {
				b.Fatal(n, err)
			}
		}
	})
}

func BenchmarkWrite(b *testing.B) { testdb.OnEach(b, benchmarkWrite) }

func benchmarkWrite(b *testing.B, db testdb.DB) {
	b.Helper()
	docs := startInParallel(b, db)
	for name, indexes := range map[string][]store.Index{
		"plain": nil, "indexed": {{Fields: fields("tag,-when")}, {Fields: fields("num")}},
	} {
		if _, err := docs.PutCollection(b.Context(), tenant, store.Collection{Name: name, Indexes: indexes}); err != nil {
			b.Fatal(err)
		}
	}
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(1, 2))
	apply := func(b *testing.B, name string, n int, data func() json.RawMessage) {
		b.Helper()
		changes := make([]store.Change, n)
		mu.Lock()
		for i := range changes {
			changes[i] = store.Change{Op: store.OpInsert, ID: platform.NewID("rec"), Data: data()}
		}
		mu.Unlock()
		if _, err := docs.Apply(b.Context(), tenant, name, changes, nil); err != nil {
			b.Error(err)
		}
	}
	record := func() json.RawMessage { return benchRecord(r) }
	small := func() json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"a":%d,"b":"a record of fifty bytes","c":true}`, r.IntN(1e6)))
	}
	b.Run("insert one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			apply(b, "indexed", 1, record)
		}
	})
	b.Run("insert parallel", func(b *testing.B) {
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				apply(b, "indexed", 1, record)
			}
		})
	})
	for _, c := range []struct {
		name, collection string
		data             func() json.RawMessage
	}{{"import small", "plain", small}, {"import plain", "plain", record}, {"import indexed", "indexed", record}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				apply(b, c.collection, 500, c.data)
			}
			b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkEmit measures what an event adds to the insert of a record with two
// indexes.
func BenchmarkEmit(b *testing.B) {
	testdb.OnEach(b, func(b *testing.B, db testdb.DB) {
		b.Helper()
		docs := startInParallel(b, db)
		c := store.Collection{Name: "indexed", Indexes: []store.Index{{Fields: fields("tag,-when")}, {Fields: fields("num")}}}
		if _, err := docs.PutCollection(b.Context(), tenant, c); err != nil {
			b.Fatal(err)
		}
		insert := func(build store.EventsBuilder) func() error {
			return func() error {
				data := benchRecord(rand.New(rand.NewPCG(rand.Uint64(), 1)))
				_, err := docs.Apply(b.Context(), tenant, c.Name, []store.Change{{Op: store.OpInsert, ID: platform.NewID("rec"), Data: data}}, build)
				return err
			}
		}
		created := func(applied []store.Document) []platform.Event {
			return []platform.Event{{
				ID: platform.NewID("evt"), Source: "/data", Type: "data.record.created", Tenant: tenant,
				Subject: c.Name + "/" + applied[0].ID, Time: applied[0].UpdatedAt, Actor: "usr_1",
				Data: json.RawMessage(`{"collection":"indexed","id":"` + applied[0].ID + `","version":1}`),
			}}
		}
		for _, writers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
				testdb.Compare(b, writers, insert(nil), insert(created))
			})
		}
	})
}
