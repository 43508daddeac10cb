package user

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// FactorKind is a kind of second factor.
type FactorKind string

// The kinds.
const (
	// FactorTOTP is a code of an authenticator app (RFC 6238).
	FactorTOTP FactorKind = "totp"
	// FactorRecoveryCode is one of the codes that a person gets with their first
	// factor, for when they have lost it.
	FactorRecoveryCode FactorKind = "recovery_code"
	// FactorPasskey is a passkey (WebAuthn), which verifies its user: it is two
	// factors by itself.
	FactorPasskey FactorKind = "passkey"
)

// Names of RFC 8176 in the methods of a sign-in.
const (
	methodPassword = "pwd"
	methodOTP      = "otp"
	// methodMFA says that factors of two kinds were shown. It alone decides
	// whether a session keeps an organization's policy: a code by e-mail is an
	// "otp" too, and no second factor.
	methodMFA = "mfa"
)

// freshFor is how recent a sign-in must be for sensitive acts.
const freshFor = 15 * time.Minute

// strong reports whether the methods of a sign-in are of two kinds.
func strong(methods []string) bool { return slices.Contains(methods, methodMFA) }

// with returns the sign-in with more methods, made now.
func (in signIn) with(now time.Time, methods ...string) signIn {
	return signIn{at: now, methods: tidy(slices.Concat(in.methods, methods))}
}

// FactorProof is what a person shows of a second factor: exactly one of them.
type FactorProof struct {
	// Code is six digits of an authenticator app.
	Code         Secret
	RecoveryCode Secret
	// Passkey is what the browser has answered to the options of
	// [Service.FactorOptions], [Service.EnrollFactor] or [Service.StepUpOptions].
	Passkey json.RawMessage
	// PasskeyName is the name of a passkey that is just enrolled.
	PasskeyName string
}

func (p FactorProof) validate() error {
	given := 0
	for _, set := range []bool{p.Code != "", p.RecoveryCode != "", p.Passkey != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		return field("/code", "one_of", "one second factor: a code, a recovery code or a passkey")
	}
	return nil
}

// shownFactor is a factor whose proof is right.
type shownFactor struct {
	kind    FactorKind
	methods []string
	// spend uses the proof up in the transaction of its effect, and refuses one
	// that was used meanwhile.
	spend func(ctx context.Context, tx store.Queries) error
	// tell records and emits what was done, in one organization of the person; it
	// may be nil.
	tell tellFunc
}

// tellFunc writes the audit record and the event of a change to one organization.
type tellFunc func(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor) error

// checkFactor checks the proof of a second factor that the person has, shown by a
// session or a half-done sign-in. The error is errBadFactor for one that is wrong,
// and of [platform.KindLimited] after too many of those.
func (s *Service) checkFactor(ctx context.Context, user, holder string, proof FactorProof) (shownFactor, error) {
	switch {
	case proof.Passkey != nil:
		shown, _, err := s.checkPasskey(ctx, passkeyShow, user, holder, proof.Passkey)
		return shown, err
	case proof.Code != "":
		return s.checkTOTP(ctx, user, proof.Code)
	}
	return s.checkRecoveryCode(user, proof.RecoveryCode)
}

func errBadFactor() error {
	return platform.Errorf(platform.KindUnauthenticated, "invalid_factor", "the second factor is wrong, was used before or is not of this time")
}

// errFactorRequired is of a session that an organization's policy refuses.
func errFactorRequired() error {
	return platform.Errorf(platform.KindUnauthenticated, "factor_required", "the organization requires a second factor; sign in with one")
}

// factors are those that a person has.
type factors struct {
	totpSince     time.Time // zero is none
	passkeys      int
	recoveryCodes int
}

// factorsOf reads the factors of a person. A decision on them needs the account
// to be locked.
func factorsOf(ctx context.Context, tx store.Queries, user string) (f factors, err error) {
	var since int64
	err = tx.QueryRow(ctx, `SELECT coalesce((SELECT confirmed_at FROM user_totp WHERE user_id = ?), 0),
		(SELECT count(*) FROM user_passkeys WHERE user_id = ?), (SELECT count(*) FROM user_recovery_codes WHERE user_id = ?)`, user, user, user).
		Scan(&since, &f.passkeys, &f.recoveryCodes)
	if since != 0 {
		f.totpSince = fromMicros(since)
	}
	return f, err
}

// any reports whether the person has a second factor. Recovery codes are none:
// they stand in for one.
func (f factors) any() bool { return !f.totpSince.IsZero() || f.passkeys > 0 }

// kinds are those that the person can show.
func (f factors) kinds() (all []FactorKind) {
	if f.passkeys > 0 {
		all = append(all, FactorPasskey)
	}
	if !f.totpSince.IsZero() {
		all = append(all, FactorTOTP)
	}
	if f.any() && f.recoveryCodes > 0 {
		all = append(all, FactorRecoveryCode)
	}
	return all
}

