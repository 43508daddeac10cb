package user

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// SignUp is what a new user gives.
type SignUp struct {
	Email string
	// Password has 8 to 256 characters.
	Password Secret
	Name     string
	// Organization is the name of the organization that is made for them.
	Organization string
	// Session is how the client holds the session; empty is [TokenSession].
	Session SessionKind
}

// SignedUp is what a sign-up made.
type SignedUp struct {
	User         User
	Organization Organization
	SignedIn
}

// SignUp makes a user, an organization that the user owns, and a session, in
// one transaction. An e-mail that has an account is [platform.KindConflict]
// "email_taken": a sign-up that answers with tokens at once cannot hide that an
// address is known. The rate limit of the gateway bounds how fast addresses
// can be tried; the login tells nothing. An idempotency key belongs to the address:
// a second call with it and the same input returns the first tokens.
func (s *Service) SignUp(ctx context.Context, in SignUp, keys ...*platform.IdempotencyKey) (SignedUp, error) {
	if err := s.signUpIs(SignUpOpen); err != nil {
		return SignedUp{}, err
	}
	checked, err := s.checkSignUp(ctx, in)
	if err != nil {
		return SignedUp{}, err
	}
	email := checked.email
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), platform.Principal{Subject: email}, "auth.signup",
		[]string{email, checked.password, checked.name, checked.organization, string(checked.kind)})
	if err != nil {
		return SignedUp{}, err
	}
	if out, found, err := s.signedUp(ctx, call, email); err != nil || found {
		return out, err
	}
	out, err := s.signUp(ctx, checked, call)
	if call != nil && errors.Is(err, errEmailTaken()) { // perhaps by a call with this key, meanwhile
		if out, found, err := s.signedUp(ctx, call, email); err != nil || found {
			return out, err
		}
	}
	return out, err
}

// checkSignUp brings a sign-up to its normal form.
func (s *Service) checkSignUp(ctx context.Context, in SignUp) (signUp, error) {
	var fields []platform.Field
	email, ok := normalizeEmail(in.Email)
	if !ok {
		fields = append(fields, emailField())
	}
	name, ok := cleanName(in.Name)
	if !ok {
		fields = append(fields, nameField("/name"))
	}
	orgName, ok := cleanName(in.Organization)
	if !ok {
		fields = append(fields, nameField("/organization"))
	}
	password := normalizePassword(in.Password)
	if f, err := s.checkPassword(ctx, password, email); err != nil {
		return signUp{}, err
	} else if f != nil {
		fields = append(fields, *f)
	}
	if fields != nil {
		return signUp{}, platform.Invalid(fields...)
	}
	return signUp{email: email, password: password, name: name, organization: orgName, kind: in.Session}, nil
}

func errEmailTaken() error {
	return platform.Errorf(platform.KindConflict, "email_taken", "there is an account with this e-mail address")
}

// signUp is what a new user gives, checked and in its normal form.
type signUp struct {
	email, password, name, organization, locale string
	kind                                        SessionKind
	// spend uses up what proves the address; nil is no proof.
	spend func(context.Context, store.Tx) error
}

func (s *Service) signUp(ctx context.Context, in signUp, call *idempotency.Call) (SignedUp, error) {
	hash, err := s.passwords.hash(ctx, "", in.password)
	if err != nil {
		return SignedUp{}, err
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return SignedUp{}, err
	}
	tenant := platform.TenantID(s.newID("org"))
	var out SignedUp
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if _, err := call.Begin(ctx, tx, &keptSignUp{}); err != nil { // the tenant is new: there is no answer in it
			return err
		}
		now := fromMicros(micros(s.now()))
		u := User{ID: s.newID("usr"), Email: in.email, Name: in.name, Locale: in.locale, CreatedAt: now, UpdatedAt: now}
		if in.spend != nil {
			if err := in.spend(ctx, tx); err != nil {
				return err
			}
			u.EmailVerifiedAt = now
		}
		if h, err := holderOf(ctx, tx, u.Email); err != nil {
			return err
		} else if h.user != "" { // one of several addresses of somebody, too
			return errEmailTaken()
		}
		made, err := changedOne(ctx, tx, `INSERT INTO user_accounts (id, email, name, status, created_at, updated_at, organizations_created, email_verified_at, locale)
			VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT (email) DO NOTHING`,
			u.ID, u.Email, u.Name, string(Active), micros(now), micros(now), micros(u.EmailVerifiedAt), u.Locale)
		if err != nil {
			return err
		}
		if !made {
			return errEmailTaken()
		}
		if _, err := tx.Exec(ctx, `INSERT INTO user_passwords (user_id, hash, changed_at) VALUES (?, ?, ?)`, u.ID, hash, micros(now)); err != nil {
			return err
		}
		org, membership, err := s.insertOrganization(ctx, tx, tenant, in.organization, u.ID)
		if err != nil {
			return err
		}
		entered, err := s.enter(ctx, tx, tenant, arrival{user: u.ID, signIn: s.byPassword(), kind: in.kind})
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, tenant, byUser(u.ID, entered.session), "user.signed_up", u.ID, nil); err != nil {
			return err
		}
		if err := s.emit(ctx, tx, tenant, "user.signed_up", u.ID, byPerson(u.ID), signedUpEvent{
			UserID: u.ID, Email: u.Email, Name: u.Name, Organization: string(tenant),
		}); err != nil {
			return err
		}
		if err := s.emitFounded(ctx, tx, org, membership, byPerson(u.ID)); err != nil {
			return err
		}
		in, err := s.welcome(key, entered)
		if err != nil {
			return err
		}
		out = SignedUp{User: u, Organization: org, SignedIn: in}
		return call.Keep(ctx, tx, keptSignUp{u, org, keepSignedIn(in)})
	})
	if err != nil {
		return SignedUp{}, err
	}
	return out, nil
}
