package mongo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// The figures of a stand-in for MongoDB say something about round trips only.
func BenchmarkDocuments(b *testing.B) {
	docs := open(b, database(b), func(cfg *mongo.Config) { cfg.Interval = time.Hour })
	_, err := docs.PutCollection(b.Context(), tenant, store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("n")}}})
	if err != nil {
		b.Fatal(err)
	}
	var first []store.Change
	for i := range 100 {
		first = append(first, change(store.OpInsert, fmt.Sprintf("d%03d", i), fmt.Sprintf(`{"n":%d}`, i)))
	}
	if _, err := docs.Apply(b.Context(), tenant, "c", first, nil); err != nil {
		b.Fatal(err)
	}
	build := func([]store.Document) []platform.Event {
		return []platform.Event{event(tenant, platform.NewID("evt"), "x")}
	}
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			if _, err := docs.Apply(b.Context(), tenant, "c", []store.Change{change(store.OpUpsert, "d001", `{"n":1}`)}, build); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("update parallel", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := docs.Apply(b.Context(), tenant, "c", []store.Change{change(store.OpUpsert, "d002", `{"n":1}`)}, build); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("create", func(b *testing.B) {
		for b.Loop() {
			id := platform.NewID("rec")
			if _, err := docs.Apply(b.Context(), tenant, "c", []store.Change{change(store.OpInsert, id, `{"n":1000}`)}, build); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, err := docs.Get(b.Context(), tenant, "c", "d001"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		q := store.Query{Filter: filter(`{"n":{"$lt":60}}`), Sort: fields("-n"), Limit: 50}
		for b.Loop() {
			if p, err := docs.Find(b.Context(), tenant, "c", q); err != nil || len(p.Documents) != 50 {
				b.Fatal(len(p.Documents), err)
			}
		}
	})
}