// Factors are the second factors of a person, as they see them.
type Factors struct {
	// TOTPSince is when the authenticator app was added; zero is none.
	TOTPSince time.Time
	// Passkeys is how many there are; see [Service.Passkeys].
	Passkeys int
	// RecoveryCodes is how many are left.
	RecoveryCodes int
}

// Factors returns the second factors of the signed-in user.
func (s *Service) Factors(ctx context.Context, p platform.Principal) (Factors, error) {
	if p.Kind != platform.PrincipalUser {
		return Factors{}, errUserNeeded()
	}
	var f factors
	err := s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		f, err = factorsOf(ctx, tx, p.Subject)
		return err
	}, store.ReadOnly)
	return Factors{TOTPSince: f.totpSince, Passkeys: f.passkeys, RecoveryCodes: f.recoveryCodes}, err
}

// recent refuses who has not signed in lately, for sensitive acts. Routes say the
// same with [platform.Access.Fresh]; this is for callers from Go.
func (s *Service) recent(p platform.Principal) error {
	if p.Kind != platform.PrincipalUser {
		return errUserNeeded()
	}
	if !p.SignedInWithin(freshFor, s.now()) {
		return platform.Reauthenticate(freshFor)
	}
	return nil
}

// changeFactors runs change with the account locked, and tells all organizations
// of the person of it. It refuses a session that showed fewer factors than the
// person has: one from before the factor must not take the factor away.
func (s *Service) changeFactors(ctx context.Context, p platform.Principal, change func(ctx context.Context, tx store.CrossTx, f factors) (tellFunc, error)) error {
	if err := s.recent(p); err != nil {
		return err
	}
	return s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		if ok, err := lockOpen(ctx, tx, platform.NoTenant, p.Subject); err != nil {
			return err
		} else if !ok {
			return errBadCredential()
		}
		f, err := factorsOf(ctx, tx, p.Subject)
		if err != nil {
			return err
		}
		if f.any() && !strong(p.Methods) {
			return platform.Reauthenticate(freshFor)
		}
		tell, err := change(ctx, tx, f)
		if err != nil || tell == nil {
			return err
		}
		if err := s.sendMail(ctx, tx, mailRequest{kind: MailFactorChanged, user: p.Subject}); err != nil {
			return err
		}
		return s.tellAll(ctx, tx, p.Subject, byPrincipal(p), tell)
	}, store.Reserved)
}

// tellAll tells all organizations of a person.
func (s *Service) tellAll(ctx context.Context, tx store.CrossTx, user string, by auditActor, tell tellFunc) error {
	tenants, err := tenantsOf(ctx, tx, user)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		if err := tell(ctx, tx, tenant, by); err != nil {
			return err
		}
	}
	return nil
}

// tellFactor is the tellFunc of an added or removed factor.
func (s *Service) tellFactor(user string, kind FactorKind, done string) tellFunc {
	return func(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor) error {
		if err := s.record(ctx, tx, tenant, by, "factor."+done, user, map[string]string{"factor": string(kind)}); err != nil {
			return err
		}
		return s.emit(ctx, tx, tenant, "user.factor."+done, user, by.principal(), factorEvent{UserID: user, Factor: string(kind)})
	}
}

// ResetFactors removes all second factors of a person who has lost them, and ends
// their sessions. It is for the host, which has made sure who asks: no route leads
// here. An organization that requires a factor asks the person to add one at the
// next sign-in. Error: KindNotFound.
func (s *Service) ResetFactors(ctx context.Context, user string) error {
	err := s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		ok, err := changedOne(ctx, tx, `UPDATE user_accounts SET updated_at = ? WHERE id = ?`, micros(s.now()), user)
		if err != nil {
			return err
		}
		if !ok {
			return platform.NotFound("user")
		}
		f, err := factorsOf(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := removeTOTP(ctx, tx, user); err != nil {
			return err
		}
		if err := removePasskeys(ctx, tx, user); err != nil {
			return err
		}
		if err := removeRecoveryCodes(ctx, tx, user); err != nil {
			return err
		}
		if err := s.endSessions(ctx, tx, user, "", ""); err != nil {
			return err
		}
		if f.any() {
			if err := s.sendMail(ctx, tx, mailRequest{kind: MailFactorChanged, user: user}); err != nil {
				return err
			}
		}
		for _, kind := range f.kinds() {
			if kind == FactorRecoveryCode {
				continue
			}
			if err := s.tellAll(ctx, tx, user, auditActor{kind: platform.PrincipalSystem}, s.tellFactor(user, kind, "removed")); err != nil {
				return err
			}
		}
		return nil
	}, store.Reserved)
	if err == nil {
		s.changed(ctx, userKey(user))
	}
	return err
}
