package user

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Invitation offers an e-mail address a membership.
type Invitation struct {
	ID           string
	Organization platform.TenantID
	Email        string
	Roles        []string
	InvitedBy    string // user id; "" where a system principal invited
	CreatedAt    time.Time
	ExpiresAt    time.Time
}

// invitationPrefix begins the tokens of invitations.
const invitationPrefix = "it"

// NewInvitation is an invitation to be made.
type NewInvitation struct {
	Email string
	Roles []string
}

// Invite makes an invitation, has it mailed where there is a Config.Mail, and
// returns it with a token of its own beside the one in the mail; neither is kept:
// only their SHA-256 are. Whoever has a token and an account with the invited
// address gets what is offered, so it must reach that mailbox and nobody else;
// the operations over HTTP never answer it. Earlier open invitations of the address end. The roles
// may not exceed the principal's own rights. An organization invites an address
// at most 5 times an hour, and a user at most 200 a day; the error is then of
// [platform.KindLimited]. Members and open invitations together are bounded by
// [platform.Limits].Members; the error is then [platform.OverLimit]. It ends
// with the API key that made it, and when the inviter leaves or is suspended.
func (s *Service) Invite(ctx context.Context, p platform.Principal, in NewInvitation, keys ...*platform.IdempotencyKey) (Invitation, Secret, error) {
	if err := s.Authorize(ctx, p, permInvitationsWrite); err != nil {
		return Invitation{}, "", err
	}
	email, ok := normalizeEmail(in.Email)
	if !ok {
		return Invitation{}, "", platform.Invalid(emailField())
	}
	if err := checkRoleNames(in.Roles); err != nil {
		return Invitation{}, "", err
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant)
	if err != nil {
		return Invitation{}, "", err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "invitations.create", in)
	if err != nil {
		return Invitation{}, "", err
	}
	kept, err := call.Kept(ctx, p.Tenant)
	if err != nil {
		return Invitation{}, "", err
	}
	if !kept { // what was made is counted
		if err := s.countInvitation(ctx, p, email); err != nil {
			return Invitation{}, "", err
		}
	}
	var out keptInvitation
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		replayed, err := call.Begin(ctx, tx, &out)
		if err != nil {
			return err
		}
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := s.keyLives(ctx, tx, p); err != nil {
			return err
		}
		if err := rights.known("/roles", in.Roles); err != nil {
			return err
		}
		if !rights.coverRoles(in.Roles) {
			return errAboveOwn()
		}
		if replayed {
			return nil
		}
		var members int
		if err := tx.QueryRow(ctx, `SELECT count(*)`+memberTables+` AND a.email = ?`, string(p.Tenant), email).Scan(&members); err != nil {
			return err
		}
		if members > 0 {
			return platform.Errorf(platform.KindConflict, "already_member", "this address belongs to a member")
		}
		now := fromMicros(micros(s.now()))
		if _, err := tx.Exec(ctx, `UPDATE user_invitations SET revoked_at = ? WHERE tenant = ? AND email = ? AND accepted_at = 0 AND revoked_at = 0`,
			micros(now), string(p.Tenant), email); err != nil {
			return err
		}
		if members, invitations, err := seats(ctx, tx, p.Tenant, now); err != nil {
			return err
		} else if limits.Members >= 0 && members+invitations >= limits.Members {
			return platform.OverLimit(limitMembers, limits.Members)
		}
		secret := randomBytes()
		by := p.Subject
		if p.Kind == platform.PrincipalSystem { // no user invites
			by = ""
		}
		inv := Invitation{
			ID: s.newID("inv"), Organization: p.Tenant, Email: email, Roles: tidy(in.Roles), InvitedBy: by,
			CreatedAt: now, ExpiresAt: now.Add(s.cfg.InvitationTTL),
		}
		token := formatToken(invitationPrefix, inv.ID, secret)
		out = keptInvitation{inv, string(token)}
		if _, err := tx.Exec(ctx, `INSERT INTO user_invitations (tenant, id, email, roles, token_hash, invited_by, created_at, expires_at,
			accepted_at, accepted_by, revoked_at, api_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0, ?)`,
			string(p.Tenant), inv.ID, email, encodeList(inv.Roles), hashSecret(secret), by, micros(now), micros(inv.ExpiresAt),
			keyOf(p)); err != nil {
			return err
		}
		if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "invitation.created", inv.ID, map[string]string{"roles": strings.Join(inv.Roles, " ")}); err != nil {
			return err
		}
		if err := s.emit(ctx, tx, p.Tenant, "user.invitation.created", inv.ID, p, invitationEvent{
			InvitationID: inv.ID, Email: email, Roles: inv.Roles, InvitedBy: by,
		}); err != nil {
			return err
		}
		if s.cfg.Mail != nil {
			if err := s.sendMail(ctx, tx, mailRequest{
				kind: MailInvitation, id: inv.ID, email: email, organization: p.Tenant, subject: inv.ID, expires: inv.ExpiresAt,
			}); err != nil {
				return err
			}
		}
		return call.Keep(ctx, tx, out)
	})
	if !kept && (err != nil || idempotency.Only(keys).Replayed()) {
		s.uncountInvitation(ctx, p, email)
	}
	if err != nil {
		return Invitation{}, "", err
	}
	return out.Invitation, Secret(out.Token), nil
}

