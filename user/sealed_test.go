package user_test

import (
	"context"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/user"
)

// After the sealer's keyset was rotated a seed is sealed again, and the app works
// when the old key is retired. A seed does not open as another person's.
func TestSeedsFollowTheSealer(t *testing.T) {
	sealer, err := seal.New(seal.Config{Keys: seal.Memory("")})
	noError(t, err)
	b := open(t, func(c *user.Config) { c.Sealer = sealer })
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	phone, _ := b.addTOTP(t, ann.p)
	seed := func(id string) (sealed []byte) {
		noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, `SELECT seed FROM user_totp WHERE user_id = ?`, id).Scan(&sealed)
		}))
		return sealed
	}
	keys, err := sealer.List(t.Context())
	noError(t, err)
	_, err = sealer.Rotate(t.Context())
	noError(t, err)
	if sealer.Current(seed(ann.User.ID)) {
		t.Fatal("the old key is current")
	}
	if more, err := b.Sealing()(t.Context()); more || err != nil {
		t.Fatal(more, err)
	}
	if !sealer.Current(seed(ann.User.ID)) {
		t.Error("the seed is under the old key")
	}
	noError(t, b.MaintainKeys(t.Context()))
	noError(t, sealer.Retire(t.Context(), keys[0].ID))
	b.strong(t, "ann@example.com", phone)
	if _, err := sealer.Open(t.Context(), user.SeedCell(ben.User.ID), seed(ann.User.ID)); err == nil {
		t.Error("it opens as another person's")
	}
}
