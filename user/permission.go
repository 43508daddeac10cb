package user

import (
	"regexp"
	"slices"

	"github.com/acme/platform"
)

// patternForm is that of [platform.Grants].
var patternForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)*(\.\*)?$`)

// maxPattern bounds the length of a pattern in bytes.
const maxPattern = 128

func validPattern(p string) bool {
	return p == "*" || len(p) <= maxPattern && patternForm.MatchString(p)
}

// covers reports whether whatever the wanted patterns grant is granted by held
// ones. A pattern is covered by one other, never by several together.
func covers(held, wanted []string) bool {
	for _, w := range wanted {
		// A pattern grants less than another where it would match it as text:
		// "data.*" covers "data.records.*" for the same reason as
		// "data.records.read", and "data.*" itself.
		if !slices.ContainsFunc(held, func(h string) bool { return platform.Grants(h, w) }) {
			return false
		}
	}
	return true
}

// overlap reports whether one of the patterns grants something that one of the
// others grants too: of two patterns that do, one grants the other.
func overlap(some, others []string) bool {
	return slices.ContainsFunc(some, func(a string) bool {
		return slices.ContainsFunc(others, func(b string) bool { return platform.Grants(a, b) || platform.Grants(b, a) })
	})
}

// The permissions of this package.
const (
	permOrganizationRead  = "user.organization.read"
	permOrganizationWrite = "user.organization.write"
	permOrganizationOwn   = "user.organization.own"
	permMembersRead       = "user.members.read"
	permMembersWrite      = "user.members.write"
	permInvitationsRead   = "user.invitations.read"
	permInvitationsWrite  = "user.invitations.write"
	permRolesRead         = "user.roles.read"
	permRolesWrite        = "user.roles.write"
	permTeamsRead         = "user.teams.read"
	permTeamsWrite        = "user.teams.write"
	permAPIKeysRead       = "user.apiKeys.read"  //nolint:gosec // the name of a permission
	permAPIKeysWrite      = "user.apiKeys.write" //nolint:gosec // the name of a permission
	permAuditRead         = "user.audit.read"
	permAuditWrite        = "user.audit.write"
	permAuditExport       = "user.audit.export"
)
