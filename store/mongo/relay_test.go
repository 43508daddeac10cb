package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// until waits for a condition; only a broken store makes it wait long.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never came: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// emit makes a change with one event.
func emit(t *testing.T, docs *mongo.Documents, of platform.TenantID, collection, id, eventID string) {
	t.Helper()
	_, err := docs.Apply(t.Context(), of, collection, []store.Change{change(store.OpUpsert, id, `{}`)},
		func([]store.Document) []platform.Event { return []platform.Event{event(of, eventID, id)} })
	if err != nil {
		t.Error(err)
	}
}

func collection(t *testing.T, docs *mongo.Documents, of platform.TenantID, name string, events ...platform.Event) {
	t.Helper()
	if _, err := docs.PutCollection(t.Context(), of, store.Collection{Name: name}, events...); err != nil {
		t.Fatal(err)
	}
}

// TestRelayOrder has two processes emit at once and looks at the order in which
// the events of each subject leave, also over a collection that is dropped and
// made again.
func TestRelayOrder(t *testing.T) {
	name := database(t)
	s := &stream{}
	with := func(cfg *mongo.Config) { cfg.Events, cfg.Batch = s, 7 }
	all := []*mongo.Documents{open(t, name, with), open(t, name, with)}
	collection(t, all[0], tenant, "c", event(tenant, "c:0", "c"))
	collection(t, all[0], other, "c")
	const each = 12
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			of := []platform.TenantID{tenant, other}[w%2]
			for i := range each {
				emit(t, all[(w+i)%2], of, "c", fmt.Sprint("s", w), fmt.Sprintf("s%d:%d", w, i))
			}
		})
	}
	wg.Wait()
	if err := all[1].DropCollection(t.Context(), tenant, "c", 0, event(tenant, "c:1", "c")); err != nil {
		t.Fatal(err)
	}
	collection(t, all[0], tenant, "c", event(tenant, "c:2", "c"))
	until(t, "all events", func() bool { return len(s.ids()) >= 4*each+3 })
	last := map[string]int{}
	for _, id := range s.ids() {
		subject, n, _ := strings.Cut(id, ":")
		want, seen := last[subject]
		if fmt.Sprint(want) != n {
			t.Errorf("of %s came %s, want %d (%v)", subject, n, want, seen)
		}
		last[subject]++
	}
	if len(last) != 5 {
		t.Errorf("events of %d subjects", len(last))
	}
	client := connect(t, teststack.Mongo(t))
	until(t, "an empty outbox", func() bool {
		n, err := client.Database(name).Collection("outbox").CountDocuments(t.Context(), bson.D{})
		return err == nil && n == 0
	})
}

// TestRelayTakesOver stops the process that relays; another one does so then.
func TestRelayTakesOver(t *testing.T) {
	name := database(t)
	s := &stream{}
	with := func(cfg *mongo.Config) { cfg.Events, cfg.Lease = s, time.Second }
	cfg := mongo.Config{URL: teststack.Mongo(t), Database: name, Events: s, Interval: 20 * time.Millisecond, Lease: time.Second}
	first, err := mongo.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	collection(t, first, tenant, "c")
	emit(t, first, tenant, "c", "x", "1")
	until(t, "the first event", func() bool { return slices.Equal(s.ids(), []string{"1"}) })
	second := open(t, name, with)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	emit(t, second, tenant, "c", "x", "2")
	until(t, "the second event", func() bool { return slices.Equal(s.ids(), []string{"1", "2"}) })
	if _, err := first.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpDelete, "x", "")}, nil); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("a change after the end: %v", err)
	}
}

// TestRelayFindsItsOwnLease has a process take the lease and not hear of it: it
// relays all the same, and does not wait for itself.
func TestRelayFindsItsOwnLease(t *testing.T) {
	name := database(t)
	s, n := &stream{}, &network{}
	n.armFor("update leases", 0, deaf)
	docs := openOn(t, name, n, patient, func(cfg *mongo.Config) {
		cfg.Events, cfg.MinBackoff, cfg.Lease = s, time.Millisecond, time.Hour
	})
	until(t, "the lost answer", n.hit)
	until(t, "the server again", func() bool { return docs.Ping(t.Context()) == nil })
	collection(t, docs, tenant, "c")
	emit(t, docs, tenant, "c", "x", "1")
	until(t, "the event", func() bool { return slices.Equal(s.ids(), []string{"1"}) })
}

// feeding is a stream that makes another change for each one that it takes.
type feeding struct {
	stream

	next func()
}

func (f *feeding) Publish(ctx context.Context, events ...platform.Event) error {
	err := f.stream.Publish(ctx, events...)
	f.next()
	return err
}

