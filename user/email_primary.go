package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// SetPrimaryEmail makes a verified address of the person the primary one. A mail
// tells the old one, and for seven days its link undoes the change, with
// [Service.RestoreEmail]. Errors: KindNotFound; KindConflict "email_not_verified".
func (s *Service) SetPrimaryEmail(ctx context.Context, p platform.Principal, address string) error {
	email, _ := normalizeEmail(address)
	err := s.changeEmails(ctx, p, func(ctx context.Context, tx store.CrossTx, u User) (string, error) {
		if email == u.Email {
			return "", nil
		}
		var verified int64
		if err := tx.QueryRow(ctx, `SELECT verified_at FROM user_emails WHERE user_id = ? AND email = ?`, u.ID, email).Scan(&verified); err != nil {
			return "", notFound(err, "address")
		}
		if verified == 0 {
			return "", platform.Errorf(platform.KindConflict, "email_not_verified", "confirm the address first, by the mail that was sent to it")
		}
		if err := s.swapPrimary(ctx, tx, u, email, verified); err != nil {
			return "", err
		}
		if err := s.endMails(ctx, tx, u.ID); err != nil || s.cfg.Mail == nil {
			return "changed", err
		}
		return "changed", s.sendMail(ctx, tx, mailRequest{kind: MailEmailChanged, user: u.ID, email: u.Email, locale: u.Locale})
	})
	if err == nil {
		s.changed(ctx, userKey(p.Subject))
	}
	return err
}

// swapPrimary makes an address the primary one and keeps the old one as a further
// one, where it is an address.
func (s *Service) swapPrimary(ctx context.Context, tx store.Queries, u User, email string, verified int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM user_emails WHERE user_id = ? AND email = ?`, u.ID, email); err != nil {
		return err
	}
	now := micros(s.now())
	if _, err := tx.Exec(ctx, `UPDATE user_accounts SET email = ?, email_verified_at = ?, updated_at = ? WHERE id = ?`, email, verified, now, u.ID); err != nil {
		return err
	}
	if u.Email == "" {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO user_emails (user_id, email, verified_at, created_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (user_id, email) DO NOTHING`, u.ID, u.Email, micros(u.EmailVerifiedAt), now)
	return err
}

// RestoreEmail undoes a change of the primary address, with the token in the mail to
// the old one. Whoever made the change may still have the account, so the password,
// all sessions and everything that was added since the change end: the person sets a
// new password by mail. Error: KindNotFound "token_not_valid".
func (s *Service) RestoreEmail(ctx context.Context, token Secret) error {
	m, err := s.mailTokenOf(ctx, MailEmailChanged, token)
	if err != nil {
		return err
	}
	err = s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		if ok, err := lockOpen(ctx, tx, platform.NoTenant, m.user); err != nil {
			return err
		} else if !ok {
			return errBadMailToken()
		}
		if err := s.spendMailToken(ctx, tx, MailEmailChanged, token); err != nil {
			return err
		}
		return s.restoreEmail(ctx, tx, m)
	}, store.Reserved)
	if err == nil {
		s.changed(ctx, userKey(m.user))
	}
	return err
}

func (s *Service) restoreEmail(ctx context.Context, tx store.CrossTx, m mailToken) error {
	if err := tx.Lock(ctx, "user.email."+digest(m.email)); err != nil {
		return err
	}
	if h, err := holderOf(ctx, tx, m.email); err != nil {
		return err
	} else if h.verified && h.user != m.user {
		return errBadMailToken()
	}
	u, err := userByID(ctx, tx, m.user)
	if err != nil {
		return err
	}
	if err := yieldPrimary(ctx, tx, m.email, m.user); err != nil {
		return err
	}
	if u.Email != m.email {
		if err := s.swapPrimary(ctx, tx, u, m.email, micros(s.now())); err != nil {
			return err
		}
		// The one that took its place goes.
		if _, err := tx.Exec(ctx, `DELETE FROM user_emails WHERE user_id = ? AND email = ?`, m.user, u.Email); err != nil {
			return err
		}
	}
	if err := s.endWaysIn(ctx, tx, m.user, m.created); err != nil {
		return err
	}
	if err := s.endMails(ctx, tx, m.user); err != nil {
		return err
	}
	// Of several changes the oldest undo counts: who has the account must not use
	// that of a later change against it.
	if _, err := tx.Exec(ctx, `UPDATE user_mail_tokens SET spent_at = ? WHERE user_id = ? AND kind IN (?, ?) AND spent_at = 0 AND created_at >= ?`,
		micros(s.now()), m.user, string(MailEmailChanged), string(MailVerifyEmail), micros(m.created)); err != nil {
		return err
	}
	return s.tellAll(ctx, tx, m.user, byUser(m.user, ""), s.tellEmail(m.user, "restored"))
}
