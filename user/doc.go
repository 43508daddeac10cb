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
// Passwords have 8 to 256 characters of any script (code points of the normal
// form NFC), are never cut, need no certain kinds of characters, and
// are refused when they are among the 19,000 that were breached most often or near
// one of them. [Config].Breaches also asks a list of all that are known, which learns
// five digits of a hash and no more. They are hashed with
// argon2id (19 MiB, 2 passes, 1 thread: RFC 9106, OWASP), few at once: those of
// strangers and those of users on known devices take turns. When too many wait, a
// login is refused rather than delayed for ever. A login
// tells nobody whether an address is known. A sign-up does, because it answers
// with tokens at once.
//
// # Guessing
//
// Two things must hold at once: guessing at an account is bounded, and nobody
// who guesses keeps its owner out. A lock after so many failures gives the
// first and not the second: it hands every stranger a switch. One count for
// each caller's address gives the second and not the first, because addresses
// are cheap. So what a network spends is its own, and what all strangers
// together may spend is handed out so that nobody can take all of it.
//
// Known devices are the networks (an address, or the /64 of IPv6) from which a
// user has signed up or signed in. They are in the store, at most 20 for each
// account and for 180 days after their last use, and a new password forgets all
// others. A known device has five tries in 15 minutes, then one per delay, which
// doubles from one second to 30: at most some 3,600 a day. Nothing that others do
// counts for it. Whoever shares the network with the owner, such as an office
// behind one address, is the same device.
//
// A network that is not known has five tries at an account in a day, then one
// per delay, which doubles up to 15 minutes; the /48 of IPv6 is one network
// here. Beside that its n-th try competes with the n-th tries of all unknown
// networks at that account, and with no others: the first 2,000 first tries of
// a day pass, of second tries 1,000, of third tries 500, and so on. After them
// the i-th to come passes with the probability 2,000/i, 1,000/i and so on. Who
// loses waits a minute, and has lost no try by it. It follows that
//
//   - strangers from fewer than 1,000 addresses change nothing for an owner who
//     comes from a new one: the first two tries pass for certain;
//   - from more addresses they make the owner wait, and never for good: among
//     10,000 that ask every minute without an end the owner gets in within an
//     hour with a chance of some 60 %;
//   - guesses at one account are some 4,000 a day where m draws are no more than
//     that, and at most some 4,000 × (1 + ln(m/2000)) beyond: 20,000 from those
//     10,000 addresses.
//
// An unknown network also fails at most 50 times in 15 minutes over all
// accounts, and then once per delay of up to 30 seconds. A right password gives back
// what its try took, and so does one that was refused for want of room: an office of any
// size signs in through one address.
//
// The same count and the same draw stand before an organization: an unknown network
// fails there 50 times in a day, then once per delay of up to 15 minutes, and its
// n-th try competes with the n-th tries of all others, with budgets of 2,000 for each
// of the first eight, 1,000 for the next eight, and so on. The organization is the one
// that a sign-in names, and that of the domain of the address. Whose member an
// account is makes no difference, or the throttle would tell strangers who belongs
// where.
//
// One password tried at many accounts is counted too, whatever networks the tries
// come from: 20 accounts in an hour pass, and the i-th with the probability 20/i, so
// that some 100 of 1,000 are guessed at. The log and the audit of the installation
// tell of it ("login.sprayed"). The password is counted by a keyed hash whose key is
// in the memory of the process alone, so each process counts for itself. It delays
// those from unknown networks whose password is the one that is being sprayed, and
// nobody else.
//
// Counts are in Config.Cache. Where it loses them, an attacker has the free
// tries again. Without Config.Client all tries at an account count together as
// those of a device do, so a stranger who never pauses makes the owner wait for
// a free turn: set it. Living sessions and API keys are touched by none of this.
//
// # Sessions
//
// A session is one signed-in device: one row with its name, its address and its
// last use, whatever organizations it visits. Ending it ends it everywhere; the end
// of a membership ends what the device may do in that organization, and the person
// stays signed in to none. Who names no organization signs in to the one where they
// were last. A session ends after Config.RefreshIdle without use, and
// Config.RefreshMax after the sign-in; an organization can set less for itself, and
// who comes to it later than that signs in again.
//
// A client chooses how it holds its session. Tokens are for apps. For browsers
// there is a cookie that no script reads: 256 random bits, of which the store has
// the SHA-256, with a new value at each sign-in, further proof and change of
// organization. gateway.Cookie reads it by [Service.Cookie], and refuses what pages
// of other sites would change with it. Its name begins with "__Host-", so browsers
// keep it over TLS alone, and drop it in silence over plain HTTP; a sign-in from
// there is refused with "insecure_origin". Chromium and Firefox take localhost for
// TLS, Safari does not.
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
// A refresh token works once. Shown again after that, it ends its session, in all
// organizations, except within a short grace in which the one before the present one yields
// the present one, for clients that refresh twice at once.
//
// # Access
//
// Permissions are dotted words; a role is a set of patterns of them. The
// built-in roles owner, admin, member and viewer can be widened by the host
// and joined by roles of the organization's own, which inherit others. A team is
// some of the members, who have its roles beside their own. An [AccessRule] allows
// or denies something to those who have a role or are in a team; what is denied
// wins, but for owners. [Service.Can] decides, about a resource too, and
// [Service.ExplainAccess] says what led to it.
//
// Nobody grants or denies what they do not have, nobody changes their own roles
// or teams, and one owner always remains. An API key may do what both its scopes
// and its owner's present roles and teams allow.
//
// Decisions come from an index that is compiled for each organization, and
// nothing is compiled for one that has no rules of its own. casbin decides where
// Config.AccessModel gives it a matcher, and a test holds the two equal where
// none does. docs/authorization.md says more.
//
// # Invitations, leaving and ownership
//
// A person without an account accepts an invitation by its token alone: the
// account, the membership and the session are made in one transaction, the
// address is verified, since the token was in a mail to it, and there is no
// organization of their own. A person with an account signs in first: a token
// signs nobody in. A member leaves by themselves, and the last active owner
// cannot: an owner transfers the organization to another member, with a sign-in
// of the last 15 minutes.
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
//	user.organization.limits_changed organization {organization, session_idle, session_max}
//	user.organization.suspended organization  {organization}
//	user.organization.resumed   organization  {organization}
//	user.member.joined          user          {membership_id, user_id, roles, invitation_id}
//	user.member.updated         user          {membership_id, user_id, roles, status}
//	user.member.removed         user          {membership_id, user_id}
//	user.invitation.created     invitation    {invitation_id, email, roles, invited_by}
//	user.invitation.revoked     invitation    {invitation_id, email, roles, invited_by}
//	user.role.changed           role          {role_id, name, change, permissions, parents}
//	user.team.changed           team          {team_id, name, change, roles}
//	user.team.member_changed    team          {team_id, membership_id, user_id, change}
//	user.access_rule.changed    access rule   {rule_id, change, role, team_id, permission, effect, resource_type, resource_id}
//	user.api_key.created        API key       {key_id, name, user_id}
//	user.api_key.rotated        API key       {key_id, name, user_id}
//	user.api_key.revoked        API key       {key_id, name, user_id}
//	user.session.ended          session       {session_id, user_id}
//	user.session.reused         session       {session_id, user_id}
//	user.password.changed       user          {user_id}
//	user.email.verified         user          {user_id}
//	user.email.added            user          {user_id}
//	user.email.removed          user          {user_id}
//	user.email.changed          user          {user_id}
//	user.email.restored         user          {user_id}
//	user.factor.added           user          {user_id, factor}
//	user.factor.removed         user          {user_id, factor}
//	user.recovery_code.used     user          {user_id, left}
//	user.organization.policy_changed organization {organization, require_factor}
package user
