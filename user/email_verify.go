package user

import (
	"context"
	"fmt"
	"time"

	"github.com/acme/platform"
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
func verifyEmail(ctx context.Context, tx store.Queries, user string, now time.Time) error {
	_, err := tx.Exec(ctx, `UPDATE user_accounts SET email_verified_at = ?, updated_at = ? WHERE id = ? AND email_verified_at = 0`,
		micros(now), micros(now), user)
	if err != nil {
		return fmt.Errorf("user: verify an address: %w", err)
	}
	return nil
}

// proveEmail notes that a mail reached the person of a locked account, who has
// shown no password: signs in by mail, or is about to set a password. Where nobody
// has proved the address before, whoever signed up with it may have been somebody
// else, who must not keep a way in: all of them end. The caller then makes it known
// with changed(userKey). A mail to an address that the account no longer has
// proves nothing.
func (s *Service) proveEmail(ctx context.Context, tx store.CrossTx, m mailToken) (reclaimed bool, err error) {
	u, err := userByID(ctx, tx, m.user)
	if err != nil {
		return false, err
	}
	if u.Email != m.email {
		var one int
		err := tx.QueryRow(ctx, `SELECT count(*) FROM user_emails WHERE user_id = ? AND email = ? AND verified_at > 0`, m.user, m.email).Scan(&one)
		if err == nil && one == 0 {
			err = errBadMailToken()
		}
		return false, err
	}
	if !u.EmailVerifiedAt.IsZero() {
		return false, nil
	}
	if err := s.ownEmail(ctx, tx, m); err != nil {
		return false, err
	}
	if err := s.endWaysIn(ctx, tx, m.user, time.Time{}); err != nil {
		return false, err
	}
	return true, s.tellAll(ctx, tx, m.user, byUser(m.user, ""), s.tellEmail(m.user, "verified"))
}

// endWaysIn ends the password, the sessions, the API keys and the invitations of a
// person, and the factors and further addresses that were added since then; a
// person who has proved an address sets a new password by mail.
func (s *Service) endWaysIn(ctx context.Context, tx store.CrossTx, user string, since time.Time) error {
	now := micros(s.now())
	// No password has the empty hash.
	if _, err := tx.Exec(ctx, `UPDATE user_passwords SET hash = '', changed_at = ? WHERE user_id = ?`, now, user); err != nil {
		return err
	}
	if err := s.endSessions(ctx, tx, user, "", ""); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM user_devices WHERE user_id = ?`, user); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM user_totp WHERE user_id = ? AND created_at >= ?`,
		`DELETE FROM user_recovery_codes WHERE user_id = ? AND created_at >= ?`,
		`DELETE FROM user_emails WHERE user_id = ? AND created_at >= ?`,
		`DELETE FROM user_passkeys WHERE user_id = ? AND created_at >= ?`,
	} {
		if _, err := tx.Exec(ctx, query, user, micros(since)); err != nil {
			return err
		}
	}
	return s.endGrants(ctx, tx, user, since)
}

// endGrants revokes what a person has handed out since then: API keys and
// invitations.
func (s *Service) endGrants(ctx context.Context, tx store.CrossTx, user string, since time.Time) error {
	tenants, err := tenantsOf(ctx, tx, user)
	if err != nil {
		return err
	}
	by := byUser(user, "")
	for _, tenant := range tenants {
		if err := lockOrganization(ctx, tx, tenant); err != nil {
			return err
		}
		if err := s.revokeOffers(ctx, tx, tenant, by, offers{user: user}); err != nil {
			return err
		}
		keys, err := queryAll(ctx, tx, func(row scanner) (id string, err error) { return id, row.Scan(&id) },
			`UPDATE user_api_keys SET revoked_at = ? WHERE tenant = ? AND user_id = ? AND revoked_at = 0 AND created_at >= ? RETURNING id`,
			micros(s.now()), string(tenant), user, micros(since))
		if err != nil {
			return err
		}
		for _, id := range keys {
			if err := s.record(ctx, tx, tenant, by, "api_key.revoked", id, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// VerifyEmail notes that a mail reached the address that its token was sent for.
// Error: KindNotFound "token_not_valid".
func (s *Service) VerifyEmail(ctx context.Context, token Secret) error {
	m, err := s.mailTokenOf(ctx, MailVerifyEmail, token)
	if err != nil {
		return err
	}
	return s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		if ok, err := lockOpen(ctx, tx, platform.NoTenant, m.user); err != nil {
			return err
		} else if !ok {
			return errBadMailToken()
		}
		if err := s.spendMailToken(ctx, tx, MailVerifyEmail, token); err != nil {
			return err
		}
		if err := s.ownEmail(ctx, tx, m); err != nil {
			return err
		}
		return s.tellAll(ctx, tx, m.user, byUser(m.user, ""), s.tellEmail(m.user, "verified"))
	}, store.Reserved)
}
