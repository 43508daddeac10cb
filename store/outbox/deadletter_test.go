package outbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/outbox"
)

func TestDeadLettersAreTrimmed(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		emit(t, db, 0, 1100) // more than one transaction removes
		exec(t, db, `UPDATE outbox SET subject = ''`)
		r := startRelay(t, outbox.Config{DB: db, Events: &remote{}, DeadRetention: 5 * time.Hour, Interval: time.Hour})
		time.Sleep(4 * time.Hour)
		if n := stats(t, r).Dead; n != 1100 {
			t.Fatalf("%d dead letters, want 1,100", n)
		}
		exec(t, db, `INSERT INTO outbox (id, source, type, tenant, subject, time, actor, data) VALUES
			('evt_a', '/t', 't', 'org_a', '', 0, '', ''), ('evt_b', '/t', 't', 'org_a', '', 0, '', ''), ('evt_c', '/t', 't', 'org_a', '', 0, '', '')`)
		time.Sleep(3 * time.Hour)
		if n := stats(t, r).Dead; n != 3 {
			t.Errorf("%d events are kept, want the 3 young ones", n)
		}
	})
}
