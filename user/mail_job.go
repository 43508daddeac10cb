package user

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

const (
	// mailWorkers is how many mails are under way at once in this process; a mail
	// server often has few connections for one client.
	mailWorkers = 16
	// mailTimeout bounds one try of one mail.
	mailTimeout = 2 * time.Minute
)

// handleMails registers the job of mails.
func (s *Service) handleMails() {
	queue.Handle(s.cfg.Jobs, mailJobKind, s.runMail, queue.Options{Concurrency: mailWorkers, TenantConcurrency: mailWorkers * 3 / 4, Timeout: mailTimeout})
}

// outgoing is a mail about to be sent, with what must be in it alone.
type outgoing struct {
	Mail
	secrets []string
}

// runMail makes the secret of a mail, keeps its hash, and has Config.Mail send it.
// A further try makes another secret; those of earlier tries stay good, since their
// mails may have arrived.
func (s *Service) runMail(ctx context.Context, _ queue.Job, in mailJob) error {
	out, ok, err := s.prepareMail(ctx, in.Mail)
	if err != nil || !ok {
		return err
	}
	if err := s.cfg.Mail(ctx, out.Mail); err != nil {
		// The text is kept with the job: a host's error may quote the mail.
		return redactedError{err, out.redact(err.Error())}
	}
	s.log.InfoContext(ctx, "user: a mail was sent", slog.String("mail", out.ID), slog.String("kind", string(out.Kind)), slog.String("user", out.UserID))
	return s.noteSent(ctx, in.Mail)
}

// prepareMail returns the mail of a row; ok is false for one that has ended or is
// about nobody.
func (s *Service) prepareMail(ctx context.Context, id string) (out outgoing, ok bool, err error) {
	err = s.db.AcrossTenants(ctx, s.cross.mail, func(ctx context.Context, tx store.CrossTx) error {
		out, ok = outgoing{}, false
		m, err := scanMailToken(tx.QueryRow(ctx, `UPDATE user_mail_tokens SET spent_at = spent_at
			WHERE id = ? AND spent_at = 0 AND expires_at > ? RETURNING `+mailTokenColumns, id, micros(s.now())))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if m.kind == MailInvitation {
			if open, err := invitationOpen(ctx, tx, m.organization, m.subject); err != nil || !open {
				return err
			}
		}
		if m.kind == MailVerifyEmail {
			// Who has proved the address is not asked to give it away.
			if h, err := holderOf(ctx, tx, m.email); err != nil || h.verified {
				return err
			}
		}
		if m.kind == MailFinishSignUp {
			if err := s.greet(ctx, tx, &m); err != nil {
				return err
			}
		} else if mailForms[m.kind].byAddress {
			if m.user, err = s.claim(ctx, tx, m); err != nil {
				return err
			}
			if ok = m.user != ""; !ok {
				// Whether an address is known, is not to be seen by how a code is refused.
				return s.addCode(ctx, tx, m, &outgoing{})
			}
		}
		if out.Mail, err = s.addressed(ctx, tx, m); err != nil {
			return err
		}
		ok = true
		if err := s.addCode(ctx, tx, m, &out); err != nil {
			return err
		}
		return s.addSecret(ctx, tx, m, &out)
	}, store.Reserved)
	return out, ok, err
}

// addressed is the mail without its secrets.
func (s *Service) addressed(ctx context.Context, tx store.CrossTx, m mailToken) (Mail, error) {
	out := Mail{
		ID: m.id, Kind: m.kind, To: m.email, UserID: m.user, Locale: m.locale,
		Organization: m.organization, CreatedAt: m.created, Expires: m.expires,
	}
	if m.organization != "" {
		err := tx.QueryRow(ctx, `SELECT name FROM user_organizations WHERE tenant = ?`, string(m.organization)).Scan(&out.OrganizationName)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return Mail{}, err
		}
	}
	if m.user == "" {
		return out, nil
	}
	u, err := userByID(ctx, tx, m.user)
	if err != nil {
		return Mail{}, err
	}
	out.Name = u.Name
	if out.Locale == "" {
		out.Locale = u.Locale
	}
	return out, nil
}

// addSecret makes the secret of a kind that has a link.
func (s *Service) addSecret(ctx context.Context, tx store.CrossTx, m mailToken, out *outgoing) error {
	form := mailForms[m.kind]
	if form.path == "" {
		return nil
	}
	secret := randomBytes()
	token := formatToken(form.prefix, m.id, secret)
	out.Link = s.link(m.kind, token, m.redirect)
	out.secrets = append(out.secrets, string(token))
	_, err := tx.Exec(ctx, `UPDATE user_mail_tokens SET hashes = ? WHERE id = ?`, addHash(m.hashes, hashSecret(secret)), m.id)
	return err
}

// claim notes whose a mail is that was asked for by address, and returns the id; ""
// is nobody who may sign in.
func (s *Service) claim(ctx context.Context, tx store.CrossTx, m mailToken) (user string, err error) {
	h, err := holderOf(ctx, tx, m.email)
	if err != nil || h.status != Active {
		return "", err
	}
	_, err = tx.Exec(ctx, `UPDATE user_mail_tokens SET user_id = ? WHERE id = ?`, h.user, m.id)
	return h.user, err
}

// noteSent keeps that the mail went out.
func (s *Service) noteSent(ctx context.Context, id string) error {
	return s.db.AcrossTenants(ctx, s.cross.mail, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `UPDATE user_mail_tokens SET sent_at = ? WHERE id = ?`, micros(s.now()), id)
		return err
	}, store.Reserved)
}

// redact takes the secrets of the mail out of a text.
func (o outgoing) redact(text string) string {
	for _, secret := range o.secrets {
		text = strings.ReplaceAll(text, secret, redacted)
		text = strings.ReplaceAll(text, url.QueryEscape(secret), redacted)
		text = strings.ReplaceAll(text, secret[strings.LastIndexByte(secret, '_')+1:], redacted)
	}
	return text
}

// redactedError is an error of Config.Mail with a text that holds no secret.
type redactedError struct {
	error
	text string
}

func (e redactedError) Error() string { return e.text }

// Unwrap keeps [queue.Discard] known.
func (e redactedError) Unwrap() error { return e.error }
