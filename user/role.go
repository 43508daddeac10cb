package user

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
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
	Permissions []string
}

// RoleChange is what to change of a role; nil leaves a part as it is.
type RoleChange struct {
	Description *string
	Permissions []string
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

// CreateRole makes a role of the organization. It may grant nothing that the
// principal does not have.
func (s *Service) CreateRole(ctx context.Context, p platform.Principal, in NewRole) (Role, error) {
	if err := s.Authorize(ctx, p, permRolesWrite); err != nil {
		return Role{}, err
	}
	if err := validateRole(in); err != nil {
		return Role{}, err
	}
	var role Role
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if _, taken := s.roles[in.Name]; taken {
			return errRoleTaken()
		}
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if !rights.cover(in.Permissions) {
			return errAboveOwn()
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
			Permissions: tidy(in.Permissions), CreatedAt: now, UpdatedAt: now,
		}
		if err := checkRoleLimits(append(own, role)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO user_roles (tenant, id, name, description, permissions, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			string(p.Tenant), role.ID, role.Name, role.Description, encodeList(role.Permissions), micros(now), micros(now)); err != nil {
			return err
		}
		return s.roleChanged(ctx, tx, p, "role.created", role)
	})
	if err != nil {
		return Role{}, err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return role, nil
}

// UpdateRole changes a role of the organization. What it granted and what it
// will grant must be within the principal's own rights.
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
		if !rights.cover(role.Permissions) || !rights.cover(in.Permissions) {
			return errAboveOwn()
		}
		if in.Description != nil {
			role.Description = *in.Description
		}
		if in.Permissions != nil {
			role.Permissions = tidy(in.Permissions)
		}
		if err := validateRole(NewRole{Name: role.Name, Description: role.Description, Permissions: role.Permissions}); err != nil {
			return err
		}
		role.UpdatedAt = s.now().UTC()
		if _, err := tx.Exec(ctx, `UPDATE user_roles SET description = ?, permissions = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			role.Description, encodeList(role.Permissions), micros(role.UpdatedAt), string(p.Tenant), id); err != nil {
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

// DeleteRole removes a role that no member has and no open invitation grants.
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
		if !rights.cover(role.Permissions) {
			return errAboveOwn()
		}
		used, err := roleUsed(ctx, tx, p.Tenant, role.Name, s.now())
		if err != nil {
			return err
		}
		if used {
			return platform.Errorf(platform.KindConflict, "role_in_use", "members or open invitations still have this role")
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
		"name": role.Name, "permissions": strings.Join(role.Permissions, " "),
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.role.changed", role.ID, p.Subject, roleEvent{
		RoleID: role.ID, Name: role.Name, Change: strings.TrimPrefix(action, "role."), Permissions: role.Permissions,
	})
}

func errRoleTaken() error {
	return platform.Errorf(platform.KindConflict, "role_taken", "the organization has a role of this name")
}

func errRoleBuiltIn() error {
	return platform.Errorf(platform.KindConflict, "role_built_in", "a built-in role cannot be changed")
}

func validateRole(in NewRole) error {
	var fields []platform.Field
	if !validRoleName(in.Name) {
		fields = append(fields, platform.Field{Path: "/name", Code: "format", Detail: "a name is 1 to 63 letters, digits, - and _ in lower case and begins with a letter"})
	}
	if len([]rune(in.Description)) > 500 {
		fields = append(fields, platform.Field{Path: "/description", Code: "too_long", Detail: "at most 500 characters"})
	}
	if f := checkPatterns("/permissions", in.Permissions); f != nil {
		fields = append(fields, *f)
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}

// checkPatterns returns what is wrong with a list of patterns from a caller.
func checkPatterns(path string, patterns []string) *platform.Field {
	if len(patterns) == 0 {
		return &platform.Field{Path: path, Code: "required", Detail: "at least one permission"}
	}
	if len(patterns) > maxRolePermissions {
		return &platform.Field{Path: path, Code: "too_many", Detail: "at most 500 permissions"}
	}
	for _, p := range patterns {
		if !validPattern(p) {
			return &platform.Field{Path: path, Code: "format", Detail: `a permission is like "data.records.read", "data.*" or "*"`}
		}
	}
	return nil
}

func checkRoleLimits(own []Role) error {
	sum := 0
	for _, r := range own {
		sum += len(r.Permissions)
	}
	if len(own) > maxRoles || sum > maxRolePermissions {
		return platform.Errorf(platform.KindConflict, "too_many_roles",
			"an organization has at most %d roles of its own with %d permissions together", maxRoles, maxRolePermissions)
	}
	return nil
}

const roleColumns = `id, name, description, permissions, created_at, updated_at`

func scanRole(row scanner) (Role, error) {
	var (
		r                Role
		permissions      string
		created, updated int64
	)
	if err := row.Scan(&r.ID, &r.Name, &r.Description, &permissions, &created, &updated); err != nil {
		return Role{}, err
	}
	r.CreatedAt, r.UpdatedAt = fromMicros(created), fromMicros(updated)
	var err error
	r.Permissions, err = decodeList(permissions)
	return r, err
}

func roleByID(ctx context.Context, tx store.Tx, tenant platform.TenantID, id string) (Role, error) {
	r, err := scanRole(tx.QueryRow(ctx, `SELECT `+roleColumns+` FROM user_roles WHERE tenant = ? AND id = ?`, string(tenant), id))
	if errors.Is(err, sql.ErrNoRows) {
		return Role{}, platform.NotFound("role")
	}
	return r, err
}

func ownRoles(ctx context.Context, tx store.Tx, tenant platform.TenantID) ([]Role, error) {
	return queryAll(ctx, tx, scanRole, `SELECT `+roleColumns+` FROM user_roles WHERE tenant = ? ORDER BY name`, string(tenant))
}

// rolesIn returns all roles that can be had in a tenant: name to patterns.
func (s *Service) rolesIn(ctx context.Context, tx store.Tx, tenant platform.TenantID) (map[string][]string, error) {
	own, err := ownRoles(ctx, tx, tenant)
	if err != nil {
		return nil, err
	}
	roles := maps.Clone(s.roles)
	for _, r := range own {
		// A role of the host's that came after the organization's own wins,
		// or upgrading the host would leave its role without effect.
		if _, taken := roles[r.Name]; !taken {
			roles[r.Name] = r.Permissions
		}
	}
	return roles, nil
}

// roleUsed reports whether members or open invitations have the role. Lists of
// roles are JSON of names that need no escape but that of LIKE.
func roleUsed(ctx context.Context, tx store.Tx, tenant platform.TenantID, name string, now time.Time) (bool, error) {
	like := `%"` + strings.ReplaceAll(name, "_", `\_`) + `"%`
	var n int
	err := tx.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM user_memberships WHERE tenant = ? AND roles LIKE ? ESCAPE '\') +
		(SELECT count(*) FROM user_invitations WHERE tenant = ? AND roles LIKE ? ESCAPE '\'
			AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?)`,
		string(tenant), like, string(tenant), like, micros(now)).Scan(&n)
	return n > 0, err
}

func authzVersion(ctx context.Context, tx store.Tx, tenant platform.TenantID) (int64, error) {
	var version int64
	err := tx.QueryRow(ctx, `SELECT authz_version FROM user_organizations WHERE tenant = ?`, string(tenant)).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil // a tenant of the host's own making has the built-in roles
	}
	return version, err
}

// tidy returns the list sorted and without repetitions.
func tidy(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func encodeList(list []string) string {
	if list == nil {
		list = []string{}
	}
	raw, err := json.Marshal(list)
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(raw)
}

func decodeList(raw string) ([]string, error) {
	list := []string{}
	err := json.Unmarshal([]byte(raw), &list)
	return list, err
}
