package user

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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
	fields = append(fields, checkDescription(in.Description)...)
	if f := checkParents(in); f != nil {
		fields = append(fields, *f)
	}
	if len(in.Permissions) > 0 || len(in.Parents) == 0 {
		if f := checkPatterns("/permissions", in.Permissions); f != nil {
			fields = append(fields, *f)
		}
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}

// checkDescription returns what is wrong with a description from a caller.
func checkDescription(text string) (fields []platform.Field) {
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		fields = append(fields, platform.Field{Path: "/description", Code: "format", Detail: "must be UTF-8 without U+0000"})
	}
	if len([]rune(text)) > 500 {
		fields = append(fields, platform.Field{Path: "/description", Code: "too_long", Detail: "at most 500 characters"})
	}
	return fields
}

// checkParents returns what is wrong with the form of a role's parents.
func checkParents(in NewRole) *platform.Field {
	switch {
	case len(in.Parents) > maxParents:
		return &platform.Field{Path: "/parents", Code: "too_many", Detail: "at most 10 roles"}
	case slices.Contains(in.Parents, RoleOwner):
		return &platform.Field{Path: "/parents", Code: "owner", Detail: "no role inherits owner; members have it directly"}
	}
	return nil
}

// mayInherit returns an error where a role cannot have those parents, in the
// organization as it is.
func (r rights) mayInherit(name string, parents []string) error {
	if err := r.known("/parents", parents); err != nil || parents == nil {
		return err
	}
	s := roleSubject(name)
	before, had := r.rules.links[s]
	r.rules.links[s] = roleSubjects(parents)
	depth := r.rules.deepest()
	if r.rules.links[s] = before; !had {
		delete(r.rules.links, s)
	}
	switch {
	case depth < 0:
		return field("/parents", "circle", "a role must not come back to itself through its parents")
	case depth > maxInheritance:
		return field("/parents", "too_deep", "at most 5 roles above each other")
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

const roleColumns = `id, name, description, permissions, parents, created_at, updated_at`

func scanRole(row scanner) (Role, error) {
	var (
		r                Role
		permissions      string
		parents          string
		created, updated int64
	)
	if err := row.Scan(&r.ID, &r.Name, &r.Description, &permissions, &parents, &created, &updated); err != nil {
		return Role{}, err
	}
	r.CreatedAt, r.UpdatedAt = fromMicros(created), fromMicros(updated)
	var err error
	if r.Permissions, err = decodeList(permissions); err != nil {
		return Role{}, err
	}
	r.Parents, err = decodeList(parents)
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
