// Package user is accounts, organizations and access: sign-up and login,
// access tokens and refresh, sessions, memberships, invitations, roles, API
// keys, and the audit record of it all.
//
// A user is global, an organization is a tenant, and a membership with roles
// joins the two; one user can be in many organizations. Every credential names
// one organization. [Service.Verify] turns a credential into a
// [platform.Principal] and [Service.Authorize] decides what it may do, so that
// a [*Service] is what a gateway needs for both. The methods that take a
// principal check its permission themselves: the gateway is a wall before
// them, not the only one.
//
// # Passwords
//
// Passwords have 8 characters to 256 bytes, of any script, are never cut, and
// are refused when they are among those that are tried first; the list that is
// shipped is short and is no list of breached passwords. They are hashed with
// argon2id (19 MiB, 2 passes, 1 thread: RFC 9106, OWASP), few at once; when
// too many wait, a login is refused rather than delayed for ever. A login
// tells nobody whether an address is known. A sign-up does, because it answers
// with tokens at once.
//
// Failed logins are counted in Config.Cache for each address and, where
// Config.Client tells it, each caller: after five, one try is let through per
// delay, which grows to 30 seconds and no further. A caller from whom the
// owner has signed in before has a count of its own, so that guessing from
// elsewhere does not keep the owner out. Without Config.Client an attacker who
// never pauses can make the owner wait for a free turn; living sessions and
// API keys are not touched by it.
//
// # Tokens
//
// An access token is a JWT after RFC 9068, signed with Ed25519 and valid for
// ten minutes. The keys are in the store, follow each other, and are published
// before they sign. A token is not believed for its signature alone: its
// session, user, membership and organization are looked up, and the outcome is
// kept for Config.VerifyTTL. A revocation acts at once in this process, and in
// others as soon as Config.PubSub tells them, or after VerifyTTL. The roles of
// the principal are therefore never those of the time of the login.
//
// A refresh token works once. Shown again after that, it ends its session,
// except within a short grace in which the one before the present one yields
// the present one, for clients that refresh twice at once.
//
// # Access
//
// Permissions are dotted words; a role is a set of patterns of them. The
// built-in roles owner, admin, member and viewer can be widened by the host
// and joined by roles of the organization's own. Nobody grants what they do
// not have, nobody changes their own roles, and one owner always remains. An
// API key may do what both its scopes and its owner's present roles allow.
//
// # Audit
//
// Every security event has its record in the transaction of its effect, but
// for failed logins, which have no effect. The records of a tenant are a chain
// of hashes that [Service.VerifyAudit] walks.
//
// # Events
//
// Each event is emitted in the transaction of its cause, with the source
// "/user". These are the type, what the subject is the id of, and the data:
//
//	user.signed_up              user          {user_id, email, name, organization}
//	user.organization.created   organization  {organization, name, user_id}
//	user.member.joined          user          {membership_id, user_id, roles, invitation_id}
//	user.member.updated         user          {membership_id, user_id, roles, status}
//	user.member.removed         user          {membership_id, user_id}
//	user.invitation.created     invitation    {invitation_id, email, roles, invited_by}
//	user.invitation.revoked     invitation    {invitation_id, email, roles, invited_by}
//	user.role.changed           role          {role_id, name, change, permissions}
//	user.api_key.created        API key       {key_id, name, user_id}
//	user.api_key.rotated        API key       {key_id, name, user_id}
//	user.api_key.revoked        API key       {key_id, name, user_id}
//	user.session.reused         session       {session_id, user_id}
//	user.password.changed       user          {user_id}
package user
