package user

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// offer is an invitation that was found by its token: who asks has read the mail
// to the invited address.
type offer struct {
	tenant platform.TenantID
	id     string
}

// offerOf returns the invitation of a token, KindNotFound for one that was made up.
func (s *Service) offerOf(ctx context.Context, token Secret) (offer, error) {
	id, secret, ok := parseToken(invitationPrefix, "inv", secretSize, token)
	if !ok {
		return offer{}, platform.NotFound("invitation")
	}
	o := offer{id: id}
	var hash []byte
	err := s.db.AcrossTenants(ctx, s.cross.invitation, func(ctx context.Context, tx store.CrossTx) error {
		if err := tx.QueryRow(ctx, `SELECT tenant, token_hash FROM user_invitations WHERE id = ?`, id).Scan(&o.tenant, &hash); err != nil {
			return err
		}
		mailed, err := mailedInvitation(ctx, tx, id, secret)
		if err == nil && !mailed && !hashAmong(hash, hashSecret(secret)) {
			err = sql.ErrNoRows
		}
		return err
	}, store.ReadOnly)
	return o, notFound(err, "invitation")
}

// AcceptInvitation makes the signed-in user a member of the organization that
// invited their address. The token was in a mail to that address, so the
// address is verified from then on. A token works once, and is void if its maker
// could not make it any more. A person who has no account yet takes
// [Service.JoinByInvitation].
//
// Errors: KindNotFound for a token that was made up; KindForbidden "other_email"
// for another person's; KindConflict "already_member", "invitation_used",
// "invitation_revoked", "invitation_expired" or "organization_closed", which
// only who holds the token learns; [platform.OverLimit].
func (s *Service) AcceptInvitation(ctx context.Context, p platform.Principal, token Secret, keys ...*platform.IdempotencyKey) (Member, platform.TenantID, error) {
	if p.Kind != platform.PrincipalUser {
		return Member{}, "", errUserNeeded()
	}
	o, err := s.offerOf(ctx, token)
	if err != nil {
		return Member{}, "", err
	}
	limits, err := s.cfg.Limits.Of(ctx, o.tenant)
	if err != nil {
		return Member{}, "", err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "invitations.accept", string(token))
	if err != nil {
		return Member{}, "", err
	}
	var out keptMember
	err = s.db.InTenant(ctx, o.tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &out, func() error {
			// The account comes first, see lock.go; what fails below undoes it.
			if ok, err := lockOpen(ctx, tx, platform.NoTenant, p.Subject); err != nil {
				return err
			} else if !ok {
				return errBadCredential()
			}
			u, err := userByID(ctx, tx, p.Subject)
			if err != nil {
				return err
			}
			m, err := s.accept(ctx, tx, o, acceptance{user: u, by: p, members: limits.Members})
			out = keptMember{m, o.tenant}
			return err
		})
	})
	if err != nil {
		return Member{}, "", err
	}
	s.changed(ctx, userKey(p.Subject))
	return out.Member, out.Organization, nil
}

// acceptance is who uses an invitation, and the members that the organization's
// plan allows, -1 for any number.
type acceptance struct {
	user    User
	by      platform.Principal
	members int64
}

// accept uses an invitation up and makes the membership, in a transaction that
// has locked the account or made it.
func (s *Service) accept(ctx context.Context, tx store.Tx, o offer, a acceptance) (Member, error) {
	now := fromMicros(micros(s.now()))
	if err := lockOrganization(ctx, tx, o.tenant); err != nil {
		return Member{}, notFound(err, "invitation")
	}
	inv, err := s.claimOffer(ctx, tx, o, a.user, now)
	if err != nil {
		return Member{}, err
	}
	var members int
	if err := tx.QueryRow(ctx, `SELECT count(*)`+memberTables+` AND m.user_id = ?`, string(o.tenant), a.user.ID).Scan(&members); err != nil {
		return Member{}, err
	}
	if members > 0 {
		return Member{}, platform.Errorf(platform.KindConflict, "already_member", "you are a member already")
	}
	// The invitation has held the place, but the plan may be a smaller one now.
	if all, _, err := seats(ctx, tx, o.tenant, now); err != nil {
		return Member{}, err
	} else if a.members >= 0 && all >= a.members {
		return Member{}, platform.OverLimit(limitMembers, a.members)
	}
	m := Member{
		ID: s.newID("mem"), UserID: a.user.ID, Email: a.user.Email, Name: a.user.Name, Roles: inv.Roles,
		Status: Active, CreatedAt: now, UpdatedAt: now,
	}
	if err := insertMembership(ctx, tx, o.tenant, m.ID, m.UserID, m.Roles, now); err != nil {
		return Member{}, err
	}
	if err := s.record(ctx, tx, o.tenant, byPrincipal(a.by), "invitation.accepted", inv.ID, map[string]string{"membership": m.ID}); err != nil {
		return Member{}, err
	}
	return m, s.emit(ctx, tx, o.tenant, "user.member.joined", m.UserID, a.by, memberEvent{
		MembershipID: m.ID, UserID: m.UserID, Roles: m.Roles, InvitationID: inv.ID,
	})
}

