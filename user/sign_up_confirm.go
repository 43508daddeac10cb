package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// SignUpMode is who may make an account, and what a sign-up tells.
type SignUpMode string

// The modes.
const (
	// SignUpOpen answers a sign-up with tokens at once, so that it must tell that an
	// address has an account already.
	SignUpOpen SignUpMode = "open"
	// SignUpConfirmed makes an account once a mail was confirmed, and tells nobody
	// whether an address is known: the mail says "finish the sign-up" or "you have
	// an account already".
	SignUpConfirmed SignUpMode = "confirmed"
	// SignUpClosed takes nobody but those who are invited.
	SignUpClosed SignUpMode = "closed"
)

// signUpIs refuses a way to sign up that the host has not chosen.
func (s *Service) signUpIs(allowed ...SignUpMode) error {
	for _, mode := range allowed {
		if s.cfg.SignUp == mode {
			return nil
		}
	}
	if s.cfg.SignUp == SignUpConfirmed {
		return platform.Errorf(platform.KindForbidden, "confirmation_required", "a sign-up begins with a mail: use auth.signup.request")
	}
	return platform.Errorf(platform.KindForbidden, "sign_up_closed", "accounts are made by invitation")
}

// RequestSignUp has a mail sent to the address: one whose link finishes the sign-up,
// with [Service.ConfirmSignUp], or one that says that there is an account. It returns
// the same after the same work; an address that asks too often gets no mail. Errors:
// KindInvalid for what is no address or no allowed redirect, KindConflict
// "email_not_configured", KindForbidden "sign_up_closed".
func (s *Service) RequestSignUp(ctx context.Context, in MailAsk) error {
	if err := s.signUpIs(SignUpOpen, SignUpConfirmed); err != nil {
		return err
	}
	_, err := s.askMail(ctx, MailFinishSignUp, in)
	return err
}

// ConfirmSignUp is what a new user gives with the token of a mail.
type ConfirmSignUp struct {
	Token        Secret
	Password     Secret
	Name         string
	Organization string
	// Session is how the client holds the session; empty is [TokenSession].
	Session SessionKind
}

// ConfirmSignUp is [Service.SignUp] of the address that the token was sent to, which
// is verified by it. Errors: KindNotFound "token_not_valid"; KindInvalid, which
// leaves the token good.
func (s *Service) ConfirmSignUp(ctx context.Context, in ConfirmSignUp) (SignedUp, error) {
	if err := s.signUpIs(SignUpOpen, SignUpConfirmed); err != nil {
		return SignedUp{}, err
	}
	m, err := s.mailTokenOf(ctx, MailFinishSignUp, in.Token)
	if err != nil {
		return SignedUp{}, err
	}
	checked, err := s.checkSignUp(ctx, SignUp{Email: m.email, Password: in.Password, Name: in.Name, Organization: in.Organization, Session: in.Session})
	if err != nil {
		return SignedUp{}, err
	}
	checked.locale = m.locale
	checked.spend = func(ctx context.Context, tx store.Tx) error {
		return s.spendMailToken(ctx, tx, MailFinishSignUp, in.Token)
	}
	return s.signUp(ctx, checked, nil)
}

// greet turns the mail of a sign-up with a known address into one that says so.
func (s *Service) greet(ctx context.Context, tx store.CrossTx, m *mailToken) error {
	h, err := holderOf(ctx, tx, m.email)
	if err != nil || h.user == "" {
		return err
	}
	m.kind, m.user = MailAlreadySignedUp, h.user
	_, err = tx.Exec(ctx, `UPDATE user_mail_tokens SET kind = ?, user_id = ? WHERE id = ?`, string(m.kind), m.user, m.id)
	return err
}