const invitationColumns = `id, tenant, email, roles, invited_by, created_at, expires_at`

func scanInvitation(row scanner) (Invitation, error) {
	var (
		inv              Invitation
		roles            string
		created, expires int64
	)
	if err := row.Scan(&inv.ID, &inv.Organization, &inv.Email, &roles, &inv.InvitedBy, &created, &expires); err != nil {
		return inv, err
	}
	inv.CreatedAt, inv.ExpiresAt = fromMicros(created), fromMicros(expires)
	var err error
	inv.Roles, err = decodeList(roles)
	return inv, err
}

// Invitations returns up to limit open invitations, the oldest first, and the
// cursor for more.
func (s *Service) Invitations(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Invitation, string, error) {
	if err := s.Authorize(ctx, p, permInvitationsRead); err != nil {
		return nil, "", err
	}
	const list = "invitations.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var all []Invitation
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		all, err = queryAll(ctx, tx, scanInvitation, `SELECT `+invitationColumns+` FROM user_invitations
			WHERE tenant = ? AND id > ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ? ORDER BY id LIMIT ?`,
			string(p.Tenant), after, micros(s.now()), pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	all, next := page.Cut(list, all, pageLimit(limit), func(inv Invitation) []string { return []string{inv.ID} })
	return all, next, nil
}

// Invitation returns one open invitation.
func (s *Service) Invitation(ctx context.Context, p platform.Principal, id string) (inv Invitation, err error) {
	if err = s.Authorize(ctx, p, permInvitationsRead); err != nil {
		return Invitation{}, err
	}
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		inv, err = scanInvitation(tx.QueryRow(ctx, `SELECT `+invitationColumns+` FROM user_invitations
			WHERE tenant = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?`,
			string(p.Tenant), id, micros(s.now())))
		return notFound(err, "invitation")
	}, store.ReadOnly)
	return inv, err
}

// RevokeInvitation ends an open invitation.
func (s *Service) RevokeInvitation(ctx context.Context, p platform.Principal, id string) error {
	if err := s.Authorize(ctx, p, permInvitationsWrite); err != nil {
		return err
	}
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		inv, err := scanInvitation(tx.QueryRow(ctx, `UPDATE user_invitations SET revoked_at = ?
			WHERE tenant = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0 RETURNING `+invitationColumns,
			micros(s.now()), string(p.Tenant), id))
		if err != nil {
			return notFound(err, "invitation")
		}
		return s.invitationRevoked(ctx, tx, byPrincipal(p), inv)
	}, store.Reserved)
}

