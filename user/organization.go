package user

import (
	"context"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Organization is a tenant.
type Organization struct {
	ID        platform.TenantID
	Name      string
	Status    Status
	CreatedAt time.Time
	UpdatedAt time.Time
	// RequireFactor says that members need a session with a second factor.
	RequireFactor bool
	// SessionIdle and SessionMax are the limits that it sets to sessions; zero is
	// the host's. See [OrganizationChange].
	SessionIdle, SessionMax time.Duration
}

// insertOrganization makes an organization that the user creates and owns, in a
// transaction of the new tenant. The caller counts it for the user.
func (s *Service) insertOrganization(ctx context.Context, tx store.Tx, id platform.TenantID, name, user string) (Organization, string, error) {
	now := fromMicros(micros(s.now()))
	org := Organization{ID: id, Name: name, Status: Active, CreatedAt: now, UpdatedAt: now}
	if _, err := tx.Exec(ctx, `INSERT INTO user_organizations (tenant, name, status, authz_version, created_at, updated_at, created_by)
		VALUES (?, ?, ?, 1, ?, ?, ?)`, string(id), name, string(Active), micros(now), micros(now), user); err != nil {
		return Organization{}, "", err
	}
	membership := s.newID("mem")
	return org, membership, insertMembership(ctx, tx, id, membership, user, []string{RoleOwner}, now)
}

func insertMembership(ctx context.Context, tx store.Tx, tenant platform.TenantID, id, user string, roles []string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO user_memberships (tenant, id, user_id, roles, status, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		string(tenant), id, user, encodeList(roles), string(Active), micros(now), micros(now))
	return err
}

// emitFounded tells of a new organization and its first member.
func (s *Service) emitFounded(ctx context.Context, tx store.Tx, org Organization, membership string, by platform.Principal) error {
	user := by.Subject
	if err := s.emit(ctx, tx, org.ID, "user.organization.created", string(org.ID), by,
		organizationEvent{Organization: string(org.ID), Name: org.Name, UserID: user}); err != nil {
		return err
	}
	return s.emit(ctx, tx, org.ID, "user.member.joined", user, by,
		memberEvent{MembershipID: membership, UserID: user, Roles: []string{RoleOwner}})
}

// CreateOrganization makes another organization, owned by the signed-in user.
// [Service.Switch] then leads there. The user may create as many as the plan of
// p's tenant says ([platform.Limits].Organizations), that of the sign-up among
// them; the error is then [platform.OverLimit].
func (s *Service) CreateOrganization(ctx context.Context, p platform.Principal, name string, keys ...*platform.IdempotencyKey) (Organization, error) {
	if p.Kind != platform.PrincipalUser {
		return Organization{}, errUserNeeded()
	}
	name, ok := cleanName(name)
	if !ok {
		return Organization{}, platform.Invalid(nameField("/name"))
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant)
	if err != nil {
		return Organization{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "organizations.create", name)
	if err != nil {
		return Organization{}, err
	}
	for range madeTries {
		org, err := s.createOrganization(ctx, p, name, limits.Organizations, call)
		if !errors.Is(err, errMadeMeanwhile) {
			return org, err
		}
	}
	return Organization{}, platform.Errorf(platform.KindConflict, "contended", "others make organizations for this user at the same time; try again")
}

// madeTries is how often a new organization with a key is tried that meets others.
const madeTries = 10

func (s *Service) createOrganization(ctx context.Context, p platform.Principal, name string, limit int64, call *idempotency.Call) (Organization, error) {
	made := int64(-1) // not asked
	id := platform.TenantID(s.newID("org"))
	if call != nil {
		earlier, n, err := s.madeBy(ctx, call, maker{id: p.Subject})
		if err != nil {
			return Organization{}, err
		}
		if made = n; earlier != "" {
			id = earlier
		}
	}
	var org Organization
	err := s.db.InTenant(ctx, id, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &org, func() error {
			if err := takeOrganization(ctx, tx, p.Subject, limit, made); err != nil {
				return err
			}
			var (
				membership string
				err        error
			)
			if org, membership, err = s.insertOrganization(ctx, tx, id, name, p.Subject); err != nil {
				return err
			}
			if err := s.record(ctx, tx, id, byPrincipal(p), "organization.created", string(id), nil); err != nil {
				return err
			}
			return s.emitFounded(ctx, tx, org, membership, p)
		})
	})
	return org, err
}

const organizationColumns = `o.tenant, o.name, o.status, o.created_at, o.updated_at, o.require_factor = 1, o.session_idle, o.session_max`

