package user

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math/big"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A code is short, since a person types it, so it is good only together with the
// secret in the answer of who asked for it, and for few tries. Its hash is sealed:
// 10^8 hashes are soon computed by who can read the store.

const (
	// flowPrefix begins the secrets that codes belong to.
	flowPrefix = "mf"
	// codeDigits is of a code of eight digits.
	codeDigits = 8
	// codeTries is how many codes may be tried for one mail.
	codeTries = 5
)

var codeSpace = big.NewInt(100_000_000)

func randomCode() (string, error) {
	n, err := rand.Int(rand.Reader, codeSpace)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

func codeHash(mail, code string) []byte {
	sum := sha256.Sum256([]byte(mail + " " + code))
	return sum[:]
}

// codeCell is where the hashes of the codes of a mail are sealed for.
func codeCell(mail string) store.Cell {
	return store.Cell{Tenant: platform.NoTenant, Table: "user_mail_tokens", Column: "codes", Row: mail}
}

// addCode makes the code of a kind that has one.
func (s *Service) addCode(ctx context.Context, tx store.CrossTx, m mailToken, out *outgoing) error {
	if !mailForms[m.kind].code {
		return nil
	}
	code, err := randomCode()
	if err != nil {
		return err
	}
	var earlier []byte
	if len(m.codes) > 0 {
		if earlier, err = s.cfg.Sealer.Open(ctx, codeCell(m.id), m.codes); err != nil {
			return err
		}
	}
	sealed, err := s.cfg.Sealer.Seal(ctx, codeCell(m.id), addHash(earlier, codeHash(m.id, code)))
	if err != nil {
		return err
	}
	out.Code, out.secrets = Secret(code), append(out.secrets, code)
	_, err = tx.Exec(ctx, `UPDATE user_mail_tokens SET codes = ? WHERE id = ?`, sealed, m.id)
	return err
}

// tryCodeOf returns the mail that a code was in, without using it up, and counts
// the try before it looks: guesses at once count each.
func (s *Service) tryCodeOf(ctx context.Context, kind MailKind, flow, code Secret) (m mailToken, err error) {
	id, secret, ok := parseToken(flowPrefix, "mail", secretSize, flow)
	if !ok {
		return mailToken{}, errBadMailToken()
	}
	err = s.db.AcrossTenants(ctx, s.cross.mail, func(ctx context.Context, tx store.CrossTx) error {
		m, err = scanMailToken(tx.QueryRow(ctx, `UPDATE user_mail_tokens SET tries = tries + 1
			WHERE id = ? AND kind = ? AND flow_hash = ? AND spent_at = 0 AND expires_at > ? AND tries < ? RETURNING `+mailTokenColumns,
			id, string(kind), hashSecret(secret), micros(s.now()), codeTries))
		return err
	}, store.Reserved)
	if errors.Is(err, sql.ErrNoRows) || err == nil && len(m.codes) == 0 { // the mail has not left yet
		return mailToken{}, errBadMailToken()
	}
	if err != nil {
		return mailToken{}, err
	}
	hashes, err := s.cfg.Sealer.Open(ctx, codeCell(m.id), m.codes)
	if err != nil {
		return mailToken{}, err
	}
	if !hashAmong(hashes, codeHash(m.id, string(code))) || m.user == "" {
		return mailToken{}, errBadMailToken()
	}
	return m, nil
}

// spendCode uses up the code of a mail that tryCodeOf has found.
func (s *Service) spendCode(ctx context.Context, tx store.Queries, m mailToken) error {
	now := micros(s.now())
	ok, err := changedOne(ctx, tx, `UPDATE user_mail_tokens SET spent_at = ? WHERE id = ? AND spent_at = 0 AND expires_at > ?`, now, m.id, now)
	if err == nil && !ok {
		err = errBadMailToken()
	}
	return err
}
