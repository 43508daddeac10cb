package mongo_test

import (
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/mongo"
)

// TestShellIsFilledMeanwhile has a call fill the place of its document after
// the sweeper has found it empty and before it removes it.
func TestShellIsFilledMeanwhile(t *testing.T) {
	name := database(t)
	ofCall, ofSweeper := &network{}, &network{}
	docs := openOn(t, name, ofCall, patient)
	sweeping := openOn(t, name, ofSweeper, patient, func(cfg *mongo.Config) { cfg.Grace = noGrace })
	other := open(t, name)
	collection(t, docs, tenant, "c")

	there := func(when string) {
		if d, err := other.Get(t.Context(), tenant, "c", "new"); err != nil || d.Version != 1 {
			t.Errorf("%s: %+v, %v", when, d, err)
		}
	}
	found, filled := make(chan struct{}), make(chan struct{})
	ofCall.hook("update collections", func() { // its commit
		go func() {
			defer close(found)
			ofSweeper.hook("find documents", func() {
				ofSweeper.hook("find collections", func() {
					found <- struct{}{}
					<-filled
				})
			})
			ofSweeper.hook("delete documents", func() { there("while the sweeper is at it") })
			if err := sweeping.Sweep(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}()
		<-found
	})
	if _, err := docs.Apply(t.Context(), tenant, "c", []store.Change{change(store.OpInsert, "new", `{"n":1}`)}, nil); err != nil {
		t.Error(err)
	}
	close(filled)
	<-found // closed when the sweeper is done
	there("after the sweeper")
	audit(t, other, true)
}
