package user

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// mailTokenPrefix begins the tokens of mails other than invitations.
const mailTokenPrefix = "mt"

// keptSecrets is of how many tries of one mail the secrets are good: a try that
// seems to have failed may have reached the mailbox.
const keptSecrets = 5

// mailToken is the row of a mail. It belongs to a person, or to nobody yet, and
// not to a tenant.
type mailToken struct {
	id           string
	kind         MailKind
	user         string
	email        string
	organization platform.TenantID
	subject      string
	locale       string
	redirect     string
	hashes       []byte // SHA-256 of each secret, the newest last
	codes        []byte // sealed hashes of the codes
	created      time.Time
	expires      time.Time
}

const mailTokenColumns = `id, kind, user_id, email, organization, subject, locale, redirect, hashes, codes, created_at, expires_at` //nolint:gosec // columns, no credentials

func scanMailToken(row scanner) (m mailToken, err error) {
	var created, expires int64
	err = row.Scan(&m.id, &m.kind, &m.user, &m.email, &m.organization, &m.subject, &m.locale, &m.redirect, &m.hashes, &m.codes, &created, &expires)
	m.created, m.expires = fromMicros(created), fromMicros(expires)
	return m, err
}

// proves reports whether secret went out in the mail.
func (m mailToken) proves(secret []byte) bool { return hashAmong(m.hashes, hashSecret(secret)) }

// hashAmong reports whether one of the hashes, which stand one after the other,
// is hash.
func hashAmong(hashes, hash []byte) bool {
	found := 0
	for ; len(hashes) >= len(hash); hashes = hashes[len(hash):] {
		found |= subtle.ConstantTimeCompare(hashes[:len(hash)], hash)
	}
	return found == 1
}

// addHash appends a hash, and drops the oldest beyond keptSecrets.
func addHash(hashes, hash []byte) []byte {
	out := append(append([]byte{}, hashes...), hash...)
	if over := len(out) - keptSecrets*len(hash); over > 0 {
		out = out[over:]
	}
	return out
}

// errBadMailToken is the same for a token that is unknown, used, ended, or of
// another kind.
func errBadMailToken() error {
	return platform.Errorf(platform.KindNotFound, "token_not_valid", "the link or code is not valid, was used, or has ended; ask for another one")
}

// mailTokenOf returns the mail of a token that is good, without using it up.
func (s *Service) mailTokenOf(ctx context.Context, kind MailKind, token Secret) (m mailToken, err error) {
	id, secret, ok := parseToken(mailTokenPrefix, "mail", secretSize, token)
	if !ok {
		return mailToken{}, errBadMailToken()
	}
	err = s.db.AcrossTenants(ctx, s.cross.mail, func(ctx context.Context, tx store.CrossTx) error {
		m, err = scanMailToken(tx.QueryRow(ctx, `SELECT `+mailTokenColumns+` FROM user_mail_tokens
			WHERE id = ? AND kind = ? AND spent_at = 0 AND expires_at > ?`, id, string(kind), micros(s.now())))
		return err
	}, store.ReadOnly)
	return m.checked(secret, err)
}

// spendMailToken uses a token up in the transaction of its effect. Of many calls
// at once with one token one succeeds; the others get errBadMailToken, as does a
// token of another kind. The caller has locked the account.
func (s *Service) spendMailToken(ctx context.Context, tx store.Queries, kind MailKind, token Secret) error {
	id, secret, ok := parseToken(mailTokenPrefix, "mail", secretSize, token)
	if !ok {
		return errBadMailToken()
	}
	now := micros(s.now())
	// A wrong secret must not use the token up: its error undoes the change.
	m, err := scanMailToken(tx.QueryRow(ctx, `UPDATE user_mail_tokens SET spent_at = ?
		WHERE id = ? AND kind = ? AND spent_at = 0 AND expires_at > ? RETURNING `+mailTokenColumns, now, id, string(kind), now))
	_, err = m.checked(secret, err)
	return err
}

// checked refuses a mail that was not found, or that secret was not in.
func (m mailToken) checked(secret []byte, err error) (mailToken, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return mailToken{}, errBadMailToken()
	case err != nil:
		return mailToken{}, fmt.Errorf("user: the token of a mail: %w", err)
	case !m.proves(secret):
		return mailToken{}, errBadMailToken()
	}
	return m, nil
}

// mailedInvitation reports whether secret went out in the mail of an invitation.
func mailedInvitation(ctx context.Context, tx store.Queries, id string, secret []byte) (bool, error) {
	m, err := scanMailToken(tx.QueryRow(ctx, `SELECT `+mailTokenColumns+` FROM user_mail_tokens WHERE id = ? AND kind = ?`,
		id, string(MailInvitation)))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return m.proves(secret), err
}

// mailsKept is how long it is known, after its end, that a mail was sent.
const mailsKept = 30 * day

// purgeMails removes the rows of mails that ended long ago.
func (s *Service) purgeMails(ctx context.Context) error {
	err := s.db.AcrossTenants(ctx, s.cross.purge, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `DELETE FROM user_mail_tokens WHERE expires_at < ?`, micros(s.now().Add(-mailsKept)))
		return err
	}, store.Reserved)
	if err != nil {
		return fmt.Errorf("user: purge mails: %w", err)
	}
	return nil
}