// claimOffer marks the invitation as used by a person, once among all who try at the
// same time, in a transaction that has locked the organization.
func (s *Service) claimOffer(ctx context.Context, tx store.Tx, o offer, u User, now time.Time) (Invitation, error) {
	claimed, err := changedOne(ctx, tx, `UPDATE user_invitations SET accepted_at = ?, accepted_by = ?
		WHERE tenant = ? AND id = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?`,
		micros(now), u.ID, string(o.tenant), o.id, micros(now))
	if err != nil {
		return Invitation{}, err
	}
	inv, ended, err := invitationByID(ctx, tx, o, now)
	switch {
	case err != nil:
		return Invitation{}, err
	case !claimed:
		return Invitation{}, ended
	case u.Email == inv.Email:
		err = verifyEmail(ctx, tx, u.ID, now)
	default:
		err = ownsAddress(ctx, tx, u.ID, inv.Email)
	}
	if err != nil {
		return Invitation{}, err
	}
	return inv, s.stillInvites(ctx, tx, inv)
}

// invitationByID returns an invitation, and why it cannot be used: nil for one
// that is open.
func invitationByID(ctx context.Context, tx store.Tx, o offer, now time.Time) (inv Invitation, ended, err error) {
	var accepted, revoked int64
	row := tx.QueryRow(ctx, `SELECT `+invitationColumns+`, accepted_at, revoked_at FROM user_invitations WHERE tenant = ? AND id = ?`, string(o.tenant), o.id)
	if inv, err = scanInvitation(longerRow{row, []any{&accepted, &revoked}}); err != nil {
		return inv, nil, notFound(err, "invitation")
	}
	switch {
	case accepted != 0:
		ended = platform.Errorf(platform.KindConflict, "invitation_used", "the invitation was accepted already: sign in")
	case revoked != 0:
		ended = errInvitationRevoked()
	case !inv.ExpiresAt.After(now):
		ended = platform.Errorf(platform.KindConflict, "invitation_expired", "the invitation has expired: ask for another one")
	}
	return inv, ended, nil
}

func errInvitationRevoked() error {
	return platform.Errorf(platform.KindConflict, "invitation_revoked", "the invitation was taken back: ask for another one")
}

// stillInvites refuses an invitation of someone who has left, or has lost what
// it grants, and one to an organization that is not active. One that a system
// principal made, which no user invites with, stays good.
func (s *Service) stillInvites(ctx context.Context, tx store.Tx, inv Invitation) error {
	org, err := organizationOf(ctx, tx, inv.Organization)
	if err != nil {
		return err
	}
	if org.Status != Active {
		return platform.Errorf(platform.KindConflict, "organization_closed", "the organization takes nobody in at present")
	}
	if inv.InvitedBy == "" {
		return nil
	}
	by, err := rolesOf(ctx, tx, inv.Organization, inv.InvitedBy)
	if err != nil {
		return err
	}
	r, err := s.rightsOfUser(ctx, tx, inv.Organization, inv.InvitedBy, by)
	if err != nil {
		return err
	}
	if !r.coverRoles(inv.Roles) || !r.cover([]string{permInvitationsWrite}) {
		return errInvitationRevoked()
	}
	return nil
}

// InvitationPreview is what an invitation says to who holds its token.
type InvitationPreview struct {
	// Organization is the name of the one that invites.
	Organization string
	// InvitedBy is the name of the person who invites, "" where the host does.
	InvitedBy string
	Email     string
	ExpiresAt time.Time
	// HasAccount tells whether the address has an account: its owner signs in
	// and accepts, anybody else joins by the token.
	HasAccount bool
}

// PreviewInvitation shows an invitation before it is accepted. Errors: those of
// [Service.AcceptInvitation] for a token that cannot be used.
func (s *Service) PreviewInvitation(ctx context.Context, token Secret) (InvitationPreview, error) {
	o, err := s.offerOf(ctx, token)
	if err != nil {
		return InvitationPreview{}, err
	}
	var out InvitationPreview
	err = s.db.InTenant(ctx, o.tenant, func(ctx context.Context, tx store.Tx) error {
		inv, ended, err := invitationByID(ctx, tx, o, s.now())
		if err = firstError(err, ended); err != nil {
			return err
		}
		if err := s.stillInvites(ctx, tx, inv); err != nil {
			return err
		}
		org, err := organizationOf(ctx, tx, o.tenant)
		if err != nil {
			return err
		}
		out = InvitationPreview{Organization: org.Name, Email: inv.Email, ExpiresAt: inv.ExpiresAt}
		if out.HasAccount, err = hasAccount(ctx, tx, inv.Email); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT name FROM user_accounts WHERE id = ?`, inv.InvitedBy).Scan(&out.InvitedBy)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}, store.ReadOnly)
	return out, err
}

// ownsAddress refuses a person who has not verified the address.
func ownsAddress(ctx context.Context, tx store.Queries, user, email string) error {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM user_emails WHERE user_id = ? AND email = ? AND verified_at > 0`, user, email).Scan(&n)
	if err == nil && n == 0 {
		err = platform.Errorf(platform.KindForbidden, "other_email", "the invitation is for another e-mail address")
	}
	return err
}

// hasAccount reports whether an address is a person's, as the primary one or as a
// further one that is verified.
func hasAccount(ctx context.Context, tx store.Queries, email string) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM user_accounts WHERE email = ?) +
		(SELECT count(*) FROM user_emails WHERE email = ? AND verified_at > 0)`, email, email).Scan(&n)
	return n > 0, err
}
