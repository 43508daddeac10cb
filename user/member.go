package user

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// Member is a user in an organization.
type Member struct {
	// ID is the membership's, "mem_…".
	ID     string
	UserID string
	Email  string
	Name   string
	// Roles are names, sorted.
	Roles     []string
	Status    Status
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MemberChange is what to change of a membership; nil leaves a part as it is.
type MemberChange struct {
	Roles  []string
	Status *Status
}

const (
	memberColumns = `m.id, m.user_id, a.email, a.name, m.roles, m.status, m.created_at, m.updated_at`
	memberTables  = ` FROM user_memberships m JOIN user_accounts a ON a.id = m.user_id WHERE m.tenant = ?`
)

func scanMember(row scanner) (Member, error) {
	var (
		m                Member
		roles            string
		created, updated int64
	)
	if err := row.Scan(&m.ID, &m.UserID, &m.Email, &m.Name, &roles, &m.Status, &created, &updated); err != nil {
		return m, err
	}
	m.CreatedAt, m.UpdatedAt = fromMicros(created), fromMicros(updated)
	var err error
	m.Roles, err = decodeList(roles)
	return m, err
}

// Members returns the active members of an organization who have one of the
// roles, or all where none is given. It is for other parts of the host, such as
// one that sends mail, which ask with [platform.System]; any other principal
// needs "user.members.read".
func (s *Service) Members(ctx context.Context, p platform.Principal, roles ...string) ([]Member, error) {
	if err := s.Authorize(ctx, p, permMembersRead); err != nil {
		return nil, err
	}
	var all []Member
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		all, err = queryAll(ctx, tx, scanMember, `SELECT `+memberColumns+memberTables+
			` AND m.status = 'active' AND a.status = 'active' ORDER BY m.id`, string(p.Tenant))
		return err
	}, store.ReadOnly)
	if err != nil || len(roles) == 0 {
		return all, err
	}
	return slices.DeleteFunc(all, func(m Member) bool {
		return !slices.ContainsFunc(m.Roles, func(r string) bool { return slices.Contains(roles, r) })
	}), nil
}

// Member returns the membership of a user, to whoever [Service.Members] answers.
func (s *Service) Member(ctx context.Context, p platform.Principal, userID string) (Member, error) {
	if err := s.Authorize(ctx, p, permMembersRead); err != nil {
		return Member{}, err
	}
	var m Member
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		m, err = scanMember(tx.QueryRow(ctx, `SELECT `+memberColumns+memberTables+` AND m.user_id = ?`, string(p.Tenant), userID))
		return notFound(err, "member")
	}, store.ReadOnly)
	return m, err
}

// ListMembers returns up to limit members of the principal's organization,
// those suspended too, the oldest first, and the cursor for more.
func (s *Service) ListMembers(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Member, string, error) {
	if err := s.Authorize(ctx, p, permMembersRead); err != nil {
		return nil, "", err
	}
	const list = "members.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var all []Member
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		all, err = queryAll(ctx, tx, scanMember, `SELECT `+memberColumns+memberTables+` AND m.id > ? ORDER BY m.id LIMIT ?`,
			string(p.Tenant), after, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	all, next := page.Cut(list, all, pageLimit(limit), func(m Member) []string { return []string{m.ID} })
	return all, next, nil
}

// UpdateMember changes the roles or the status of another member. Neither the
// roles that the member has nor those given may exceed the principal's own
// rights, and an owner must remain. Suspending ends the member's sessions and
// open invitations.
func (s *Service) UpdateMember(ctx context.Context, p platform.Principal, id string, in MemberChange) (Member, error) {
	if err := s.Authorize(ctx, p, permMembersWrite); err != nil {
		return Member{}, err
	}
	if in.Status != nil && *in.Status != Active && *in.Status != Suspended {
		return Member{}, field("/status", "unknown", "active or suspended")
	}
	if in.Roles != nil {
		if err := checkRoleNames(in.Roles); err != nil {
			return Member{}, err
		}
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
			return platform.Errorf(platform.KindForbidden, "own_membership", "nobody changes their own roles or status")
		}
		if err := rights.known("/roles", in.Roles); err != nil {
			return err
		}
		if !rights.coverMember(m) || !rights.coverRoles(in.Roles) {
			return errAboveOwn()
		}
		if in.Roles != nil {
			m.Roles = tidy(in.Roles)
		}
		if in.Status != nil {
			m.Status = *in.Status
		}
		m.UpdatedAt = fromMicros(micros(s.now()))
		if _, err := tx.Exec(ctx, `UPDATE user_memberships SET roles = ?, status = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			encodeList(m.Roles), string(m.Status), micros(m.UpdatedAt), string(p.Tenant), id); err != nil {
			return err
		}
		if err := ownerRemains(ctx, tx, p.Tenant); err != nil {
			return err
		}
		if m.Status == Suspended {
			if err := s.endSessions(ctx, tx, m.UserID, p.Tenant, ""); err != nil {
				return err
			}
			if err := s.revokeOffers(ctx, tx, p.Tenant, byPrincipal(p), offers{user: m.UserID}); err != nil {
				return err
			}
		}
		if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "member.updated", m.ID, map[string]string{
			"user": m.UserID, "roles": strings.Join(m.Roles, " "), "status": string(m.Status),
		}); err != nil {
			return err
		}
		return s.emit(ctx, tx, p.Tenant, "user.member.updated", m.UserID, p, memberEvent{
			MembershipID: m.ID, UserID: m.UserID, Roles: m.Roles, Status: string(m.Status),
		})
	})
	if err != nil {
		return Member{}, err
	}
	s.changed(ctx, userKey(m.UserID))
	return m, nil
}

func memberByID(ctx context.Context, tx store.Tx, tenant platform.TenantID, id string) (Member, error) {
	m, err := scanMember(tx.QueryRow(ctx, `SELECT `+memberColumns+memberTables+` AND m.id = ?`, string(tenant), id))
	return m, notFound(err, "member")
}

// maxMemberRoles bounds the roles of one member.
const maxMemberRoles = 20

func checkRoleNames(roles []string) error {
	switch {
	case len(roles) == 0:
		return field("/roles", "required", "at least one role")
	case len(roles) > maxMemberRoles:
		return field("/roles", "too_many", "at most 20 roles")
	}
	return nil
}
