package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// maxEmails bounds the addresses of a person, the primary one among them.
const maxEmails = 10

// Email is an address of a person. Each that is verified signs in.
type Email struct {
	Address string
	// Primary is the one that mails go to, and that others see.
	Primary bool
	// VerifiedAt is zero for one that the person has not proved yet: it keeps
	// nobody from the address.
	VerifiedAt time.Time
	CreatedAt  time.Time
}

// tellEmail is the tellFunc of a change of the addresses of a person. What the
// address is stays out of it: it is the person's, and not the organization's.
func (s *Service) tellEmail(user, done string) tellFunc {
	return func(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor) error {
		if err := s.record(ctx, tx, tenant, by, "email."+done, user, nil); err != nil {
			return err
		}
		return s.emit(ctx, tx, tenant, "user.email."+done, user, by.principal(), emailEvent{UserID: user})
	}
}

// Emails returns the addresses of the signed-in person, the primary one first.
func (s *Service) Emails(ctx context.Context, p platform.Principal) (all []Email, err error) {
	err = s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		u, err := userByID(ctx, tx, p.Subject)
		if err != nil {
			return err
		}
		if all = nil; u.Email != "" {
			all = []Email{{Address: u.Email, Primary: true, VerifiedAt: u.EmailVerifiedAt, CreatedAt: u.CreatedAt}}
		}
		further, err := furtherEmails(ctx, tx, u.ID)
		all = append(all, further...)
		return err
	}, store.ReadOnly)
	return all, err
}

func furtherEmails(ctx context.Context, tx store.Queries, user string) ([]Email, error) {
	return queryAll(ctx, tx, func(row scanner) (e Email, err error) {
		var verified, made int64
		err = row.Scan(&e.Address, &verified, &made)
		e.VerifiedAt, e.CreatedAt = fromMicros(verified), fromMicros(made)
		return e, err
	}, `SELECT email, verified_at, created_at FROM user_emails WHERE user_id = ? ORDER BY created_at, email`, user)
}

// changeEmails runs change with the account locked, for a person who has signed in
// lately, and tells their organizations what was done; "" is nothing.
func (s *Service) changeEmails(ctx context.Context, p platform.Principal, change func(ctx context.Context, tx store.CrossTx, u User) (done string, err error)) error {
	if err := s.recent(p); err != nil {
		return err
	}
	return s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		if ok, err := lockOpen(ctx, tx, platform.NoTenant, p.Subject); err != nil {
			return err
		} else if !ok {
			return errBadCredential()
		}
		u, err := userByID(ctx, tx, p.Subject)
		if err != nil {
			return err
		}
		done, err := change(ctx, tx, u)
		if err != nil || done == "" {
			return err
		}
		return s.tellAll(ctx, tx, u.ID, byPrincipal(p), s.tellEmail(u.ID, done))
	}, store.Reserved)
}

// AddEmail begins to add an address: a mail asks whoever has it to confirm, with
// [Service.VerifyEmail]. Whether somebody else has the address is not told. Adding
// one again sends the mail again. Errors: KindConflict "email_not_configured" and,
// beyond ten addresses, "too_many_emails".
func (s *Service) AddEmail(ctx context.Context, p platform.Principal, address string) error {
	email, ok := normalizeEmail(address)
	if !ok {
		return platform.Invalid(emailField())
	}
	if s.cfg.Mail == nil {
		return errNoMail()
	}
	within, err := s.countMail(ctx, email)
	if err != nil {
		return err
	}
	return s.changeEmails(ctx, p, func(ctx context.Context, tx store.CrossTx, u User) (done string, err error) {
		if email != u.Email {
			further, err := furtherEmails(ctx, tx, u.ID)
			if err != nil {
				return "", err
			}
			if len(further)+1 >= maxEmails {
				return "", platform.Errorf(platform.KindConflict, "too_many_emails", "a person has at most %d addresses; remove one first", maxEmails)
			}
			made, err := changedOne(ctx, tx, `INSERT INTO user_emails (user_id, email, verified_at, created_at) VALUES (?, ?, 0, ?)
				ON CONFLICT (user_id, email) DO NOTHING`, u.ID, email, micros(s.now()))
			if err != nil {
				return "", err
			}
			if made {
				done = "added"
			}
		}
		if !within { // an address that gets too much gets nothing
			return done, nil
		}
		return done, s.sendMail(ctx, tx, mailRequest{kind: MailVerifyEmail, user: u.ID, email: email})
	})
}

