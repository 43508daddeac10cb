package user_test

import (
	"context"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/user"
)

func (b *bundle) suspended(tb testing.TB, tenant platform.TenantID) bool {
	tb.Helper()
	is, err := b.Suspended(tb.Context(), tenant)
	noError(tb, err)
	return is
}

// A suspension is known at once in this process, in another one when the message
// arrives, and both tell it to those who have asked to be told.
func TestSuspensionIsToldToEveryProcess(t *testing.T) {
	bus := memory.NewPubSub()
	shared := func(c *user.Config) { c.PubSub, c.VerifyTTL = bus, time.Minute }
	a := open(t, shared)
	b := a.replica(t, shared)
	ann, ben := a.signUp(t, "ann@example.com"), a.signUp(t, "ben@example.com")
	for _, s := range []*bundle{a, b} {
		if s.suspended(t, ann.p.Tenant) || s.suspended(t, ben.p.Tenant) {
			t.Error("suspended from the beginning")
		}
	}
	told := make(chan platform.TenantID, 100)
	b.OnSuspension(func(tenant platform.TenantID) { told <- tenant })
	hear := func() {
		t.Helper()
		for {
			select {
			case tenant := <-told:
				if tenant == ann.p.Tenant {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatal("the other process was not told")
			}
		}
	}
	noError(t, a.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Suspended))
	hear()
	for _, s := range []*bundle{a, b} {
		if !s.suspended(t, ann.p.Tenant) || s.suspended(t, ben.p.Tenant) {
			t.Error("want ann's organization suspended and ben's not")
		}
	}
	noError(t, a.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Active))
	hear()
	for _, s := range []*bundle{a, b} {
		if s.suspended(t, ann.p.Tenant) {
			t.Error("still suspended")
		}
	}
}

// Without a PubSub another process finds out within VerifyTTL. What is not there
// counts as suspended, and a store that fails is an error.
func TestSuspensionIsFoundOut(t *testing.T) {
	a := open(t)
	b := a.replica(t)
	ann := a.signUp(t, "ann@example.com")
	if b.suspended(t, ann.p.Tenant) {
		t.Error("suspended from the beginning")
	}
	noError(t, a.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Suspended))
	a.clock.Advance(5 * time.Second)
	if !b.suspended(t, ann.p.Tenant) {
		t.Error("not known after VerifyTTL")
	}
	if !b.suspended(t, "org_none") {
		t.Error("an organization that is not there may work")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Suspended(ctx, ann.p.Tenant+"x"); err == nil {
		t.Error("a question without answer has no error")
	}
}

// A change of the status emits one event and one audit record; the same status
// again does nothing.
func TestSuspensionEmitsAnEvent(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	for _, s := range []user.Status{user.Active, user.Suspended, user.Suspended, user.Active} {
		noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, s))
	}
	var types []string
	noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		types = nil
		rows, err := tx.Query(ctx, `SELECT type FROM outbox WHERE tenant = ? AND type IN ('user.organization.suspended', 'user.organization.resumed') ORDER BY seq`,
			string(ann.p.Tenant))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			types = append(types, s)
		}
		return rows.Err()
	}))
	if len(types) != 2 || types[0] != "user.organization.suspended" || types[1] != "user.organization.resumed" {
		t.Errorf("events: %v", types)
	}
	audited, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "organization.status_changed"}, 0, "")
	if err != nil || len(audited) != 2 {
		t.Errorf("%d audit records, %v", len(audited), err)
	}
	want(t, b.SetOrganizationStatus(t.Context(), "org_none", user.Suspended), platform.KindNotFound, "")
}
