package user_test

import (
	"context"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// A key that was just believed is refused as soon as its owner is no member, is
// suspended, or the organization is.
func TestAPIKeyDiesWith(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *bundle, owner, ben platform.Principal, m user.Member){
		"the membership": func(t *testing.T, b *bundle, owner, _ platform.Principal, m user.Member) {
			t.Helper()
			noError(t, b.RemoveMember(t.Context(), owner, m.ID))
		},
		"the person": func(t *testing.T, b *bundle, _, ben platform.Principal, _ user.Member) {
			t.Helper()
			noError(t, b.SetUserStatus(t.Context(), ben.Subject, user.Suspended))
		},
		"the organization": func(t *testing.T, b *bundle, owner, _ platform.Principal, _ user.Member) {
			t.Helper()
			noError(t, b.SetOrganizationStatus(t.Context(), owner.Tenant, user.Suspended))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			ann := b.signUp(t, "ann@example.com")
			ben, m := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
			_, credential, err := b.CreateAPIKey(t.Context(), ben, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
			noError(t, err)
			b.verify(t, credential)
			end(t, b, ann.p, ben, m)
			if _, err := b.Verify(t.Context(), string(credential)); err == nil {
				t.Error("the key is still believed")
			}
		})
	}
}

// Many calls with a key write no row: its last use is written later, and once.
func TestUseOfAnAPIKeyIsWrittenLater(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	key, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	lastUsed := func() (at int64) {
		noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, `SELECT last_used_at FROM user_api_keys WHERE id = ?`, key.ID).Scan(&at)
		}))
		return at
	}
	for range 50 {
		b.ForgetCredentials()
		b.verify(t, credential)
	}
	if at := lastUsed(); at != 0 {
		t.Errorf("a call has written %d", at)
	}
	noError(t, b.WriteBehind(t.Context()))
	if at := lastUsed(); at != b.clock.Now().UnixMicro() {
		t.Errorf("the last use is %d", at)
	}
}
