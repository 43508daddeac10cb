package user

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// The built-in roles. A role of an organization cannot have one of these
// names; Config.Roles can add to what they grant.
const (
	RoleOwner  = "owner"
	RoleAdmin  = "admin"
	RoleMember = "member"
	RoleViewer = "viewer"
)

// Limits on the roles that an organization makes for itself. Compiled roles are
// scanned once for each new question, so their sum is what counts.
const (
	maxRoles           = 50
	maxRolePermissions = 500 // of all roles of an organization together
	maxParents         = 10  // of a role
	maxInheritance     = 5   // roles above each other
)

func builtinRoles() map[string][]string {
	return map[string][]string{
		RoleOwner: {"*"},
		RoleAdmin: {"data.*", "analytics.*", "notify.*", "user.*"},
		RoleMember: {
			"data.collections.read", "data.records.read", "data.records.write", "data.records.delete",
			"analytics.events.write", "analytics.events.read", "notify.templates.read",
			permOrganizationRead, permMembersRead,
		},
		RoleViewer: {
			"data.collections.read", "data.records.read", "analytics.events.read",
			permOrganizationRead, permMembersRead,
		},
	}
}

// mergeRoles adds the host's roles and permissions to the built-in ones.
func mergeRoles(more map[string][]string) map[string][]string {
	roles := builtinRoles()
	for name, patterns := range more {
		roles[name] = append(slices.Clone(roles[name]), patterns...)
	}
	return roles
}

var roleName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

func validRoleName(name string) bool { return roleName.MatchString(name) }

// Role is a named set of permissions.
type Role struct {
	// ID is the name for a built-in role, "rol_…" for one of the organization.
	ID          string
	Name        string
	Description string
	// Permissions are patterns such as "data.records.read" and "data.*".
	Permissions []string
	// Parents are names of roles that the role inherits: who has it has all that
	// rules say of them, and of their parents.
	Parents []string
	// BuiltIn roles are the same in every organization and cannot be changed.
	BuiltIn   bool
	CreatedAt time.Time // zero for a built-in role
	UpdatedAt time.Time
}

// NewRole is a role to be made.
type NewRole struct {
	// Name is 1 to 63 letters, digits, '-' and '_' in lower case, unique in
	// the organization; members refer to it. It never changes.
	Name        string
	Description string // up to 500 characters
	// Permissions may be empty where there are Parents.
	Permissions []string
	// Parents are up to 10 names of roles but owner. No role may come back to
	// itself, nor have more than 5 others above each other.
	Parents []string
}

// RoleChange is what to change of a role; nil leaves a part as it is.
type RoleChange struct {
	Description *string
	Permissions []string
	Parents     []string // an empty one that is not nil removes all
}

// Roles returns the built-in roles and those of the organization, by name.
func (s *Service) Roles(ctx context.Context, p platform.Principal) ([]Role, error) {
	if err := s.Authorize(ctx, p, permRolesRead); err != nil {
		return nil, err
	}
	roles := make([]Role, 0, len(s.roles))
	for _, name := range slices.Sorted(maps.Keys(s.roles)) {
		roles = append(roles, s.builtin(name))
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		own, err := ownRoles(ctx, tx, p.Tenant)
		roles = append(roles[:len(s.roles)], own...)
		return err
	}, store.ReadOnly)
	return roles, err
}

func (s *Service) builtin(name string) Role {
	return Role{ID: name, Name: name, Permissions: slices.Clone(s.roles[name]), BuiltIn: true}
}

// Role returns a role by its id.
func (s *Service) Role(ctx context.Context, p platform.Principal, id string) (Role, error) {
	if err := s.Authorize(ctx, p, permRolesRead); err != nil {
		return Role{}, err
	}
	if _, ok := s.roles[id]; ok {
		return s.builtin(id), nil
	}
	var role Role
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		role, err = roleByID(ctx, tx, p.Tenant, id)
		return err
	}, store.ReadOnly)
	return role, err
}