// AcceptInvitation makes the signed-in user a member of the organization that
// invited their address. The token was in a mail to that address, so the
// address is verified from then on. A token works once. One that is unknown,
// used, revoked or expired is the same [platform.KindNotFound]. The invitation
// is void if whoever made it could not make it any more.
func (s *Service) AcceptInvitation(ctx context.Context, p platform.Principal, token Secret, keys ...*platform.IdempotencyKey) (Member, platform.TenantID, error) {
	if p.Kind != platform.PrincipalUser {
		return Member{}, "", errUserNeeded()
	}
	id, secret, ok := parseToken(invitationPrefix, "inv", secretSize, token)
	if !ok {
		return Member{}, "", platform.NotFound("invitation")
	}
	tenant, err := s.inviter(ctx, id, secret)
	if err != nil {
		return Member{}, "", err
	}
	limits, err := s.cfg.Limits.Of(ctx, tenant)
	if err != nil {
		return Member{}, "", err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "invitations.accept", string(token))
	if err != nil {
		return Member{}, "", err
	}
	var out keptMember
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if replayed, err := call.Begin(ctx, tx, &out); err != nil || replayed {
			return err
		}
		now := fromMicros(micros(s.now()))
		// The account comes first, see hold.go; what fails below undoes it.
		if err := verifyEmail(ctx, tx, p.Subject, now); err != nil {
			return err
		}
		if err := lockOrganization(ctx, tx, tenant); err != nil {
			return err
		}
		fresh, err := changedOne(ctx, tx, `UPDATE user_invitations SET accepted_at = ?, accepted_by = ?
			WHERE tenant = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?`,
			micros(now), p.Subject, string(tenant), id, micros(now))
		if err != nil {
			return err
		}
		if !fresh {
			return platform.NotFound("invitation")
		}
		inv, err := scanInvitation(tx.QueryRow(ctx, `SELECT `+invitationColumns+` FROM user_invitations WHERE tenant = ? AND id = ?`, string(tenant), id))
		if err != nil {
			return err
		}
		u, err := userByID(ctx, tx, p.Subject)
		if err != nil {
			return err
		}
		if u.Email != inv.Email {
			return platform.Errorf(platform.KindForbidden, "other_email", "the invitation is for another e-mail address")
		}
		if err := s.stillInvites(ctx, tx, inv); err != nil {
			return err
		}
		var members int
		if err := tx.QueryRow(ctx, `SELECT count(*)`+memberTables+` AND m.user_id = ?`, string(tenant), u.ID).Scan(&members); err != nil {
			return err
		}
		if members > 0 {
			return platform.Errorf(platform.KindConflict, "already_member", "you are a member already")
		}
		// The invitation has held the place, but the plan may be a smaller one now.
		if all, _, err := seats(ctx, tx, tenant, now); err != nil {
			return err
		} else if limits.Members >= 0 && all >= limits.Members {
			return platform.OverLimit(limitMembers, limits.Members)
		}
		m := Member{
			ID: s.newID("mem"), UserID: u.ID, Email: u.Email, Name: u.Name, Roles: inv.Roles,
			Status: Active, CreatedAt: now, UpdatedAt: now,
		}
		if err := insertMembership(ctx, tx, tenant, m.ID, m.UserID, m.Roles, now); err != nil {
			return err
		}
		if err := s.record(ctx, tx, tenant, byPrincipal(p), "invitation.accepted", id, map[string]string{"membership": m.ID}); err != nil {
			return err
		}
		if err := s.emit(ctx, tx, tenant, "user.member.joined", u.ID, p, memberEvent{
			MembershipID: m.ID, UserID: u.ID, Roles: m.Roles, InvitationID: id,
		}); err != nil {
			return err
		}
		out = keptMember{m, tenant}
		return call.Keep(ctx, tx, out)
	})
	if err != nil {
		return Member{}, "", err
	}
	s.changed(ctx, userKey(p.Subject))
	return out.Member, out.Organization, nil
}

// inviter returns the tenant of an invitation whose secret is right.
func (s *Service) inviter(ctx context.Context, id string, secret []byte) (platform.TenantID, error) {
	var (
		tenant platform.TenantID
		hash   []byte
	)
	err := s.db.AcrossTenants(ctx, s.cross.invitation, func(ctx context.Context, tx store.CrossTx) error {
		if err := tx.QueryRow(ctx, `SELECT tenant, token_hash FROM user_invitations WHERE id = ?`, id).Scan(&tenant, &hash); err != nil {
			return err
		}
		mailed, err := mailedInvitation(ctx, tx, id, secret)
		if err == nil && !mailed && !hashAmong(hash, hashSecret(secret)) {
			err = sql.ErrNoRows
		}
		return err
	}, store.ReadOnly)
	return tenant, notFound(err, "invitation")
}

// invitationOpen reports whether an invitation can still be accepted.
func invitationOpen(ctx context.Context, tx store.Queries, tenant platform.TenantID, id string) (bool, error) {
	var open int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM user_invitations WHERE tenant = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0`,
		string(tenant), id).Scan(&open)
	return open > 0, err
}

// stillInvites refuses an invitation of someone who has left, or has lost what
// it grants. One that a system principal made, which no user invites with, stays
// good.
func (s *Service) stillInvites(ctx context.Context, tx store.Tx, inv Invitation) error {
	by, err := rolesOf(ctx, tx, inv.Organization, inv.InvitedBy)
	if err != nil {
		return err
	}
	r, err := s.rightsOfUser(ctx, tx, inv.Organization, inv.InvitedBy, by)
	if err != nil {
		return err
	}
	mayInvite := r.coverRoles(inv.Roles) && r.cover([]string{permInvitationsWrite})
	if inv.InvitedBy != "" && !mayInvite {
		return platform.NotFound("invitation")
	}
	org, err := organizationOf(ctx, tx, inv.Organization)
	if err != nil {
		return err
	}
	if org.Status != Active {
		return platform.NotFound("invitation")
	}
	return nil
}
