package user

import (
	"fmt"
	"maps"
)

// auditActions are all actions that an audit record may have, "noun.participle",
// with what each tells. A record of another action is refused, and the
// transaction of its effect with it, so that the list is whole. Each has a test
// that makes it happen (auditCauses).
var auditActions = map[string]string{ //nolint:gosec // names, no credentials
	"access.refused":              "A principal was refused an operation that changes something, or an operator's; the target is the operation. A record with a count tells of repeated ones.",
	"access_rule.created":         "Something was allowed or denied to a role or team; the detail has the rule.",
	"access_rule.deleted":         "A rule that allowed or denied something was removed; the detail has the rule.",
	"api_key.created":             "An API key was made; the detail has its scopes.",
	"api_key.revoked":             "An API key was ended.",
	"api_key.rotated":             "An API key got another secret.",
	"email.added":                 "A person began to add an address; it counts once they have verified it.",
	"email.changed":               "A person made another of their addresses the primary one.",
	"email.removed":               "A person removed one of their addresses.",
	"email.restored":              "A person undid a change of the primary address by a mail to the old one; password, sessions and what was added since ended.",
	"email.verified":              "A person proved that mail to an address reaches them.",
	"factor.added":                "A person added a second factor; the detail names its kind.",
	"factor.removed":              "A second factor of a person was removed, by them or by the host; the detail names its kind.",
	"audit.erased":                "A person was erased from the records; the detail has how many were touched for the first time.",
	"audit.exported":              "Records were exported.",
	"audit.retention_changed":     "For how long the organization keeps records was changed; the detail has the days, 0 for the host's choice.",
	"audit.trimmed":               "The oldest records were removed, as the retention says; the detail has the last of them and its hash.",
	"invitation.accepted":         "A person became a member by an invitation; the detail names the membership.",
	"invitation.created":          "A person was invited; the detail has the roles.",
	"invitation.revoked":          "An invitation was ended before it was accepted, by a member or because who invited may do so no longer.",
	"login.factor_asked":          "A person showed their first factor and was asked for a second one.",
	"login.failed":                "A sign-in failed; nobody is known as its actor, the target is the person. One with an address that nobody has is in the installation's audit. A record with a count tells of repeated ones.",
	"login.sprayed":               "Strangers tried one password at many accounts; the detail has how many. It is of the installation.",
	"login.succeeded":             "A person signed in; the detail has the methods.",
	"member.left":                 "A person left the organization; the detail names them.",
	"member.removed":              "A membership was ended; the detail names the person.",
	"member.updated":              "Roles or status of a membership were changed; the detail names the person and both.",
	"operator.acted":              "An operator acted on something of the organization's in another service; the detail names the operation.",
	"organization.created":        "A signed-in person made the organization.",
	"organization.limits_changed": "The limits of the organization's sessions were changed; the detail has them in seconds, 0 for those of the installation.",
	"organization.policy_changed": "The policy of the organization was changed; the detail has what it is now.",
	"organization.renamed":        "The organization got another name.",
	"organization.status_changed": "The host or an operator suspended or resumed the organization, which the installation's audit tells too; the detail has the status.",
	"operator_key.created":        "The host made an operator's key; in the installation's audit.",
	"operator_key.revoked":        "An operator's key was ended; in the installation's audit.",
	"organization.transferred":    "An owner made another member an owner in their place; the detail names both.",
	"password.changed":            "A person changed their password; their other sessions ended.",
	"password.reset":              "A person set a new password by a mail.",
	"recovery_code.used":          "A person used a recovery code in place of their second factor; the detail has how many are left.",
	"recovery_codes.created":      "A person made new recovery codes; the old ones ended.",
	"role.created":                "A role was made; the detail has its permissions and what it inherits.",
	"role.deleted":                "A role was removed.",
	"role.updated":                "A role was changed; the detail has its permissions, and what it inherits, as they are now.",
	"session.logged_out":          "A person signed out.",
	"session.refresh_reused":      "A refresh token was shown again after its successor, and its session ended: somebody has a copy.",
	"session.revoked":             "A person ended one of their sessions.",
	"session.stepped_up":          "A person proved again who they are, before a sensitive act.",
	"session.switched":            "A person signed in to the organization from another one.",
	"signing_key.revoked":         "An operator ended a key that signs access tokens, and with it the tokens that it had signed.",
	"signing_key.rotated":         "An operator had a new key sign access tokens from a time on.",
	"team.created":                "A team was made; the detail has its roles.",
	"team.deleted":                "A team was removed.",
	"team.member_added":           "A member was put into a team; the detail names the membership and the person.",
	"team.member_removed":         "A member was taken out of a team; the detail names the membership and the person.",
	"team.updated":                "A team was changed; the detail has its roles as they are now.",
	"user.renamed":                "A person changed their name.",
	"user.signed_up":              "A person made an account, and the organization with it or, by an invitation, a membership.",
	"user.status_changed":         "The host suspended a person, or lifted that; the detail has the status.",
	"users.imported":              "An operator or the host brought people from another system; the detail has how many.",
}

// AuditActions returns all actions that an [AuditRecord] may have, each with what
// it tells.
func AuditActions() map[string]string { return maps.Clone(auditActions) }

// actionTrimmed is what a check of the chain looks for.
const actionTrimmed = "audit.trimmed"

// knownAction refuses an action that the list lacks.
func knownAction(action string) error {
	if _, ok := auditActions[action]; !ok {
		return fmt.Errorf("user: the audit knows no action %q; add it to auditActions", action)
	}
	return nil
}
