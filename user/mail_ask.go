package user

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// MailAsk asks for a mail to an address that the caller says is theirs.
type MailAsk struct {
	Email string
	// Locale is the language of the mail as a BCP 47 tag; "" is that of the
	// account.
	Locale string
	// Redirect is where the page of the link sends the person afterwards: one of
	// Links.Redirects, or "".
	Redirect string
}

// What strangers may have mailed. Beyond it they are answered alike and nothing is
// sent, so that a mailbox is not flooded and an address is not a secret told.
const (
	mailsToAddressFrom = 10  // one network to one address in an hour
	mailsToAddress     = 30  // all networks to one address in a day
	mailsFrom          = 100 // one network in an hour
)

// askMail has a mail sent to whose an address is, if it is anybody's. For every
// address it does the same work: whose it is, is looked up when the mail is made.
func (s *Service) askMail(ctx context.Context, kind MailKind, in MailAsk) (flow Secret, err error) {
	if s.cfg.Mail == nil {
		return "", errNoMail()
	}
	email, ok := normalizeEmail(in.Email)
	if !ok {
		return "", platform.Invalid(emailField())
	}
	if in.Redirect != "" && !slices.Contains(s.cfg.Links.Redirects, in.Redirect) {
		return "", field("/redirect", "unknown", "one of the URLs that the host allows")
	}
	id, secret := s.newID("mail"), randomBytes()
	flow = formatToken(flowPrefix, id, secret)
	if within, err := s.countMail(ctx, email); err != nil || !within {
		return flow, err
	}
	return flow, s.db.AcrossTenants(ctx, s.cross.mail, func(ctx context.Context, tx store.CrossTx) error {
		return s.sendMail(ctx, tx, mailRequest{
			kind: kind, id: id, email: email, locale: locale(in.Locale), redirect: in.Redirect, flow: hashSecret(secret),
		})
	}, store.Reserved)
}

// countMail counts a mail that a stranger asks for, and reports whether it may go.
func (s *Service) countMail(ctx context.Context, email string) (bool, error) {
	from, to := site(clientOf(ctx)), digest(mailboxOf(email))
	within := true
	for _, c := range []inviteCount{
		{platform.NoTenant, "user.mail.from:" + digest(from), mailsFrom, time.Hour},
		{platform.NoTenant, "user.mail.to-from:" + to + digest(from), mailsToAddressFrom, time.Hour},
		{platform.NoTenant, "user.mail.to:" + to, mailsToAddress, day},
	} {
		n, _, err := s.cfg.Cache.Increment(ctx, c.tenant, c.key, 1, c.window)
		if err != nil {
			return false, err
		}
		if n > c.most {
			within = false
			break // what is refused here is not counted for all
		}
	}
	return within, nil
}

// mailboxOf is the same for the spellings of an address that usually reach one
// mailbox.
func mailboxOf(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// holder is whose an address is.
type holder struct {
	user     string // "" is nobody's
	status   Status
	verified bool
}

// holderOf finds who has proved that an address is theirs, or else who has it as
// the primary one without a proof.
func holderOf(ctx context.Context, tx store.Queries, email string) (h holder, err error) {
	var verified int64
	rows, err := queryAll(ctx, tx, func(row scanner) (holder, error) {
		var h holder
		err := row.Scan(&h.user, &h.status, &verified)
		h.verified = verified > 0
		return h, err
	}, `SELECT id, status, email_verified_at FROM user_accounts WHERE email = ?
		UNION ALL SELECT a.id, a.status, e.verified_at FROM user_emails e JOIN user_accounts a ON a.id = e.user_id
		WHERE e.email = ? AND e.verified_at > 0`, email, email)
	for _, one := range rows {
		if h.user == "" || one.verified {
			h = one
		}
	}
	return h, err
}

// locale is a language as it is kept: a BCP 47 tag, or the first of an
// Accept-Language header; "" for what is none.
func locale(tag string) string {
	tag, _, _ = strings.Cut(tag, ",")
	tag, _, _ = strings.Cut(tag, ";")
	tag = strings.TrimSpace(tag)
	plain := func(r rune) bool {
		return r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if len(tag) > 35 || strings.ContainsFunc(tag, func(r rune) bool { return !plain(r) }) {
		return ""
	}
	return tag
}
