package user

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// StepUp is what a signed-in person shows again before a sensitive act: the
// password, a second factor, or both. Who has a second factor shows one.
type StepUp struct {
	Password Secret
	FactorProof
}

// StepUpOptions is what a step-up can be made with.
type StepUpOptions struct {
	// Methods are the second factors of the person; without any it is the password.
	Methods []FactorKind
	// Passkey is what the browser's navigator.credentials.get takes, where a passkey
	// is one of Methods.
	Passkey json.RawMessage
}

// StepUpOptions tells the signed-in user what a step-up can be made with, and asks
// for a passkey where they have one.
func (s *Service) StepUpOptions(ctx context.Context, p platform.Principal) (out StepUpOptions, err error) {
	if p.Kind != platform.PrincipalUser {
		return StepUpOptions{}, errUserNeeded()
	}
	var f factors
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		f, err = factorsOf(ctx, tx, p.Subject)
		return err
	}, store.ReadOnly)
	out.Methods = f.kinds()
	if err == nil && f.passkeys > 0 && s.cfg.Passkeys != nil {
		out.Passkey, err = s.passkeyOptions(ctx, passkeyShow, p.Subject, p.Credential)
	}
	return out, err
}

// StepUp makes the sign-in of the present session recent: it has the time and the
// methods of now, and new secrets, so that acts of the level [platform.Access.Fresh]
// pass. The error is of [platform.KindUnauthenticated] for a wrong password
// ("invalid_credentials") or factor ("invalid_factor"), and for a password alone
// where the person has a second factor ("factor_required").
func (s *Service) StepUp(ctx context.Context, p platform.Principal, in StepUp) (SignedIn, error) {
	if p.Kind != platform.PrincipalUser {
		return SignedIn{}, errUserNeeded()
	}
	withFactor := in.Code != "" || in.RecoveryCode != "" || in.Passkey != nil
	if !withFactor && in.Password == "" {
		return SignedIn{}, field("/password", "one_of", "the password or a second factor")
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	var (
		methods []string
		changed int64 // when the password was set that is right, in µs
		shown   shownFactor
	)
	if in.Password != "" {
		if changed, err = s.checkOwnPassword(ctx, p.Subject, in.Password); err != nil {
			return SignedIn{}, s.badStepUp(ctx, p, err)
		}
		methods = append(methods, methodPassword)
	}
	if withFactor {
		if err := in.validate(); err != nil {
			return SignedIn{}, err
		}
		if shown, err = s.checkFactor(ctx, p.Subject, p.Credential, in.FactorProof); err != nil {
			return SignedIn{}, s.badStepUp(ctx, p, err)
		}
		methods = append(methods, shown.methods...)
	}
	var out SignedIn
	err = s.inScope(ctx, p.Tenant, func(ctx context.Context, tx writer) error {
		if ok, err := lockOpen(ctx, tx, p.Tenant, p.Subject); err != nil {
			return err
		} else if !ok {
			return errBadCredential()
		}
		if err := s.provesAgain(ctx, tx, p.Subject, changed, shown); err != nil {
			return err
		}
		r := renewal{session: p.Credential, user: p.Subject, tenant: p.Tenant}
		present, _, err := s.living(ctx, tx, r)
		if err != nil {
			return err
		}
		proved := present.signIn.with(s.now(), methods...)
		r.proof = &proved
		e, err := s.renew(ctx, tx, r)
		if err != nil {
			return err
		}
		by := byUser(p.Subject, e.session)
		if err := s.record(ctx, tx, p.Tenant, by, "session.stepped_up", e.session, nil); err != nil {
			return err
		}
		if shown.tell != nil {
			if err := shown.tell(ctx, tx, p.Tenant, by); err != nil {
				return err
			}
		}
		out, err = s.welcome(key, e)
		return err
	})
	if err != nil {
		return SignedIn{}, s.badStepUp(ctx, p, err)
	}
	s.changed(ctx, credentialKey(p.Credential))
	return out, nil
}

// provesAgain uses up what was shown, in a transaction that has locked the
// account.
func (s *Service) provesAgain(ctx context.Context, tx store.Queries, user string, changed int64, shown shownFactor) error {
	f, err := factorsOf(ctx, tx, user)
	if err != nil {
		return err
	}
	if f.any() && shown.spend == nil {
		return platform.Errorf(platform.KindUnauthenticated, "factor_required", "you have a second factor; show it")
	}
	if changed != 0 {
		if ok, err := changedOne(ctx, tx, `UPDATE user_passwords SET changed_at = changed_at WHERE user_id = ? AND changed_at = ?`, user, changed); err != nil {
			return err
		} else if !ok {
			return errBadLogin()
		}
	}
	if shown.spend == nil {
		return nil
	}
	return shown.spend(ctx, tx)
}

// badStepUp records a failed step-up as a failed sign-in, and returns its error.
func (s *Service) badStepUp(ctx context.Context, p platform.Principal, err error) error {
	var e *platform.Error
	if errors.As(err, &e) && (e.Code == "invalid_factor" || e.Code == "invalid_credentials") {
		wanted := p.Tenant
		if wanted == platform.NoTenant {
			wanted = ""
		}
		s.noteFailure(ctx, p.Subject, wanted)
	}
	return err
}

// checkOwnPassword checks the password of a signed-in user, under the throttle of
// the login, and returns when it was set, in µs.
func (s *Service) checkOwnPassword(ctx context.Context, user string, password Secret) (changed int64, err error) {
	var (
		email, hash string
		device      int64
	)
	err = s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT a.email, p.hash, p.changed_at, coalesce(d.last_used_at, 0)
			FROM user_accounts a JOIN user_passwords p ON p.user_id = a.id
			LEFT JOIN user_devices d ON d.user_id = a.id AND d.network = ? WHERE a.id = ?`, network(clientOf(ctx)), user).
			Scan(&email, &hash, &changed, &device)
	}, store.ReadOnly)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errBadLogin() // who has no password has none that is right
	}
	if err != nil {
		return 0, err
	}
	attempt, err := s.throttle.begin(ctx, try{email: email, client: clientOf(ctx), known: s.knownAt(device)})
	if err != nil {
		return 0, err
	}
	plain := normalizePassword(password)
	if len(plain) > maxPasswordBytes {
		plain = "" // nobody has it
	}
	same, _, err := s.passwords.verify(ctx, user, plain, hash)
	if err != nil {
		attempt.undo(ctx)
		return 0, err
	}
	if !same {
		return 0, errBadLogin()
	}
	return changed, attempt.succeeded(ctx)
}
