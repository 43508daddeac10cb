package user

import (
	"regexp"
	"strings"
)

// A permission is dotted words: "data.records.read". A pattern is a permission,
// a prefix that ends in ".*" and stands for all below it, or "*" for all.

var patternForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*(\.\*)?$`)

// maxPattern bounds the length of a pattern in bytes.
const maxPattern = 128

func validPattern(p string) bool {
	return p == "*" || len(p) <= maxPattern && patternForm.MatchString(p)
}

// matches reports whether a pattern grants a permission.
func matches(pattern, permission string) bool {
	if pattern == permission || pattern == "*" {
		return true
	}
	prefix, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasSuffix(prefix, ".") && len(permission) > len(prefix) && strings.HasPrefix(permission, prefix)
}

func anyMatches(patterns []string, permission string) bool {
	for _, p := range patterns {
		if matches(p, permission) {
			return true
		}
	}
	return false
}

// covers reports whether whatever the wanted patterns grant is granted by held
// ones. A pattern is covered by one other, never by several together.
func covers(held, wanted []string) bool {
	for _, w := range wanted {
		// A pattern grants less than another where it would match it as text:
		// "data.*" covers "data.records.*" for the same reason as
		// "data.records.read", and "data.*" itself.
		if !anyMatches(held, w) {
			return false
		}
	}
	return true
}

// The permissions of this package.
const (
	permOrganizationRead  = "user.organization.read"
	permOrganizationWrite = "user.organization.write"
	permMembersRead       = "user.members.read"
	permMembersWrite      = "user.members.write"
	permInvitationsRead   = "user.invitations.read"
	permInvitationsWrite  = "user.invitations.write"
	permRolesRead         = "user.roles.read"
	permRolesWrite        = "user.roles.write"
	permAPIKeysRead       = "user.apiKeys.read"  //nolint:gosec // the name of a permission
	permAPIKeysWrite      = "user.apiKeys.write" //nolint:gosec // the name of a permission
	permAuditRead         = "user.audit.read"
)
