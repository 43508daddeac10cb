package user

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
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