// RemoveEmail removes an address that is not the primary one, and tells it. Errors:
// KindNotFound; KindConflict "primary_email".
func (s *Service) RemoveEmail(ctx context.Context, p platform.Principal, address string) error {
	email, _ := normalizeEmail(address)
	return s.changeEmails(ctx, p, func(ctx context.Context, tx store.CrossTx, u User) (string, error) {
		if email == u.Email {
			return "", platform.Errorf(platform.KindConflict, "primary_email", "make another address the primary one first")
		}
		var verified int64
		if err := tx.QueryRow(ctx, `DELETE FROM user_emails WHERE user_id = ? AND email = ? RETURNING verified_at`, u.ID, email).Scan(&verified); err != nil {
			return "", notFound(err, "address")
		}
		if err := s.endMailsTo(ctx, tx, u.ID, email); err != nil || verified == 0 {
			return "removed", err
		}
		return "removed", s.sendMail(ctx, tx, mailRequest{kind: MailEmailRemoved, user: u.ID, email: email})
	})
}

// endMailsTo has the links and codes end that were sent to an address of a person,
// but for the undo of a change, which is for when the address was taken away.
func (s *Service) endMailsTo(ctx context.Context, tx store.Queries, user, email string) error {
	_, err := tx.Exec(ctx, `UPDATE user_mail_tokens SET spent_at = ? WHERE user_id = ? AND email = ? AND spent_at = 0 AND kind <> ?`,
		micros(s.now()), user, email, string(MailEmailChanged))
	return err
}

// ownEmail gives an address to the person who has proved it with m. Claims of
// others that are not verified yield; one that is, stays.
func (s *Service) ownEmail(ctx context.Context, tx store.CrossTx, m mailToken) error {
	// Of two who prove one address at once, the second must see the first.
	if err := tx.Lock(ctx, "user.email."+digest(m.email)); err != nil {
		return err
	}
	h, err := holderOf(ctx, tx, m.email)
	if err != nil {
		return err
	}
	if h.verified && h.user != m.user {
		return errBadMailToken()
	}
	now := s.now()
	u, err := userByID(ctx, tx, m.user)
	if err != nil {
		return err
	}
	if u.Email == m.email {
		if err := verifyEmail(ctx, tx, m.user, now); err != nil {
			return err
		}
	} else {
		if err := yieldPrimary(ctx, tx, m.email, m.user); err != nil {
			return err
		}
		ok, err := changedOne(ctx, tx, `UPDATE user_emails SET verified_at = ? WHERE user_id = ? AND email = ? AND verified_at = 0`,
			micros(now), m.user, m.email)
		if err != nil {
			return err
		}
		if ok { // the primary address hears of it
			if err := s.sendMail(ctx, tx, mailRequest{kind: MailEmailAdded, user: m.user}); err != nil {
				return err
			}
		} else if h.user != m.user { // removed meanwhile
			return errBadMailToken()
		}
	}
	_, err = tx.Exec(ctx, `DELETE FROM user_emails WHERE email = ? AND user_id <> ? AND verified_at = 0`, m.email, m.user)
	return err
}

// yieldPrimary takes an address from an account that has it as the primary one and
// has not proved it. Another verified address takes its place, or none: the id then
// stands for it, which is no address.
func yieldPrimary(ctx context.Context, tx store.Queries, email, to string) error {
	others, err := queryAll(ctx, tx, func(row scanner) (id string, err error) { return id, row.Scan(&id) },
		`SELECT id FROM user_accounts WHERE email = ? AND id <> ? AND email_verified_at = 0`, email, to)
	if err != nil {
		return err
	}
	for _, id := range others {
		further, err := furtherEmails(ctx, tx, id)
		if err != nil {
			return err
		}
		next, verified := id, int64(0)
		for _, e := range further {
			if !e.VerifiedAt.IsZero() {
				next, verified = e.Address, micros(e.VerifiedAt)
				break
			}
		}
		if _, err := tx.Exec(ctx, `DELETE FROM user_emails WHERE user_id = ? AND email = ?`, id, next); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE user_accounts SET email = ?, email_verified_at = ? WHERE id = ?`, next, verified, id); err != nil {
			return err
		}
	}
	return nil
}