// CreateRole makes a role of the organization. It may grant and inherit nothing
// that the principal does not have.
func (s *Service) CreateRole(ctx context.Context, p platform.Principal, in NewRole, keys ...*platform.IdempotencyKey) (Role, error) {
	if err := s.Authorize(ctx, p, permRolesWrite); err != nil {
		return Role{}, err
	}
	if err := validateRole(in); err != nil {
		return Role{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "roles.create", in)
	if err != nil {
		return Role{}, err
	}
	var role Role
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		replayed, err := call.Begin(ctx, tx, &role)
		if err != nil {
			return err
		}
		if _, taken := s.roles[in.Name]; taken {
			return errRoleTaken()
		}
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := rights.mayInherit(in.Name, in.Parents); err != nil {
			return err
		}
		if !rights.cover(in.Permissions) || !rights.coverRoles(in.Parents) {
			return errAboveOwn()
		}
		if replayed {
			return nil
		}
		own, err := ownRoles(ctx, tx, p.Tenant)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(own, func(r Role) bool { return r.Name == in.Name }) {
			return errRoleTaken()
		}
		now := s.now().UTC()
		role = Role{
			ID: s.newID("rol"), Name: in.Name, Description: in.Description,
			Permissions: tidy(in.Permissions), Parents: tidy(in.Parents), CreatedAt: now, UpdatedAt: now,
		}
		if err := checkRoleLimits(append(own, role)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO user_roles (tenant, id, name, description, permissions, parents, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			string(p.Tenant), role.ID, role.Name, role.Description, encodeList(role.Permissions), encodeList(role.Parents), micros(now), micros(now)); err != nil {
			return err
		}
		if err := s.roleChanged(ctx, tx, p, "role.created", role); err != nil {
			return err
		}
		return call.Keep(ctx, tx, role)
	})
	if err != nil {
		return Role{}, err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return role, nil
}

// UpdateRole changes a role of the organization. What rules say of it and of what
// it inherits, before and after, must be within the principal's own rights.
func (s *Service) UpdateRole(ctx context.Context, p platform.Principal, id string, in RoleChange) (Role, error) {
	if err := s.Authorize(ctx, p, permRolesWrite); err != nil {
		return Role{}, err
	}
	if _, ok := s.roles[id]; ok {
		return Role{}, errRoleBuiltIn()
	}
	var role Role
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if role, err = roleByID(ctx, tx, p.Tenant, id); err != nil {
			return err
		}
		if err := rights.mayInherit(role.Name, in.Parents); err != nil {
			return err
		}
		if !rights.coverSubjects(roleSubject(role.Name)) || !rights.cover(in.Permissions) || !rights.coverRoles(in.Parents) {
			return errAboveOwn()
		}
		if in.Description != nil {
			role.Description = *in.Description
		}
		if in.Permissions != nil {
			role.Permissions = tidy(in.Permissions)
		}
		if in.Parents != nil {
			role.Parents = tidy(in.Parents)
		}
		if err := validateRole(NewRole{Name: role.Name, Description: role.Description, Permissions: role.Permissions, Parents: role.Parents}); err != nil {
			return err
		}
		role.UpdatedAt = s.now().UTC()
		if _, err := tx.Exec(ctx, `UPDATE user_roles SET description = ?, permissions = ?, parents = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			role.Description, encodeList(role.Permissions), encodeList(role.Parents), micros(role.UpdatedAt), string(p.Tenant), id); err != nil {
			return err
		}
		own, err := ownRoles(ctx, tx, p.Tenant)
		if err != nil {
			return err
		}
		if err := checkRoleLimits(own); err != nil {
			return err
		}
		return s.roleChanged(ctx, tx, p, "role.updated", role)
	})
	if err != nil {
		return Role{}, err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return role, nil
}

// DeleteRole removes a role that no member or team has, no other role inherits,
// no open invitation grants and no rule is about.
func (s *Service) DeleteRole(ctx context.Context, p platform.Principal, id string) error {
	if err := s.Authorize(ctx, p, permRolesWrite); err != nil {
		return err
	}
	if _, ok := s.roles[id]; ok {
		return errRoleBuiltIn()
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		role, err := roleByID(ctx, tx, p.Tenant, id)
		if err != nil {
			return err
		}
		if !rights.coverSubjects(roleSubject(role.Name)) {
			return errAboveOwn()
		}
		used, err := roleUsed(ctx, tx, p.Tenant, role.Name, s.now())
		if err != nil {
			return err
		}
		if used || rights.rules.refersTo(roleSubject(role.Name)) {
			return platform.Errorf(platform.KindConflict, "role_in_use",
				"members, teams, other roles, rules or open invitations still refer to this role")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM user_roles WHERE tenant = ? AND id = ?`, string(p.Tenant), id); err != nil {
			return err
		}
		return s.roleChanged(ctx, tx, p, "role.deleted", role)
	})
	if err != nil {
		return err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return nil
}

// roleChanged writes the audit record and the event. The version was raised by
// lockRights.
func (s *Service) roleChanged(ctx context.Context, tx store.Tx, p platform.Principal, action string, role Role) error {
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), action, role.ID, map[string]string{
		"name": role.Name, "permissions": strings.Join(role.Permissions, " "), "parents": strings.Join(role.Parents, " "),
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.role.changed", role.ID, p, roleEvent{
		RoleID: role.ID, Name: role.Name, Change: strings.TrimPrefix(action, "role."), Permissions: role.Permissions,
		Parents: role.Parents,
	})
}
