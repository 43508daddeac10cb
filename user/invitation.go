package user

import (
	"context"
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

// invitationOpen reports whether an invitation can still be accepted.
func invitationOpen(ctx context.Context, tx store.Queries, tenant platform.TenantID, id string) (bool, error) {
	var open int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM user_invitations WHERE tenant = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0`,
		string(tenant), id).Scan(&open)
	return open > 0, err
}
