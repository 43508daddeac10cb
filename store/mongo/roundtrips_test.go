package mongo_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	bsonevent "go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// TestRoundTrips holds the commands of the calls that are made most.
func TestRoundTrips(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	client, err := driver.Connect(options.Client().ApplyURI(teststack.Mongo(t)).SetRetryWrites(false).SetMonitor(&bsonevent.CommandMonitor{
		Started: func(_ context.Context, e *bsonevent.CommandStartedEvent) {
			mu.Lock()
			defer mu.Unlock()
			if of, ok := e.Command.Lookup(e.CommandName).StringValueOK(); ok {
				seen = append(seen, e.CommandName+" "+of)
			}
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	docs := open(t, database(t), func(cfg *mongo.Config) { cfg.URL, cfg.Client, cfg.Interval = "", client, time.Hour })
	_, err = docs.PutCollection(t.Context(), tenant, store.Collection{Name: "c", Indexes: []store.Index{{Fields: fields("n")}}})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(build store.EventsBuilder, changes ...store.Change) func() error {
		return func() error {
			_, err := docs.Apply(t.Context(), tenant, "c", changes, build)
			return err
		}
	}
	build := func([]store.Document) []platform.Event { return []platform.Event{event(tenant, "e", "x")} }
	for _, c := range []struct {
		name string
		do   func() error
		want []string // but for what is left for after the answer
	}{
		{"create", apply(build, change(store.OpInsert, "x", `{"n":1}`)), []string{
			"find documents", "findAndModify sequences", "insert documents", "update collections",
			"insert outbox", "update documents", "update entries",
		}},
		{"update", apply(nil, change(store.OpReplace, "x", `{"n":1,"m":1}`)), []string{
			"find documents", "update collections", "update documents",
		}},
		{"get", func() error { _, err := docs.Get(t.Context(), tenant, "c", "x"); return err }, []string{"find collections", "find documents"}},
		{"list", func() error {
			_, err := docs.Find(t.Context(), tenant, "c", store.Query{Sort: fields("-n"), Limit: 50})
			return err
		}, []string{"find collections", "find collections", "find documents", "find entries"}},
	} {
		// The first call may read the head, and the one before may still
		// note what it has done.
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		seen = nil
		mu.Unlock()
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		mu.Lock()
		got := slices.Clone(seen)
		mu.Unlock()
		got = slices.DeleteFunc(got, func(s string) bool { return s == "find outbox" || s == "update leases" || s == "find leases" })
		if len(got) > len(c.want) && c.want[len(c.want)-1] != "find entries" { // the note
			got = got[:len(c.want)]
		}
		slices.Sort(got)
		want := slices.Clone(c.want)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s took %q, want %q", c.name, got, want)
		}
	}
}
