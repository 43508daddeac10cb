package user

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// User is a person with an account. One user can be in many organizations.
type User struct {
	ID string
	// Email is the primary address, in lower case; the person may have more (see
	// [Service.Emails]). It is "" where another person has proved that it is
	// theirs.
	Email     string
	Name      string
	CreatedAt time.Time
	UpdatedAt time.Time
	// EmailVerifiedAt is when the user first proved that mail to Email reaches
	// them; zero is not yet. A sign-up proves nothing, accepting an invitation
	// does: its token is in the mail alone.
	EmailVerifiedAt time.Time
	// Locale is the language that mails to the user are in, as a BCP 47 tag such
	// as "de-AT"; "" is not known.
	Locale string
}

// Status is whether a user, an organization or a membership is in use.
type Status string

// The statuses.
const (
	Active Status = "active"
	// Suspended is kept but may do nothing.
	Suspended Status = "suspended"
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

// Profile is a user as they see themselves.
type Profile struct {
	User User
	// Organization is the one that the credential names; "" is none.
	Organization platform.TenantID
	Roles        []string
	// Scopes are those of the API key that asks; nil for a session.
	Scopes []string
}

// Me returns the user that the call is made for.
func (s *Service) Me(ctx context.Context, p platform.Principal) (Profile, error) {
	var u User
	err := s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		u, err = userByID(ctx, tx, p.Subject)
		return err
	}, store.ReadOnly)
	p = p.Clone()
	me := Profile{User: u, Organization: p.Tenant, Roles: p.Roles, Scopes: p.Scopes}
	if p.Tenant == platform.NoTenant {
		me.Organization = ""
	}
	return me, err
}

// MeChange is what a user changes of their account; nil leaves a part as it is.
type MeChange struct {
	Name *string
	// Password is the new one; it needs CurrentPassword and ends all other
	// sessions.
	Password        *Secret
	CurrentPassword Secret
}

// UpdateMe changes the account of the signed-in user. A new password needs a
// recent sign-in: who has a second factor has shown it then, see [Service.StepUp].
func (s *Service) UpdateMe(ctx context.Context, p platform.Principal, in MeChange) (User, error) {
	if p.Kind != platform.PrincipalUser {
		return User{}, errUserNeeded()
	}
	var name string
	if in.Name != nil {
		var ok bool
		if name, ok = cleanName(*in.Name); !ok {
			return User{}, platform.Invalid(nameField("/name"))
		}
	}
	var (
		hash string
		old  int64
	)
	if in.Password != nil {
		if err := s.recent(p); err != nil {
			return User{}, err
		}
		var err error
		if hash, old, err = s.newPassword(ctx, p.Subject, in); err != nil {
			return User{}, err
		}
	}
	change := accountChange{p: p, name: name, named: in.Name != nil, hash: hash, old: old}
	var (
		u   User
		err error
	)
	if p.Tenant == platform.NoTenant {
		err = s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
			tenants, err := tenantsOf(ctx, tx, p.Subject)
			if err != nil {
				return err
			}
			u, err = s.changeAccount(ctx, tx, tenants, change)
			return err
		}, store.Reserved)
	} else {
		err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
			u, err = s.changeAccount(ctx, tx, []platform.TenantID{p.Tenant}, change)
			return err
		}, store.Reserved)
	}
	if err == nil && in.Password != nil {
		s.changed(ctx, userKey(p.Subject))
	}
	return u, err
}

// accountChange is what UpdateMe writes.
type accountChange struct {
	p     platform.Principal
	name  string
	named bool
	hash  string // "" leaves the password as it is
	old   int64  // when the password was set that proved the change, in µs
}

