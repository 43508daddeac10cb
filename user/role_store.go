package user

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

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
	if !utf8.ValidString(in.Description) || strings.Contains(in.Description, "\x00") {
		fields = append(fields, platform.Field{Path: "/description", Code: "format", Detail: "must be UTF-8 without U+0000"})
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
