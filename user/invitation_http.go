package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type invitationWire struct {
	ID        string    `json:"id" example:"inv_06d1…"`
	Email     string    `json:"email"`
	Roles     []string  `json:"roles" nullable:"false"`
	InvitedBy string    `json:"invited_by"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

func wireInvitation(inv Invitation) invitationWire {
	return invitationWire{
		ID: inv.ID, Email: inv.Email, Roles: notNilList(inv.Roles), InvitedBy: inv.InvitedBy,
		CreatedAt: inv.CreatedAt, ExpiresAt: inv.ExpiresAt,
	}
}

type inviteInput struct {
	Body struct {
		Email string   `json:"email" maxLength:"300" example:"ben@example.com"`
		Roles []string `json:"roles" minItems:"1" maxItems:"20" nullable:"false" doc:"Names of roles" example:"[\"member\"]"`
	}
}

type acceptInput struct {
	Body struct {
		Token string `json:"token" maxLength:"300"`
	}
}

type acceptedWire struct {
	Organization string     `json:"organization" doc:"Sign in to it with auth.switch"`
	Member       memberWire `json:"member"`
}

func (s *Service) routeInvitations(api *rest.API) {
	rest.Handle(api, post("invitations.create", "/v1/invitations", "Invite an e-mail address; the token goes there by mail", platform.Require(permInvitationsWrite), http.StatusCreated),
		as(func(ctx context.Context, p platform.Principal, in *inviteInput) (*created[invitationWire], error) {
			if s.cfg.Mail == nil {
				return nil, errNoMail()
			}
			inv, _, err := s.Invite(ctx, p, NewInvitation{Email: in.Body.Email, Roles: in.Body.Roles}, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &created[invitationWire]{Location: "/v1/invitations/" + inv.ID, Body: wireInvitation(inv)}, nil
		}))
	rest.Handle(api, get("invitations.list", "/v1/invitations", "Open invitations", platform.Require(permInvitationsRead)),
		as(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[invitationWire]], error) {
			all, next, err := s.Invitations(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireInvitation)
		}))
	rest.Handle(api, get("invitations.get", "/v1/invitations/{id}", "Get an open invitation", platform.Require(permInvitationsRead)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*output[invitationWire], error) {
			inv, err := s.Invitation(ctx, p, in.ID)
			return found(inv, err, wireInvitation)
		}))
	rest.Handle(api, remove("invitations.revoke", "/v1/invitations/{id}", "Take an invitation back", platform.Require(permInvitationsWrite)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.RevokeInvitation(ctx, p, in.ID)
		}))
	rest.Handle(api, post("invitations.accept", "/v1/invitations/accept", "Accept an invitation to one's e-mail address", platform.Account(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *acceptInput) (*output[acceptedWire], error) {
			m, org, err := s.AcceptInvitation(ctx, p, Secret(in.Body.Token), rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &output[acceptedWire]{acceptedWire{Organization: string(org), Member: wireMember(m)}}, nil
		}))
}
