package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// byMail is a sign-in that proved now that a mail reached the person. RFC 8176 has
// no name for it.
func (s *Service) byMail() signIn { return signIn{at: s.now(), methods: []string{"email"}} }

// RequestSignInLink has a link mailed to whose the address is, for
// [Service.SignInByLink]. For every address it returns the same after the same
// work; an address that asks too often gets no mail. Errors: KindInvalid for what
// is no address or no allowed redirect, KindConflict "email_not_configured".
func (s *Service) RequestSignInLink(ctx context.Context, in MailAsk) error {
	_, err := s.askMail(ctx, MailSignInLink, in)
	return err
}

// RequestSignInCode is [Service.RequestSignInLink] for a code to type. The code is
// good with the returned secret alone, so that nobody can be talked into signing
// another one in with it.
func (s *Service) RequestSignInCode(ctx context.Context, in MailAsk) (flow Secret, err error) {
	return s.askMail(ctx, MailSignInCode, in)
}

// SignInByLink signs in with the token of a link, which works once. It does not
// stand in for a second factor. The session is held in tokens, or as kind says.
// Error: KindNotFound "token_not_valid".
func (s *Service) SignInByLink(ctx context.Context, token Secret, organization platform.TenantID, kind ...SessionKind) (SignedIn, error) {
	m, err := s.mailTokenOf(ctx, MailSignInLink, token)
	if err != nil {
		return SignedIn{}, err
	}
	return s.admitByMail(ctx, m, organization, kind, func(ctx context.Context, tx writer) error {
		return s.spendMailToken(ctx, tx, MailSignInLink, token)
	})
}

// SignInByCode signs in with a code and the secret that [Service.RequestSignInCode]
// returned. Five codes can be tried. It does not stand in for a second factor.
// Error: KindNotFound "token_not_valid".
func (s *Service) SignInByCode(ctx context.Context, flow, code Secret, organization platform.TenantID, kind ...SessionKind) (SignedIn, error) {
	m, err := s.tryCodeOf(ctx, MailSignInCode, flow, code)
	if err != nil {
		return SignedIn{}, err
	}
	return s.admitByMail(ctx, m, organization, kind, func(ctx context.Context, tx writer) error { return s.spendCode(ctx, tx, m) })
}

// admitByMail signs in who got a mail. That proves the address too, whatever
// becomes of the sign-in.
func (s *Service) admitByMail(ctx context.Context, m mailToken, organization platform.TenantID, kind []SessionKind, spend func(context.Context, writer) error) (SignedIn, error) {
	var reclaimed bool
	err := s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		ok, err := lockOpen(ctx, tx, platform.NoTenant, m.user)
		if err == nil && !ok {
			err = errBadMailToken()
		}
		if err != nil {
			return err
		}
		reclaimed, err = s.proveEmail(ctx, tx, m)
		return err
	}, store.Reserved)
	if err != nil {
		return SignedIn{}, err
	}
	if reclaimed {
		s.changed(ctx, userKey(m.user))
	}
	a := arrival{user: m.user, wanted: organization, signIn: s.byMail()}
	if len(kind) > 0 {
		a.kind = kind[0]
	}
	return s.admit(ctx, a, spend)
}
