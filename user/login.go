package user

import (
	"context"
	"database/sql"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// LogIn is what a user gives to sign in.
type LogIn struct {
	Email    string
	Password Secret
	// Organization is the one to sign in to; empty is the one where the user was
	// last, else the one that they joined first, of those that are open to them.
	// Who has none signs in to none.
	Organization platform.TenantID
	// Session is how the client holds the session; empty is [TokenSession].
	Session SessionKind
}

// account is what a login needs to know.
type account struct {
	id      string
	hash    string
	changed int64 // when the password was set, in µs
	status  Status
	// device is when the caller's network was last used, in µs; 0 is never.
	device int64
}

// LogIn checks a password and opens a session. An unknown e-mail, a wrong
// password and a suspended account give the same answer in the same time. It
// is refused with [platform.KindLimited] after too many failures and with
// [platform.KindUnavailable] when too many passwords wait to be hashed. Where
// [Breaches].AtSignIn says so, a right password that is known from a breach is
// [platform.KindForbidden] "password_breached".
//
// A failed login of a known user is recorded in the audit of the organization
// that it was for, shortly after the answer, so that the writing cannot be
// timed. If the process dies in between, that record is lost.
func (s *Service) LogIn(ctx context.Context, in LogIn) (SignedIn, error) {
	// What is no address is treated as an address that nobody has.
	email, ok := normalizeEmail(in.Email)
	known := email
	if !ok {
		known = ""
	}
	a, err := s.account(ctx, known)
	if err != nil {
		return SignedIn{}, err
	}
	device := "" // a stranger's
	if s.knownAt(a.device) {
		device = a.id
	}
	password := normalizePassword(in.Password)
	attempt, err := s.throttle.begin(ctx, try{
		email: email, organization: string(in.Organization), password: password, client: clientOf(ctx), known: device != "",
	})
	if err != nil {
		return SignedIn{}, err
	}
	ok, outdated, err := s.passwords.verify(ctx, device, password, a.hash)
	if err != nil {
		attempt.undo(ctx)
		return SignedIn{}, err
	}
	if !ok || a.status != Active {
		if a.id != "" {
			s.noteFailure(ctx, a.id, in.Organization)
		} else {
			s.noteStranger(ctx)
		}
		return SignedIn{}, errBadLogin()
	}
	if err := attempt.succeeded(ctx); err != nil {
		return SignedIn{}, err
	}
	if err := s.refuseBreached(ctx, password); err != nil {
		return SignedIn{}, err
	}
	var rehashed string
	if outdated {
		if rehashed, err = s.passwords.hash(ctx, a.id, password); err != nil {
			return SignedIn{}, err
		}
	}
	return s.admit(ctx, arrival{user: a.id, wanted: in.Organization, signIn: s.byPassword(), kind: in.Session}, func(ctx context.Context, tx writer) error {
		// A change of the password ends all sessions; one that was opened with
		// the old password while it was hashed must not be left.
		var changed int64
		if err := tx.QueryRow(ctx, `SELECT changed_at FROM user_passwords WHERE user_id = ?`, a.id).Scan(&changed); err != nil {
			return err
		}
		if changed != a.changed {
			return errBadLogin()
		}
		if rehashed == "" {
			return nil
		}
		_, err := tx.Exec(ctx, `UPDATE user_passwords SET hash = ? WHERE user_id = ? AND hash = ?`, rehashed, a.id, a.hash)
		return err
	})
}

// account returns the account of an e-mail, or an empty one. Whether it is there
// or not, it is one query.
func (s *Service) account(ctx context.Context, email string) (account, error) {
	var a account
	err := s.db.AcrossTenants(ctx, s.cross.signIn, func(ctx context.Context, tx store.CrossTx) error {
		err := tx.QueryRow(ctx, `SELECT a.id, a.status, p.hash, p.changed_at, coalesce(d.last_used_at, 0)
			FROM user_accounts a JOIN user_passwords p ON p.user_id = a.id
			LEFT JOIN user_devices d ON d.user_id = a.id AND d.network = ? WHERE a.id = coalesce(
				(SELECT user_id FROM user_emails WHERE email = ? AND verified_at > 0), (SELECT id FROM user_accounts WHERE email = ?))`,
			network(clientOf(ctx)), email, email).
			Scan(&a.id, &a.status, &a.hash, &a.changed, &a.device)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}, store.ReadOnly)
	return a, err
}

// openTo returns the organization of that id if it is open to the user. Where none
// is named it is the one where the user was last, or the first that they joined, of
// those that are open to them, or [platform.NoTenant]; only then it crosses tenants.
func (s *Service) openTo(ctx context.Context, user string, wanted platform.TenantID) (platform.TenantID, error) {
	if wanted != "" {
		return wanted, s.open(ctx, user, wanted)
	}
	found, rank := platform.NoTenant, 0
	err := s.db.AcrossTenants(ctx, s.cross.signIn, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT m.tenant, CASE WHEN m.tenant = a.last_organization THEN 0 ELSE 1 END AS rank
			FROM user_memberships m JOIN user_organizations o ON o.tenant = m.tenant JOIN user_accounts a ON a.id = m.user_id
			WHERE m.user_id = ? AND m.status = 'active' AND o.status = 'active'
			ORDER BY rank, m.created_at, m.id LIMIT 1`, user).Scan(&found, &rank)
	}, store.ReadOnly)
	if errors.Is(err, sql.ErrNoRows) {
		return platform.NoTenant, nil
	}
	return found, err
}

// open refuses an organization that is not open to the user.
func (s *Service) open(ctx context.Context, user string, organization platform.TenantID) error {
	if organization.Validate() != nil { // a name that no organization can have
		return errNotMember()
	}
	var one int
	err := store.ReadRow(ctx, s.db, organization, `SELECT 1 FROM user_memberships m JOIN user_organizations o ON o.tenant = m.tenant
		WHERE m.tenant = ? AND m.user_id = ? AND m.status = 'active' AND o.status = 'active'`, []any{string(organization), user}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return errNotMember()
	}
	return err
}

func errNotMember() error {
	return platform.Errorf(platform.KindForbidden, "not_a_member", "no such organization is open to this user")
}
