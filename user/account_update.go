package user

import (
	"context"
	"database/sql"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

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
