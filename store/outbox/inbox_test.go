package outbox_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
)

func TestInboxForgetsOldEvents(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		once := func(from, to int) (fresh int) {
			err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
				fresh = 0
				for n := from; n < to; n++ {
					ok, err := tx.Once(ctx, "group", event(acme, n))
					if err != nil {
						return err
					}
					if ok {
						fresh++
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return fresh
		}
		once(0, 2500)
		startRelay(t, outbox.Config{DB: db, Events: &remote{}, InboxRetention: 4 * time.Hour, Interval: time.Hour})
		time.Sleep(3 * time.Hour)
		once(2500, 2600)
		time.Sleep(150 * time.Minute)
		if n := once(2500, 2600); n != 0 {
			t.Errorf("%d events younger than the retention were forgotten", n)
		}
		if n := once(0, 2500); n != 2500 {
			t.Errorf("%d of 2500 old events were forgotten", n)
		}
	})
}
