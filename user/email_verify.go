package user

import (
	"context"
	"fmt"
	"time"

	"github.com/acme/platform/store"
)

// EmailVerified reports whether the user has proved that mail to their address
// reaches them. It asks no permission: it is for other parts of the host, such
// as one that sends mail for users. Error: KindNotFound for an unknown user.
func (s *Service) EmailVerified(ctx context.Context, user string) (bool, error) {
	var u User
	err := s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		u, err = userByID(ctx, tx, user)
		return err
	}, store.ReadOnly)
	return !u.EmailVerifiedAt.IsZero(), err
}

// verifyEmail notes that mail to the user's address reached them.
func verifyEmail(ctx context.Context, tx store.Tx, user string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE user_accounts SET email_verified_at = ?, updated_at = ? WHERE id = ? AND email_verified_at = 0`,
		micros(now), micros(now), user)
	if err != nil {
		return fmt.Errorf("user: verify an address: %w", err)
	}
	return nil
}