// TestRelayUnderSteadyLoad has the outbox never be empty, and a process die with a
// commit that only the sweeper can finish.
func TestRelayUnderSteadyLoad(t *testing.T) {
	name := database(t)
	n := &network{}
	victim := openOn(t, name, n)
	collection(t, victim, tenant, "c")
	collection(t, victim, tenant, "other")
	n.armFor("update collections", 0, lostAnswer)
	_, _ = victim.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "x", `{}`)},
		func([]store.Document) []platform.Event { return []platform.Event{event(tenant, "of the dead", "x")} })
	var docs *mongo.Documents
	var mu sync.Mutex
	made, finished := 0, false
	s := &feeding{next: func() {
		mu.Lock()
		defer mu.Unlock()
		if !finished {
			made++
			emit(t, docs, tenant, "other", "y", fmt.Sprint(made))
		}
	}}
	started := make(chan struct{})
	s.refuse = func(platform.Event) error { <-started; return nil }
	docs = open(t, name, func(cfg *mongo.Config) { cfg.Events, cfg.Lease = s, time.Second })
	close(started)
	emit(t, docs, tenant, "other", "y", "first")
	until(t, "the event of the dead", func() bool { return slices.Contains(s.ids(), "of the dead") })
	mu.Lock()
	defer mu.Unlock()
	if finished = true; made == 0 {
		t.Error("there was no load")
	}
}

// TestRelayAfterDeath has the process that relays die without a word, and
// another one carry on with what it had committed.
func TestRelayAfterDeath(t *testing.T) {
	name := database(t)
	n := &network{}
	victim := openOn(t, name, n)
	collection(t, victim, tenant, "c")
	n.armFor("update collections", 0, lostAnswer) // committed, and not in the outbox
	_, _ = victim.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "x", `{}`)},
		func([]store.Document) []platform.Event { return []platform.Event{event(tenant, "1", "x")} })
	if !n.hit() {
		t.Fatalf("it did not die: %v", n.commands())
	}
	s := &stream{}
	open(t, name, func(cfg *mongo.Config) { cfg.Events, cfg.Lease = s, time.Second })
	until(t, "the event of the dead", func() bool { return slices.Equal(s.ids(), []string{"1"}) })
}

// TestRelayLateRow puts a row into the outbox again that was published, as a
// process does that carries out a commit late.
func TestRelayLateRow(t *testing.T) {
	name := database(t)
	s := &stream{refuse: func(platform.Event) error { return platform.Errorf(platform.KindUnavailable, "away", "away") }}
	docs := open(t, name, func(cfg *mongo.Config) { cfg.Events, cfg.MinBackoff = s, time.Millisecond })
	outbox := connect(t, teststack.Mongo(t)).Database(name).Collection("outbox")
	collection(t, docs, tenant, "c")
	emit(t, docs, tenant, "c", "x", "1")
	var row bson.D
	if err := outbox.FindOne(t.Context(), bson.D{}).Decode(&row); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.refuse = nil
	s.mu.Unlock()
	until(t, "the event", func() bool { return len(s.ids()) == 1 })
	empty := func() bool {
		n, err := outbox.CountDocuments(context.Background(), bson.D{})
		return err == nil && n == 0
	}
	until(t, "an empty outbox", empty)
	if _, err := outbox.InsertOne(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	until(t, "an empty outbox again", empty)
	if got := s.ids(); len(got) != 1 {
		t.Errorf("published %v", got)
	}
}

// TestRelaySetsAside has the stream refuse one event of three for good.
func TestRelaySetsAside(t *testing.T) {
	name := database(t)
	s := &stream{refuse: func(e platform.Event) error {
		if e.ID == "2" {
			return platform.Errorf(platform.KindTooLarge, "too_large", "too large")
		}
		return nil
	}}
	now := time.Unix(1_000_000, 0)
	var mu sync.Mutex
	docs := open(t, name, func(cfg *mongo.Config) {
		cfg.Events, cfg.Now = s, func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	collection(t, docs, tenant, "c")
	_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "x", `{}`)}, func([]store.Document) []platform.Event {
		return []platform.Event{event(tenant, "1", "x"), event(tenant, "2", "x"), event(tenant, "3", "x")}
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the others", func() bool { return slices.Equal(s.ids(), []string{"1", "3"}) })
	dead := connect(t, teststack.Mongo(t)).Database(name).Collection("outbox_dead")
	count := func() int64 {
		n, err := dead.CountDocuments(t.Context(), bson.D{})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count() != 1 {
		t.Errorf("%d events were set aside", count())
	}
	mu.Lock()
	now = now.Add(31 * 24 * time.Hour)
	mu.Unlock()
	if err := docs.Sweep(t.Context(), 1); err != nil || count() != 0 {
		t.Errorf("after the retention %d are kept, %v", count(), err)
	}
}

// TestBadEvents refuses events that must not be published, and the change with
// them.
func TestBadEvents(t *testing.T) {
	docs := open(t, database(t))
	collection(t, docs, tenant, "c")
	for name, e := range map[string]platform.Event{"another tenant's": event(other, "1", "x"), "without a subject": event(tenant, "1", "")} {
		_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "x", `{}`)}, func([]store.Document) []platform.Event { return []platform.Event{e} })
		if err == nil {
			t.Errorf("an event %s was taken", name)
		}
		if _, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: "d"}, e); err == nil {
			t.Errorf("an event %s was taken", name)
		}
	}
	if _, err := docs.Get(t.Context(), tenant, "c", "x"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("the change of a refused event: %v", err)
	}
	// A builder that panics fails its own call and no other.
	func() {
		defer func() {
			if r := recover(); r != "oh" {
				t.Errorf("recovered %v", r)
			}
		}()
		_, _ = docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "x", `{}`)}, func([]store.Document) []platform.Event { panic("oh") })
	}()
	emit(t, docs, tenant, "c", "x", "2")
}
