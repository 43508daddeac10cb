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

type joinInput struct {
	Body struct {
		Token    string `json:"token" maxLength:"300" doc:"That of the mail"`
		Name     string `json:"name" maxLength:"400" example:"Ben"`
		Password string `json:"password,omitempty" maxLength:"256" doc:"8 to 256 characters; absent makes an account without one"`
		Session  string `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
	}
}

type invitationPreviewWire struct {
	Organization string    `json:"organization" doc:"Name of the organization that invites" example:"Ann & Co"`
	InvitedBy    string    `json:"invited_by,omitempty" doc:"Name of the person who invites" example:"Ann"`
	Email        string    `json:"email" doc:"The invited address"`
	ExpiresAt    time.Time `json:"expires_at"`
	HasAccount   bool      `json:"has_account" doc:"Whether the address has an account: sign in to it and accept; else join by auth.invitation"`
}

func wireInvitationPreview(p InvitationPreview) invitationPreviewWire {
	return invitationPreviewWire(p)
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
	s.routeAcceptance(api)
}

// routeAcceptance has the operations of who holds an invitation's token.
func (s *Service) routeAcceptance(api *rest.API) {
	rest.Handle(api, postAgain("invitations.preview", "/v1/invitations/preview", "Look at an invitation before accepting it", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *acceptInput) (*output[invitationPreviewWire], error) {
			preview, err := s.PreviewInvitation(ctx, Secret(in.Body.Token))
			return found(preview, err, wireInvitationPreview)
		})
	rest.Handle(api, post("invitations.accept", "/v1/invitations/accept", "Accept an invitation to one's e-mail address", platform.Account(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *acceptInput) (*output[acceptedWire], error) {
			m, org, err := s.AcceptInvitation(ctx, p, Secret(in.Body.Token), rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &output[acceptedWire]{acceptedWire{Organization: string(org), Member: wireMember(m)}}, nil
		}))
	rest.Handle(api, post("auth.invitation", "/v1/auth/invitation", "Accept an invitation as a new person: an account, a membership and tokens", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *joinInput) (*signedInOutput, error) {
			out, err := s.JoinByInvitation(ctx, Joining{
				Token: Secret(in.Body.Token), Name: in.Body.Name, Password: Secret(in.Body.Password), Session: SessionKind(in.Body.Session),
			}, rest.IdempotencyKey(ctx))
			return signedInAnswer(out, err)
		})
}