func scanOrganization(row scanner) (Organization, error) {
	var (
		o                               Organization
		created, updated, idle, longest int64
	)
	err := row.Scan(&o.ID, &o.Name, &o.Status, &created, &updated, &o.RequireFactor, &idle, &longest)
	o.SessionIdle, o.SessionMax = time.Duration(idle)*time.Microsecond, time.Duration(longest)*time.Microsecond
	o.CreatedAt, o.UpdatedAt = fromMicros(created), fromMicros(updated)
	return o, err
}

// Organizations returns up to limit of those that the signed-in user is an
// active member of, by id, and the cursor for more.
func (s *Service) Organizations(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Organization, string, error) {
	if p.Kind != platform.PrincipalUser {
		return nil, "", errUserNeeded()
	}
	const list = "organizations.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var all []Organization
	err = s.db.AcrossTenants(ctx, s.cross.organizations, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		all, err = queryAll(ctx, tx, scanOrganization, `SELECT `+organizationColumns+` FROM user_memberships m
			JOIN user_organizations o ON o.tenant = m.tenant
			WHERE m.user_id = ? AND m.status = 'active' AND m.tenant > ? ORDER BY m.tenant LIMIT ?`,
			p.Subject, after, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	all, next := page.Cut(list, all, pageLimit(limit), func(o Organization) []string { return []string{string(o.ID)} })
	return all, next, nil
}

// Organization returns the principal's organization.
func (s *Service) Organization(ctx context.Context, p platform.Principal) (Organization, error) {
	return readAs(ctx, s, p, permOrganizationRead, func(ctx context.Context, tx store.Tx) (Organization, error) {
		return organizationOf(ctx, tx, p.Tenant)
	})
}

func organizationOf(ctx context.Context, tx store.Queries, tenant platform.TenantID) (Organization, error) {
	org, err := scanOrganization(tx.QueryRow(ctx, `SELECT `+organizationColumns+` FROM user_organizations o WHERE o.tenant = ?`, string(tenant)))
	return org, notFound(err, "organization")
}

// OrganizationChange is what an organization's owners and admins change of it; nil
// leaves a part as it is.
type OrganizationChange struct {
	Name *string
	// RequireFactor is the policy for second factors. It holds for every session of
	// the organization, those from before included, and not for API keys. Changing
	// it needs a recent sign-in, and turning it on one with a second factor.
	RequireFactor *bool
	// SessionIdle ends what a device may do in the organization after so long
	// without use; SessionMax so long after the sign-in. They are from 5 minutes,
	// and at least Config.AccessTTL, to Config.RefreshIdle and Config.RefreshMax;
	// zero is those. They act at once, on sessions that there are too, and changing
	// them needs a recent sign-in.
	SessionIdle, SessionMax *time.Duration
}

// UpdateOrganization changes the principal's organization.
func (s *Service) UpdateOrganization(ctx context.Context, p platform.Principal, in OrganizationChange) (Organization, error) {
	if err := s.Authorize(ctx, p, permOrganizationWrite); err != nil {
		return Organization{}, err
	}
	var name string
	if in.Name != nil {
		var ok bool
		if name, ok = cleanName(*in.Name); !ok {
			return Organization{}, platform.Invalid(nameField("/name"))
		}
	}
	if err := s.checkLimits(in); err != nil {
		return Organization{}, err
	}
	limited := in.SessionIdle != nil || in.SessionMax != nil
	if limited || in.RequireFactor != nil {
		if err := s.recent(p); err != nil {
			return Organization{}, err
		}
	}
	var org Organization
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if in.Name != nil {
			if err := s.renameOrganization(ctx, tx, p, name); err != nil {
				return err
			}
		}
		if in.RequireFactor != nil {
			if err := s.setFactorPolicy(ctx, tx, p, *in.RequireFactor); err != nil {
				return err
			}
		}
		if limited {
			if err := s.limitSessions(ctx, tx, p, in); err != nil {
				return err
			}
		}
		var err error
		org, err = organizationOf(ctx, tx, p.Tenant)
		return err
	})
	if err == nil && (limited || in.RequireFactor != nil) {
		s.changed(ctx, tenantKey(p.Tenant))
	}
	return org, err
}

func (s *Service) renameOrganization(ctx context.Context, tx store.Tx, p platform.Principal, name string) error {
	if _, err := tx.Exec(ctx, `UPDATE user_organizations SET name = ?, updated_at = ? WHERE tenant = ?`, name, micros(s.now()), string(p.Tenant)); err != nil {
		return err
	}
	return s.record(ctx, tx, p.Tenant, byPrincipal(p), "organization.renamed", string(p.Tenant), nil)
}
