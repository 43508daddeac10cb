package sqltx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

func event(tenant platform.TenantID, id string) platform.Event {
	return platform.Event{
		ID: id, Source: "/data", Type: "data.record.created", Tenant: tenant, Subject: "rec_1",
		Time: now(), Actor: "usr_1", Data: json.RawMessage(`{"a":"it's ?"}`),
	}
}

func TestEmitWritesTheOutbox(t *testing.T) {
	db := newDB(t)
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		bare := event("acme", "e2")
		bare.Actor, bare.Data = "", nil
		return tx.Emit(ctx, event("acme", "e1"), bare)
	}))
	type row struct {
		id, source, kind, tenant, subject, actor, data string
		time                                           int64
	}
	var got []row
	must(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		rows, err := tx.Query(ctx, "SELECT id, source, type, tenant, subject, time, actor, data FROM outbox ORDER BY seq")
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var r row
			must(t, rows.Scan(&r.id, &r.source, &r.kind, &r.tenant, &r.subject, &r.time, &r.actor, &r.data))
			got = append(got, r)
		}
		return rows.Err()
	}))
	full := row{"e1", "/data", "data.record.created", "acme", "rec_1", "usr_1", `{"a":"it's ?"}`, now().UnixMicro()}
	bare := full
	bare.id, bare.actor, bare.data = "e2", "", ""
	if len(got) != 2 || got[0] != full || got[1] != bare {
		t.Errorf("got %+v", got)
	}
}

func TestEmitKeepsTheOrderOfMany(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 63, 64, 65, 73, 200} {
		db := newDB(t)
		var events []platform.Event
		for i := range n {
			events = append(events, event("acme", fmt.Sprintf("e%04d", i)))
		}
		must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			return tx.Emit(ctx, events...)
		}))
		ordered := count(t, db, "(SELECT id, row_number() OVER (ORDER BY seq) AS n FROM outbox) WHERE id = printf('e%04d', n - 1)")
		if all := count(t, db, "outbox"); all != n || ordered != n {
			t.Errorf("%d events: %d rows, %d of them in their place", n, all, ordered)
		}
	}
}

func TestEmitRefuses(t *testing.T) {
	db := newDB(t)
	nameless := event("acme", "")
	broken := event("acme", "e")
	broken.Data = json.RawMessage("{")
	for name, c := range map[string]struct {
		event platform.Event
		want  error
	}{
		"no id":          {nameless, platform.ErrInvalid},
		"no JSON":        {broken, platform.ErrInvalid},
		"no tenant":      {event("", "e"), platform.ErrNoTenant},
		"another tenant": {event("globex", "e"), platform.ErrNoTenant},
	} {
		must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
			if err := tx.Emit(ctx, event("acme", "good"), c.event); !errors.Is(err, c.want) {
				t.Errorf("%s: error %v", name, err)
			}
			return nil
		}))
	}
	if n := count(t, db, "outbox"); n != 0 {
		t.Errorf("%d events of refused calls", n)
	}
	must(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.Emit(ctx, event("acme", "a"), event("globex", "b"))
	}))
	if n := count(t, db, "outbox"); n != 2 {
		t.Errorf("%d events of two tenants, want 2", n)
	}
}

func TestOnceIsOnce(t *testing.T) {
	db := newDB(t)
	once := func(tenant platform.TenantID, group, id string, then error) (isNew bool) {
		t.Helper()
		err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
			var err error
			isNew, err = tx.Once(ctx, group, event(tenant, id))
			must(t, err)
			if again, err := tx.Once(ctx, group, event(tenant, id)); err != nil || again {
				t.Errorf("again in the same transaction: %v, %v", again, err)
			}
			return then
		})
		if err != then {
			t.Fatal(err)
		}
		return isNew
	}
	for i, c := range []struct {
		tenant    platform.TenantID
		group, id string
		then      error
		want      bool
	}{
		{"acme", "mail", "e1", errors.New("undone"), true},
		{"acme", "mail", "e1", nil, true},
		{"acme", "mail", "e1", nil, false},
		{"acme", "stats", "e1", nil, true},
		{"globex", "mail", "e1", nil, true},
		{"acme", "mail", "e2", nil, true},
	} {
		if got := once(c.tenant, c.group, c.id, c.then); got != c.want {
			t.Errorf("%d: new is %v, want %v", i, got, c.want)
		}
	}
	if n := count(t, db, "inbox WHERE seen = ?", now().UnixMicro()); n != 4 {
		t.Errorf("%d rows with the time of the clock, want 4", n)
	}
}

func TestOnceRefuses(t *testing.T) {
	db := newDB(t)
	must(t, db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		for name, c := range map[string]struct {
			group string
			event platform.Event
			want  error
		}{
			"no group":       {"", event("acme", "e"), platform.ErrInvalid},
			"no id":          {"g", event("acme", ""), platform.ErrInvalid},
			"no tenant":      {"g", event("", "e"), platform.ErrNoTenant},
			"another tenant": {"g", event("globex", "e"), platform.ErrNoTenant},
		} {
			if isNew, err := tx.Once(ctx, c.group, c.event); !errors.Is(err, c.want) || isNew {
				t.Errorf("%s: %v, %v", name, isNew, err)
			}
		}
		return nil
	}))
	if n := count(t, db, "inbox"); n != 0 {
		t.Errorf("%d rows of refused calls", n)
	}
}
