package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// PasswordReset sets a new password with the token of a mail.
type PasswordReset struct {
	Token    Secret
	Password Secret
	// KeepSessions leaves the sessions of the person open; else all end.
	KeepSessions bool
}

// RequestPasswordReset has a link mailed to whose the address is, for
// [Service.ResetPassword]. For every address it returns the same after the same
// work; an address that asks too often gets no mail. Errors: KindInvalid for what
// is no address or no allowed redirect, KindConflict "email_not_configured".
func (s *Service) RequestPasswordReset(ctx context.Context, in MailAsk) error {
	_, err := s.askMail(ctx, MailPasswordReset, in)
	return err
}

// ResetPassword sets the password of the person that a mail reached, tells them by
// another mail, and has every other link and code of theirs end. It opens no
// session: the person signs in with the new password, and with the second factor
// where one is asked. Errors: KindNotFound "token_not_valid"; KindInvalid for a
// password that is not taken, which leaves the token good.
func (s *Service) ResetPassword(ctx context.Context, in PasswordReset) error {
	m, err := s.mailTokenOf(ctx, MailPasswordReset, in.Token)
	if err != nil {
		return err
	}
	password := normalizePassword(in.Password)
	if f, err := s.checkPassword(ctx, password, m.email); err != nil {
		return err
	} else if f != nil {
		return platform.Invalid(*f)
	}
	hash, err := s.passwords.hash(ctx, "", password)
	if err != nil {
		return err
	}
	err = s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		if ok, err := lockOpen(ctx, tx, platform.NoTenant, m.user); err != nil {
			return err
		} else if !ok {
			return errBadMailToken()
		}
		if err := s.spendMailToken(ctx, tx, MailPasswordReset, in.Token); err != nil {
			return err
		}
		return s.resetPassword(ctx, tx, m, hash, in.KeepSessions)
	}, store.Reserved)
	if err == nil {
		s.changed(ctx, userKey(m.user))
	}
	return err
}

// resetPassword writes a new password in a transaction that has locked the account.
func (s *Service) resetPassword(ctx context.Context, tx store.CrossTx, m mailToken, hash string, keepSessions bool) error {
	if _, err := s.proveEmail(ctx, tx, m); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO user_passwords (user_id, hash, changed_at) VALUES (?, ?, ?)
		ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`, m.user, hash, micros(s.now())); err != nil {
		return err
	}
	if !keepSessions {
		if err := s.endSessions(ctx, tx, m.user, "", ""); err != nil {
			return err
		}
	}
	if err := s.forgetDevices(ctx, tx, m.user); err != nil {
		return err
	}
	if err := s.passwordReplaced(ctx, tx, m.user, m.locale); err != nil {
		return err
	}
	return s.tellAll(ctx, tx, m.user, byUser(m.user, ""), func(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor) error {
		if err := s.record(ctx, tx, tenant, by, "password.reset", m.user, nil); err != nil {
			return err
		}
		return s.emit(ctx, tx, tenant, "user.password.changed", m.user, by.principal(), userEvent{UserID: m.user})
	})
}

// passwordReplaced has the links and codes of a person end and tells them that
// their password is another one.
func (s *Service) passwordReplaced(ctx context.Context, tx writer, user, locale string) error {
	if err := s.endMails(ctx, tx, user); err != nil {
		return err
	}
	return s.sendMail(ctx, tx, mailRequest{kind: MailPasswordChanged, user: user, locale: locale})
}

// endMails has the links and codes end that were sent to a person, and those that
// were asked for by an address of theirs and have not left yet.
func (s *Service) endMails(ctx context.Context, tx store.Queries, user string) error {
	_, err := tx.Exec(ctx, `UPDATE user_mail_tokens SET spent_at = ? WHERE spent_at = 0 AND kind IN (?, ?, ?)
		AND (user_id = ? OR user_id = '' AND email IN (SELECT email FROM user_accounts WHERE id = ?))`,
		micros(s.now()), string(MailPasswordReset), string(MailSignInLink), string(MailSignInCode), user, user)
	return err
}