// changeAccount changes the account of a person and tells the tenants of it: that
// of the credential, or all that the person is in where it names none.
func (s *Service) changeAccount(ctx context.Context, tx writer, tenants []platform.TenantID, c accountChange) (User, error) {
	u, err := scanUser(tx.QueryRow(ctx, `UPDATE user_accounts SET name = coalesce(?, name), updated_at = ? WHERE id = ? RETURNING `+userColumns,
		sql.NullString{String: c.name, Valid: c.named}, micros(s.now()), c.p.Subject))
	if err != nil {
		return u, notFound(err, "user")
	}
	if c.hash != "" {
		// Of two changes that were proved with the same password one counts: the
		// other must not undo it.
		if ok, err := changedOne(ctx, tx, `UPDATE user_passwords SET hash = ?, changed_at = ? WHERE user_id = ? AND changed_at = ?`,
			c.hash, micros(u.UpdatedAt), u.ID, c.old); err != nil {
			return u, err
		} else if !ok {
			return u, platform.Errorf(platform.KindConflict, "password_changed", "the password was changed at this moment")
		}
		if err := s.endSessions(ctx, tx, u.ID, "", c.p.Credential); err != nil {
			return u, err
		}
		if err := s.forgetDevices(ctx, tx, u.ID); err != nil {
			return u, err
		}
		if err := s.passwordReplaced(ctx, tx, u.ID, ""); err != nil {
			return u, err
		}
	}
	for _, tenant := range tenants {
		if err := s.tellChange(ctx, tx, tenant, c, u.ID); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (s *Service) tellChange(ctx context.Context, tx writer, tenant platform.TenantID, c accountChange, user string) error {
	if c.named {
		if err := s.record(ctx, tx, tenant, byPrincipal(c.p), "user.renamed", user, nil); err != nil {
			return err
		}
	}
	if c.hash == "" {
		return nil
	}
	if err := s.record(ctx, tx, tenant, byPrincipal(c.p), "password.changed", user, nil); err != nil {
		return err
	}
	return s.emit(ctx, tx, tenant, "user.password.changed", user, c.p, userEvent{UserID: user})
}

// tenantsOf returns the organizations that a user is in, in the order in which
// transactions lock them.
func tenantsOf(ctx context.Context, tx store.Queries, user string) ([]platform.TenantID, error) {
	return queryAll(ctx, tx, func(row scanner) (t platform.TenantID, err error) { return t, row.Scan(&t) },
		`SELECT tenant FROM user_memberships WHERE user_id = ? ORDER BY tenant`, user)
}

// newPassword checks the current password, under the throttle of the login,
// and returns the hash of the new one, and when the current one was set, in µs.
func (s *Service) newPassword(ctx context.Context, user string, in MeChange) (hash string, changed int64, err error) {
	var (
		email, old string
		device     int64
	)
	err = s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT a.email, p.hash, p.changed_at, coalesce(d.last_used_at, 0)
			FROM user_accounts a JOIN user_passwords p ON p.user_id = a.id
			LEFT JOIN user_devices d ON d.user_id = a.id AND d.network = ? WHERE a.id = ?`, network(clientOf(ctx)), user).
			Scan(&email, &old, &changed, &device)
	}, store.ReadOnly)
	if err != nil {
		return "", 0, notFound(err, "user")
	}
	password := normalizePassword(*in.Password)
	if f, err := s.checkPassword(ctx, password, email); err != nil {
		return "", 0, err
	} else if f != nil {
		return "", 0, platform.Invalid(*f)
	}
	attempt, err := s.throttle.begin(ctx, try{email: email, client: clientOf(ctx), known: s.knownAt(device)})
	if err != nil {
		return "", 0, err
	}
	same, _, err := s.passwords.verify(ctx, user, normalizePassword(in.CurrentPassword), old)
	if err != nil {
		attempt.undo(ctx)
		return "", 0, err
	}
	if !same {
		return "", 0, field("/current_password", "wrong", "the current password is needed to set a new one")
	}
	if err := attempt.succeeded(ctx); err != nil {
		return "", 0, err
	}
	hash, err = s.passwords.hash(ctx, user, password)
	return hash, changed, err
}

// SetUserStatus suspends a user everywhere, or lifts that. It is for the host:
// no route leads here. A suspended user's tokens and keys are refused at once, and
// their open invitations are revoked.
func (s *Service) SetUserStatus(ctx context.Context, id string, status Status) error {
	if status != Active && status != Suspended {
		return field("/status", "unknown", "active or suspended")
	}
	err := s.db.AcrossTenants(ctx, s.cross.suspend, func(ctx context.Context, tx store.CrossTx) error {
		ok, err := changedOne(ctx, tx, `UPDATE user_accounts SET status = ?, updated_at = ? WHERE id = ?`, string(status), micros(s.now()), id)
		if err != nil {
			return err
		}
		if !ok {
			return platform.NotFound("user")
		}
		tenants, err := tenantsOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if status == Suspended {
			for _, t := range tenants { // no invitation is made while theirs end
				if err := lockOrganization(ctx, tx, t); err != nil {
					return err
				}
			}
			if err := s.endSessions(ctx, tx, id, "", ""); err != nil {
				return err
			}
		}
		by := auditActor{kind: platform.PrincipalSystem}
		if err := s.record(ctx, tx, platform.NoTenant, by, "user.status_changed", id, map[string]string{"status": string(status)}); err != nil {
			return err
		}
		for _, t := range tenants {
			if err := s.record(ctx, tx, t, by, "user.status_changed", id, map[string]string{"status": string(status)}); err != nil {
				return err
			}
			if status == Suspended {
				if err := s.revokeOffers(ctx, tx, t, by, offers{user: id}); err != nil {
					return err
				}
			}
		}
		return nil
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, userKey(id))
	return nil
}

const userColumns = `id, email, name, created_at, updated_at, email_verified_at, locale`

func scanUser(row scanner) (User, error) {
	var (
		u                          User
		created, updated, verified int64
	)
	err := row.Scan(&u.ID, &u.Email, &u.Name, &created, &updated, &verified, &u.Locale)
	u.CreatedAt, u.UpdatedAt = fromMicros(created), fromMicros(updated)
	if u.Email == u.ID { // see yieldPrimary
		u.Email = ""
	}
	if verified != 0 {
		u.EmailVerifiedAt = fromMicros(verified)
	}
	return u, err
}

func userByID(ctx context.Context, tx store.Queries, id string) (User, error) {
	u, err := scanUser(tx.QueryRow(ctx, `SELECT `+userColumns+` FROM user_accounts WHERE id = ?`, id))
	return u, notFound(err, "user")
}

// notFound gives the absence of a row its kind.
func notFound(err error, noun string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return platform.NotFound(noun)
	}
	return err
}
