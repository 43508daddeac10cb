package user

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// MailKind says what a [Mail] is about.
type MailKind string

// The kinds of mails.
const (
	// MailInvitation invites a person to an organization. Its link accepts.
	MailInvitation MailKind = "invitation"
	// MailVerifyEmail asks a person to confirm that an address is theirs.
	MailVerifyEmail MailKind = "verify_email"
	// MailPasswordReset lets a person set a new password.
	MailPasswordReset MailKind = "password_reset"
	// MailSignInLink and MailSignInCode sign a person in.
	MailSignInLink MailKind = "sign_in_link"
	MailSignInCode MailKind = "sign_in_code"

	// MailFinishSignUp finishes a sign-up, and MailAlreadySignedUp tells a person who
	// signs up that they have an account.
	MailFinishSignUp    MailKind = "finish_sign_up"
	MailAlreadySignedUp MailKind = "already_signed_up"

	// MailPasswordChanged and MailFactorChanged are notices: they tell a person what
	// has changed of their account.
	MailPasswordChanged MailKind = "password_changed"
	MailFactorChanged   MailKind = "factor_changed"
	// MailEmailChanged tells the old address that another one is the primary one
	// now; its link undoes that. MailEmailAdded and MailEmailRemoved are notices.
	MailEmailChanged MailKind = "email_changed"
	MailEmailAdded   MailKind = "email_added"
	MailEmailRemoved MailKind = "email_removed"
)

// mailForm is what the mails of one kind have in common.
type mailForm struct {
	// path is where the link leads, on Links.Origin; "" is a kind that has no link.
	path string
	// prefix begins the token in the link.
	prefix string
	// ttl is how long the secrets are good, where the request does not say it.
	ttl time.Duration
	// code is a kind with a code to type.
	code bool
	// byAddress is a kind that anybody may ask for: whose the address is, is looked
	// up when the mail is made, so that asking takes the same work for every address.
	byAddress bool
}

// needsMail reports whether the kind is of no use without Config.Mail.
func (f mailForm) needsMail() bool { return f.path != "" || f.code }

// mailForms has every kind.
var mailForms = map[MailKind]mailForm{
	MailInvitation:      {path: "/invitation", prefix: invitationPrefix},
	MailVerifyEmail:     {path: "/verify-email", prefix: mailTokenPrefix, ttl: day},
	MailPasswordReset:   {path: "/reset-password", prefix: mailTokenPrefix, ttl: 30 * time.Minute, byAddress: true},
	MailSignInLink:      {path: "/sign-in", prefix: mailTokenPrefix, ttl: 15 * time.Minute, byAddress: true},
	MailSignInCode:      {ttl: 10 * time.Minute, code: true, byAddress: true},
	MailFinishSignUp:    {path: "/finish-sign-up", prefix: mailTokenPrefix, ttl: day, byAddress: true},
	MailAlreadySignedUp: {ttl: day},
	MailPasswordChanged: {ttl: day},
	MailFactorChanged:   {ttl: day},
	MailEmailChanged:    {path: "/undo-email", prefix: mailTokenPrefix, ttl: 7 * day},
	MailEmailAdded:      {ttl: day},
	MailEmailRemoved:    {ttl: day},
}

// Mail is one e-mail to a person, for Config.Mail to word and to send.
type Mail struct {
	// ID is the same in each try. Kind says what the mail is about.
	ID   string
	Kind MailKind
	// To is the address, and UserID and Name are whose it is; both are empty for
	// somebody who has no account.
	To     string
	UserID string
	Name   string
	// Locale is the language of the person as a BCP 47 tag, such as "de-AT"; ""
	// is not known.
	Locale string
	// Link is where the mail leads, with its token in the fragment, which browsers
	// send to no server; "" for a kind without one.
	Link Secret
	// Code is what the person types in place of following Link; "" for a kind
	// without one.
	Code Secret
	// Organization and OrganizationName are set where the mail is about one.
	Organization     platform.TenantID
	OrganizationName string
	// CreatedAt is when the mail was asked for, the same in each try, and Expires
	// when Link ends; the zero time is never.
	CreatedAt time.Time
	Expires   time.Time
}

// mailRequest asks for a mail, in the transaction of what it is about.
type mailRequest struct {
	kind MailKind
	// email is where it goes; "" is the primary address of user as it is now.
	email string
	user  string // "" where nobody is known
	// organization is the one that the mail is about, subject the id of what in it:
	// of the invitation.
	organization platform.TenantID
	subject      string
	locale       string
	redirect     string // one of Links.Redirects, or ""
	// id is of the row of the mail; "" makes one.
	id      string
	flow    []byte    // the hash of the secret that a code belongs to
	expires time.Time // zero is what the kind says
}

// mailJob is the payload of the job of one mail. It names the row and nothing else.
type mailJob struct {
	Mail string `json:"mail"`
}

const mailJobKind = "user.mail"

// sendMail has a mail sent once tx has committed: it writes a row without a
// secret, and a job that names the row. The secrets are made when the job runs, so
// that they are in the mail alone. Without Config.Mail a kind with a link is
// refused, and a notice goes nowhere.
func (s *Service) sendMail(ctx context.Context, tx writer, in mailRequest) error {
	form, ok := mailForms[in.kind]
	if !ok {
		return fmt.Errorf("user: there is no mail of the kind %q; add it to mailForms", in.kind)
	}
	if s.cfg.Mail == nil {
		if form.needsMail() {
			return errNoMail()
		}
		return nil
	}
	if in.email == "" && !form.byAddress {
		u, err := userByID(ctx, tx, in.user)
		if err != nil {
			return err
		}
		if in.email = u.Email; in.email == "" {
			return nil // nobody is there to be told
		}
	}
	now := s.now()
	if in.expires.IsZero() {
		in.expires = now.Add(form.ttl)
	}
	if in.id == "" {
		in.id = s.newID("mail")
	}
	if _, err := tx.Exec(ctx, `INSERT INTO user_mail_tokens (id, kind, user_id, email, organization, subject, locale, redirect, flow_hash, hashes,
		created_at, expires_at, sent_at, spent_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)`,
		in.id, string(in.kind), in.user, in.email, string(in.organization), in.subject, in.locale, in.redirect, notNil(in.flow), []byte{},
		micros(now), micros(in.expires)); err != nil {
		return fmt.Errorf("user: ask for a mail: %w", err)
	}
	return s.enqueueMail(ctx, tx, in.id)
}

// enqueueMail adds the job of a mail: the tenant's in a transaction of one, or else
// the installation's, since a person need be in no organization.
func (s *Service) enqueueMail(ctx context.Context, tx writer, id string) error {
	payload, err := json.Marshal(mailJob{id})
	if err != nil { // a string always marshals
		return err
	}
	job := queue.Job{Kind: mailJobKind, Payload: payload}
	switch tx := tx.(type) {
	case store.Tx:
		_, err = s.cfg.Jobs.Enqueue(ctx, tx, job)
	case store.CrossTx:
		job.Tenant = platform.NoTenant
		_, err = s.cfg.Jobs.EnqueueAcross(ctx, tx, job)
	default:
		err = fmt.Errorf("user: no mail can be asked for in a %T", tx)
	}
	return err
}

// MailKinds returns every kind, so that a host can see that it has words for each.
func MailKinds() []MailKind { return slices.Sorted(maps.Keys(mailForms)) }
