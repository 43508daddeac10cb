package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// TestServerFaults pauses, stops and kills a server: calls fail meanwhile, as
// something that may pass, and afterwards all that was acknowledged is there,
// each event with its change.
func TestServerFaults(t *testing.T) {
	if teststack.MongoFlavour() == "mongo-java-server" {
		teststack.SkipCase(t, "mongo", "it keeps nothing when it ends")
	}
	server := teststack.Start(t, teststack.MongoServer)
	s := &stream{}
	docs := open(t, "faults", func(cfg *mongo.Config) {
		cfg.URL, cfg.Timeout, cfg.Events, cfg.Lease = server.URL(), time.Second, s, time.Second
		cfg.MinBackoff, cfg.MaxBackoff = time.Millisecond, 50*time.Millisecond
	})
	if _, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: "c"}); err != nil {
		t.Fatal(err)
	}
	acknowledged := map[string]bool{}
	n := 0
	try := func() error {
		n++
		id := fmt.Sprintf("d%03d", n)
		_, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, id, `{}`)},
			func([]store.Document) []platform.Event { return []platform.Event{event(tenant, id, id)} })
		if err == nil {
			acknowledged[id] = true
		}
		return err
	}
	for _, fault := range []struct {
		name        string
		begin, ends func(testing.TB)
	}{
		{"paused", server.Pause, server.Unpause},
		{"stopped", server.Stop, server.Start},
		{"killed", server.Kill, server.Start},
	} {
		until(t, "a change before it is "+fault.name, func() bool { return try() == nil })
		fault.begin(t)
		if err := try(); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("%s: a change: %v", fault.name, err)
		}
		if err := docs.Check(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
			t.Errorf("%s: the health: %v", fault.name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := docs.Find(ctx, tenant, "c", store.Query{Limit: 1}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: a read with a deadline: %v", fault.name, err)
		}
		cancel()
		fault.ends(t)
		until(t, "a change after it was "+fault.name, func() bool { return try() == nil })
	}
	page, err := docs.Find(t.Context(), tenant, "c", store.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, d := range page.Documents {
		there[d.ID] = true
	}
	for id := range acknowledged {
		if !there[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	published := func() map[string]bool {
		seen := map[string]bool{}
		for _, id := range s.ids() {
			seen[id] = true
		}
		return seen
	}
	until(t, "every event", func() bool { return len(published()) >= len(there) })
	for id := range published() {
		if !there[id] {
			t.Errorf("an event of what is not there: %s", id)
		}
	}
	audit(t, docs, false)
}
