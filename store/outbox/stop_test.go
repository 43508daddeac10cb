package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/outbox"
)

func TestStop(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		to := &remote{}
		r := startRelay(t, outbox.Config{DB: db, Events: to})
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		emit(t, db, 0, 5)
		time.Sleep(time.Minute)
		if n := len(to.ids()); n != 0 {
			t.Errorf("%d events published after Stop", n)
		}
	})
}

// A host may stop what it never started, stop twice, and start too late. That no
// goroutine is left is for TestMain to see.
func TestStopInAnyOrder(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	emit(t, db, 0, 5)
	to := &remote{}
	r, err := outbox.New(outbox.Config{DB: db, Events: to})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(to.ids()); n != 0 {
		t.Errorf("%d events were published by a relay that was stopped", n)
	}
}
