package mongo_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// hook has f called before the next command of a name on a collection.
func (n *network) hook(command string, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.before == nil {
		n.before = make(map[string]func())
	}
	n.before[command] = f
}

// patient is for a network that loses nothing.
func patient(cfg *mongo.Config) { cfg.Timeout = 10 * time.Second }

// building opens a process that builds an index over twelve documents, piece by
// piece, and has meanwhile called when the first piece is in it.
func building(t *testing.T, name string, x store.Index, meanwhile func()) error {
	t.Helper()
	n := &network{}
	docs := openOn(t, name, n, patient)
	docs.FillBy(4)
	c, err := docs.PutCollection(t.Context(), tenant, store.Collection{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	var changes []store.Change
	for i := range 12 {
		changes = append(changes, change(store.OpInsert, fmt.Sprintf("d%02d", i), fmt.Sprintf(`{"n":%d}`, i)))
	}
	if _, err := docs.Apply(t.Context(), tenant, "c", changes, nil); err != nil {
		t.Fatal(err)
	}
	n.hook("find documents", func() { n.hook("find documents", meanwhile) })
	c.Indexes = []store.Index{x}
	_, err = docs.PutCollection(t.Context(), tenant, c)
	return err
}

// TestChangesBesideABuild changes what a build has passed by.
func TestChangesBesideABuild(t *testing.T) {
	name := database(t)
	other := open(t, name)
	err := building(t, name, store.Index{Fields: fields("n")}, func() {
		_, err := other.Apply(t.Context(), tenant, "c", []store.Change{
			change(store.OpReplace, "d01", `{"n":[77,78]}`), change(store.OpInsert, "a", `{"n":5}`), change(store.OpDelete, "d02", ``),
		}, nil)
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{`{"n":78}`: 1, `{"n":5}`: 2, `{"n":{"$lt":3}}`: 1, `{"n":{"$gte":0}}`: 12} {
		if n, err := other.Count(t.Context(), tenant, "c", filter(text), nil); err != nil || n != want {
			t.Errorf("%s: %d, %v; want %d", text, n, err, want)
		}
	}
	audit(t, other, false)
}

// TestUniqueBuildIsRefused has a writer put a value in twice while a unique
// index is built: the writer may, and the index cannot be.
func TestUniqueBuildIsRefused(t *testing.T) {
	name := database(t)
	other := open(t, name)
	err := building(t, name, store.Index{Fields: fields("n"), Unique: true}, func() {
		if _, err := other.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "a", `{"n":1}`)}, nil); err != nil {
			t.Errorf("a change that an index in the making is not to refuse: %v", err)
		}
	})
	if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"}) {
		t.Errorf("the index: %v", err)
	}
	if all, err := other.Collections(t.Context(), tenant, "c"); err != nil || all[0].Version != 1 || len(all[0].Indexes) != 0 {
		t.Errorf("the collection is now %+v, %v", all, err)
	}
	audit(t, other, false)
}

// TestAnsweredOnce has a call that is refused in the same commit with one that
// must begin anew, because another process has just made its document.
func TestAnsweredOnce(t *testing.T) {
	name := database(t)
	other, n := open(t, name), &network{}
	docs := openOn(t, name, n, patient)
	collection(t, docs, tenant, "c")
	insert := func(on *mongo.Documents, id string) error {
		_, err := on.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, id, `{}`)}, nil)
		return err
	}
	if err := insert(other, "there"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	n.hook("update collections", func() { // the first call commits; the next two wait for it
		wg.Go(func() {
			if err := insert(docs, "there"); !errors.Is(err, platform.ErrConflict) {
				t.Errorf("what is there: %v", err)
			}
		})
		wg.Go(func() {
			if err := insert(docs, "new"); !errors.Is(err, platform.ErrConflict) {
				t.Errorf("what has come to be there: %v", err)
			}
		})
		until(t, "two calls that wait", func() bool { return docs.Waiting(tenant, "c") == 2 })
		n.hook("insert documents", func() {
			if err := insert(other, "new"); err != nil {
				t.Error(err)
			}
		})
	})
	if err := insert(docs, "first"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n, err := other.Count(t.Context(), tenant, "c", filter(`{}`), nil); err != nil || n != 3 {
		t.Errorf("%d documents, %v", n, err)
	}
	audit(t, other, false)
}
