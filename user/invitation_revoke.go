package user

import (
	"context"
	"errors"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// keyOf is the id of the API key that p presents, "" for any other credential.
func keyOf(p platform.Principal) string {
	if p.Kind == platform.PrincipalAPIKey {
		return p.Credential
	}
	return ""
}

// keyLives refuses a principal whose API key was revoked since it was verified,
// in a transaction that holds the organization: what it makes now would be
// missed by the revocation.
func (s *Service) keyLives(ctx context.Context, tx store.Tx, p platform.Principal) error {
	id := keyOf(p)
	if id == "" {
		return nil
	}
	_, err := s.livingKey(ctx, tx, p.Tenant, id)
	if errors.Is(err, platform.ErrNotFound) {
		return errBadCredential()
	}
	return err
}

// offers are the open invitations that end together: those of a user who may
// not invite any more, or only those that were made with one API key.
type offers struct{ user, key string }

// revokeOffers ends open invitations in the transaction in which their maker
// ends, with a record and an event each: an invitation is a right that was
// handed out, and whoever took a credential away means what came of it, too.
func (s *Service) revokeOffers(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor, of offers) error {
	query := `UPDATE user_invitations SET revoked_at = ?
		WHERE tenant = ? AND invited_by = ? AND accepted_at = 0 AND revoked_at = 0`
	args := []any{micros(s.now()), string(tenant), of.user}
	if of.key != "" {
		query, args = query+` AND api_key = ?`, append(args, of.key)
	}
	ended, err := queryAll(ctx, tx, scanInvitation, query+` RETURNING `+invitationColumns, args...)
	if err != nil {
		return err
	}
	for _, inv := range ended {
		if !inv.ExpiresAt.After(s.now()) {
			continue // it had ended by itself
		}
		if err := s.invitationRevoked(ctx, tx, by, inv); err != nil {
			return err
		}
	}
	return nil
}

// invitationRevoked writes the audit record and the event.
func (s *Service) invitationRevoked(ctx context.Context, tx writer, by auditActor, inv Invitation) error {
	if err := s.record(ctx, tx, inv.Organization, by, "invitation.revoked", inv.ID, map[string]string{"roles": strings.Join(inv.Roles, " ")}); err != nil {
		return err
	}
	return s.emit(ctx, tx, inv.Organization, "user.invitation.revoked", inv.ID, by.principal(), invitationEvent{
		InvitationID: inv.ID, Email: inv.Email, Roles: inv.Roles, InvitedBy: inv.InvitedBy,
	})
}
