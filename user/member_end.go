package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// RemoveMember ends the membership of another person with their sessions, API
// keys and open invitations in the organization. The roles that the member has
// may not exceed the principal's own rights, and an owner must remain. One's own
// membership ends by [Service.LeaveOrganization].
func (s *Service) RemoveMember(ctx context.Context, p platform.Principal, id string) error {
	if err := s.Authorize(ctx, p, permMembersWrite); err != nil {
		return err
	}
	var m Member
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if m, err = memberByID(ctx, tx, p.Tenant, id); err != nil {
			return err
		}
		if m.UserID == p.Subject {
			return platform.Errorf(platform.KindForbidden, "own_membership", "nobody removes themselves: a person leaves by DELETE /v1/me/organizations/{id}")
		}
		if !rights.coverMember(m) {
			return errAboveOwn()
		}
		return s.endMembership(ctx, tx, p.Tenant, m, byPrincipal(p), "member.removed")
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, userKey(m.UserID), tenantKey(p.Tenant)) // which knows the teams of its members
	return nil
}

// LeaveOrganization ends the signed-in user's own membership in whichever of
// their organizations, with what [Service.RemoveMember] ends. The last owner
// cannot leave: KindConflict "last_owner". An organization that the user is not
// in is KindNotFound.
func (s *Service) LeaveOrganization(ctx context.Context, p platform.Principal, organization platform.TenantID) error {
	if p.Kind != platform.PrincipalUser {
		return errUserNeeded()
	}
	if organization.Validate() != nil { // a name that no organization can have
		return platform.NotFound("organization")
	}
	err := s.db.InTenant(ctx, organization, func(ctx context.Context, tx store.Tx) error {
		if err := lockOrganization(ctx, tx, organization); err != nil {
			return err
		}
		m, err := memberOf(ctx, tx, organization, p.Subject)
		if err != nil {
			return err
		}
		return s.endMembership(ctx, tx, organization, m, byPrincipal(p), "member.left")
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, userKey(p.Subject), tenantKey(organization))
	return nil
}

// endMembership ends a membership that leaves the organization with an owner,
// and what hangs on it, in a transaction that has locked the organization.
func (s *Service) endMembership(ctx context.Context, tx writer, tenant platform.TenantID, m Member, by auditActor, action string) error {
	if err := s.removeMembership(ctx, tx, tenant, m, by, action); err != nil {
		return err
	}
	return ownerRemains(ctx, tx, tenant)
}

// removeMembership is endMembership for whoever has seen to the owners.
func (s *Service) removeMembership(ctx context.Context, tx writer, tenant platform.TenantID, m Member, by auditActor, action string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM user_memberships WHERE tenant = ? AND id = ?`, string(tenant), m.ID); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO user_former_members (tenant, user_id, left_at) VALUES (?, ?, ?)
		ON CONFLICT (tenant, user_id) DO UPDATE SET left_at = excluded.left_at`, string(tenant), m.UserID, micros(s.now())); err != nil {
		return err
	}
	if err := s.endSessions(ctx, tx, m.UserID, tenant, ""); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE user_api_keys SET revoked_at = ? WHERE tenant = ? AND user_id = ? AND revoked_at = 0`,
		micros(s.now()), string(tenant), m.UserID); err != nil {
		return err
	}
	if err := s.revokeOffers(ctx, tx, tenant, by, offers{user: m.UserID}); err != nil {
		return err
	}
	if err := s.record(ctx, tx, tenant, by, action, m.ID, map[string]string{"user": m.UserID}); err != nil {
		return err
	}
	return s.emit(ctx, tx, tenant, "user.member.removed", m.UserID, by.principal(), memberEvent{MembershipID: m.ID, UserID: m.UserID})
}

// memberOf returns the membership of a user; without one the organization is
// none that they know of.
func memberOf(ctx context.Context, tx store.Queries, tenant platform.TenantID, user string) (Member, error) {
	m, err := scanMember(tx.QueryRow(ctx, `SELECT `+memberColumns+memberTables+` AND m.user_id = ?`, string(tenant), user))
	return m, notFound(err, "organization")
}

// ownerRemains looks after the change, in a transaction that has locked the
// organization.
func ownerRemains(ctx context.Context, tx store.Queries, tenant platform.TenantID) error {
	owners, err := ownersOf(ctx, tx, tenant)
	if err == nil && owners == 0 {
		err = errLastOwner()
	}
	return err
}

func errLastOwner() error {
	return platform.Errorf(platform.KindConflict, "last_owner",
		"an organization keeps at least one active owner: transfer it, or delete it")
}

// ownersOf counts the active owners.
func ownersOf(ctx context.Context, tx store.Queries, tenant platform.TenantID) (owners int, err error) {
	err = tx.QueryRow(ctx, `SELECT count(*) FROM user_memberships m JOIN user_accounts a ON a.id = m.user_id
		WHERE m.tenant = ? AND m.status = 'active' AND a.status = 'active' AND m.roles LIKE '%"`+RoleOwner+`"%'`, string(tenant)).Scan(&owners)
	return owners, err
}
