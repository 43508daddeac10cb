package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
)

func numbered(n int) platform.Event {
	return platform.Event{
		ID: fmt.Sprintf("evt_%04d", n), Source: "/things", Type: "thing.made", Tenant: acme, Subject: "thing_1",
		Time: time.UnixMicro(int64(n)), Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"it's ? \\ $1"}`, n)),
	}
}

// outboxRows are the outbox's rows in order.
func outboxRows(t *testing.T, db *postgres.DB) (rows []platform.Event) {
	t.Helper()
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		found, err := tx.Query(ctx, "SELECT id, source, type, tenant, subject, time, actor, data FROM outbox ORDER BY seq")
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var (
				e  platform.Event
				at int64
			)
			if err := found.Scan(&e.ID, &e.Source, &e.Type, (*string)(&e.Tenant), &e.Subject, &at, &e.Actor, (*[]byte)(&e.Data)); err != nil {
				return err
			}
			e.Time = time.UnixMicro(at)
			rows = append(rows, e)
		}
		return found.Err()
	}, store.ReadOnly))
	return rows
}

// What calls of Emit handed over in pieces leaves with the commit, in order and
// as it was then.
func TestEventsLeaveWithTheCommit(t *testing.T) {
	db, _, _ := openThings(t)
	const all = 64 + 8 + 8 + 3
	must(t, db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		for n := 0; n < all; {
			var some []platform.Event
			for range min(n+1, all-n) {
				some = append(some, numbered(n))
				n++
			}
			if err := tx.Emit(ctx, some...); err != nil {
				return err
			}
			for _, e := range some {
				copy(e.Data, "reused by its owner")
			}
		}
		return tx.Emit(ctx) // nothing
	}))
	rows := outboxRows(t, db)
	if len(rows) != all {
		t.Fatalf("%d events of %d", len(rows), all)
	}
	for n, row := range rows {
		if want := numbered(n); row.ID != want.ID || string(row.Data) != string(want.Data) || !row.Time.Equal(want.Time) {
			t.Errorf("event %d is %+v", n, row)
		}
	}
}

// An event that the database refuses takes the whole transaction with it, and the
// caller hears why.
func TestAnEventThatIsRefusedAtTheCommit(t *testing.T) {
	db, su, _ := openThings(t)
	_, err := su.Exec(`ALTER TABLE platform.outbox ADD CHECK (id <> 'evt_0001')`)
	must(t, err)
	called := false
	err = db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		tx.AfterCommit(func() { called = true })
		_, err := tx.Exec(ctx, insertThing, acme, "a", "")
		return errors.Join(err, tx.Emit(ctx, numbered(0), numbered(1), numbered(2)))
	})
	if err == nil || called {
		t.Errorf("committed: %v, told so: %v", err, called)
	}
	if rows := outboxRows(t, db); len(rows) != 0 || count(t, db, acme, "things") != 0 {
		t.Errorf("%d events and %d things are there", len(rows), count(t, db, acme, "things"))
	}
	// The connection is as good as before.
	must(t, db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error { return tx.Emit(ctx, numbered(3)) }))
	if rows := outboxRows(t, db); len(rows) != 1 {
		t.Errorf("%d events afterwards", len(rows))
	}
}

// A function that hides a failure commits nothing, its events neither.
func TestEventsOfAHiddenFailure(t *testing.T) {
	db, _, _ := openThings(t)
	err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		_, _ = tx.Exec(ctx, "SELECT 1/0")
		return tx.Emit(ctx, numbered(0))
	})
	if err == nil || len(outboxRows(t, db)) != 0 {
		t.Errorf("%v, %d events", err, len(outboxRows(t, db)))
	}
}

// Where the answer to a commit with events is lost nobody can say whether it
// happened: the error says so, and the transaction is not run again.
func TestTheAnswerToACommitWithEventsIsLost(t *testing.T) {
	s := teststack.Start(t, teststack.PostgresServer)
	lossy := teststack.NewLostReply(t, s.Addr, "COMMIT\x00")
	db := openWith(t, postgres.Config{URL: s.URLAt(lossy.Addr)})
	lossy.Arm(1)
	runs := 0
	err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		runs++
		return tx.Emit(ctx, numbered(0))
	})
	var known *platform.Error
	if !errors.As(err, &known) || known.Kind != platform.KindUnavailable || known.Code != "commit_unknown" || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
	if rows := outboxRows(t, db); len(rows) != 1 || rows[0].ID != "evt_0000" {
		t.Errorf("the server has %v", rows)
	}
}
