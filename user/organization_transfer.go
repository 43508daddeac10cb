package user

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Transfer hands an organization from the owner who calls to another member.
type Transfer struct {
	// Member is the id of the membership of the new owner, "mem_…".
	Member string
	// Roles are those that the old owner has from then on, instead of theirs;
	// none is "admin". "owner" is not among them.
	Roles []string
	// Leave ends the old owner's membership; Roles is then empty.
	Leave bool
}

// TransferOrganization makes an active member an owner and takes the role from
// the owner who calls, in one transaction: at no time there is no owner, and of
// parallel transfers by one owner one counts. It returns the new owner's
// membership. The caller must be a signed-in owner who has signed in within 15
// minutes.
//
// Errors: [platform.Reauthenticate]; KindForbidden "owner_required"; KindNotFound
// for another's member; KindConflict "member_inactive"; KindInvalid.
func (s *Service) TransferOrganization(ctx context.Context, p platform.Principal, in Transfer, keys ...*platform.IdempotencyKey) (Member, error) {
	if err := s.mayOwn(ctx, p); err != nil {
		return Member{}, err
	}
	switch {
	case in.Leave && len(in.Roles) > 0:
		return Member{}, field("/roles", "forbidden", "who leaves keeps no role")
	case len(in.Roles) == 0:
		in.Roles = []string{RoleAdmin}
	}
	if err := checkRoleNames(in.Roles); err != nil {
		return Member{}, err
	}
	if slices.Contains(in.Roles, RoleOwner) {
		return Member{}, field("/roles", "forbidden", "the role owner goes to the other member")
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "organizations.transfer", in)
	if err != nil {
		return Member{}, err
	}
	var heir Member
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &heir, func() (err error) {
			heir, err = s.transfer(ctx, tx, p, in)
			return err
		})
	}, store.Reserved)
	if err != nil {
		return Member{}, err
	}
	s.changed(ctx, userKey(p.Subject), userKey(heir.UserID), tenantKey(p.Tenant))
	return heir, nil
}

func (s *Service) transfer(ctx context.Context, tx store.Tx, p platform.Principal, in Transfer) (heir Member, err error) {
	own, rights, err := s.lockOwner(ctx, tx, p)
	if err != nil {
		return heir, err
	}
	if err := rights.known("/roles", in.Roles); err != nil {
		return heir, err
	}
	if heir, err = memberByID(ctx, tx, p.Tenant, in.Member); err != nil {
		return heir, err
	}
	if heir.UserID == p.Subject {
		return heir, field("/member", "own", "the membership of another person")
	}
	if usable, err := rolesOf(ctx, tx, p.Tenant, heir.UserID); err != nil {
		return heir, err
	} else if usable == nil {
		return heir, platform.Errorf(platform.KindConflict, "member_inactive", "the member or their account is not active")
	}
	if err := s.setRoles(ctx, tx, p, &heir, append([]string{RoleOwner}, heir.Roles...)); err != nil {
		return heir, err
	}
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "organization.transferred", string(p.Tenant),
		map[string]string{"from": own.UserID, "to": heir.UserID}); err != nil {
		return heir, err
	}
	if in.Leave {
		return heir, s.endMembership(ctx, tx, p.Tenant, own, byPrincipal(p), "member.left")
	}
	return heir, s.setRoles(ctx, tx, p, &own, in.Roles)
}

// setRoles gives a member other roles; the event tells of them.
func (s *Service) setRoles(ctx context.Context, tx store.Tx, p platform.Principal, m *Member, roles []string) error {
	m.Roles, m.UpdatedAt = tidy(roles), fromMicros(micros(s.now()))
	if _, err := tx.Exec(ctx, `UPDATE user_memberships SET roles = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
		encodeList(m.Roles), micros(m.UpdatedAt), string(p.Tenant), m.ID); err != nil {
		return err
	}
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "member.updated", m.ID, map[string]string{
		"user": m.UserID, "roles": strings.Join(m.Roles, " "), "status": string(m.Status),
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.member.updated", m.UserID, p, memberEvent{
		MembershipID: m.ID, UserID: m.UserID, Roles: m.Roles, Status: string(m.Status),
	})
}

// mayOwn refuses who cannot decide over the organization as its owner, before
// anything is read: only a person does, with a recent sign-in.
func (s *Service) mayOwn(ctx context.Context, p platform.Principal) error {
	if err := s.Authorize(ctx, p, permOrganizationOwn); err != nil {
		return err
	}
	return s.recent(p)
}

// lockOwner locks the organization and returns the membership of p, who must
// have the role owner: a role that grants as much is not enough.
func (s *Service) lockOwner(ctx context.Context, tx store.Tx, p platform.Principal) (Member, rights, error) {
	rights, err := s.lockRights(ctx, tx, p)
	if err != nil {
		return Member{}, rights, err
	}
	own, err := memberOf(ctx, tx, p.Tenant, p.Subject)
	left := errors.Is(err, platform.ErrNotFound) // since p was verified
	if left || err == nil && (own.Status != Active || !slices.Contains(own.Roles, RoleOwner)) {
		err = platform.Errorf(platform.KindForbidden, "owner_required", "only an owner of the organization does this")
	}
	return own, rights, err
}
