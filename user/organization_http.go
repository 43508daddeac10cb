package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type organizationWire struct {
	ID        string    `json:"id" example:"org_06d1…"`
	Name      string    `json:"name"`
	Status    string    `json:"status" enum:"active,suspended"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	RequireFactor bool  `json:"require_factor" doc:"Whether members need a session with a second factor; API keys do not"`
	SessionIdle   int64 `json:"session_idle" doc:"Seconds without use after which a session ends in the organization; 0 is what the installation says"`
	SessionMax    int64 `json:"session_max" doc:"Seconds from the sign-in after which a session ends in the organization; 0 is what the installation says"`
}

func wireOrganization(o Organization) organizationWire {
	return organizationWire{
		ID: string(o.ID), Name: o.Name, Status: string(o.Status), CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, RequireFactor: o.RequireFactor,
		SessionIdle: seconds(o.SessionIdle), SessionMax: seconds(o.SessionMax),
	}
}

type organizationInput struct {
	Body struct {
		Name string `json:"name" maxLength:"400" example:"Ann & Co"`
	}
}

type organizationChangeInput struct {
	Body struct {
		Name          *string `json:"name,omitempty" maxLength:"400" example:"Ann & Co"`
		RequireFactor *bool   `json:"require_factor,omitempty" doc:"Require a second factor of all members; needs a recent sign-in with one"`
		SessionIdle   *int64  `json:"session_idle,omitempty" minimum:"0" maximum:"1000000000" doc:"Seconds without use after which a session ends in the organization: from 300 to what the installation says, which 0 stands for; needs a recent sign-in" example:"1800"`
		SessionMax    *int64  `json:"session_max,omitempty" minimum:"0" maximum:"1000000000" doc:"Seconds from the sign-in after which a session ends in the organization: from 300 to what the installation says, which 0 stands for; needs a recent sign-in" example:"43200"`
	}
}

// ofSeconds is a duration that a body gives in seconds.
func ofSeconds(n *int64) *time.Duration {
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}

func (s *Service) routeOrganizations(api *rest.API) {
	rest.Handle(api, get("organizations.list", "/v1/organizations", "One's organizations", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[organizationWire]], error) {
			all, next, err := s.Organizations(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireOrganization)
		}))
	rest.Handle(api, post("organizations.create", "/v1/organizations", "Make an organization that one owns", platform.Account(), http.StatusCreated),
		asPerson(func(ctx context.Context, p platform.Principal, in *organizationInput) (*created[organizationWire], error) {
			org, err := s.CreateOrganization(ctx, p, in.Body.Name, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &created[organizationWire]{Location: "/v1/organization", Body: wireOrganization(org)}, nil
		}))
	rest.Handle(api, get("organizations.get", "/v1/organization", "The organization of the credential", platform.Require(permOrganizationRead)),
		as(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[organizationWire], error) {
			org, err := s.Organization(ctx, p)
			return found(org, err, wireOrganization)
		}))
	rest.Handle(api, patch("organizations.update", "/v1/organization", "Rename the organization, or change its policy", platform.Require(permOrganizationWrite)),
		as(func(ctx context.Context, p platform.Principal, in *organizationChangeInput) (*output[organizationWire], error) {
			org, err := s.UpdateOrganization(ctx, p, OrganizationChange{
				Name: in.Body.Name, RequireFactor: in.Body.RequireFactor,
				SessionIdle: ofSeconds(in.Body.SessionIdle), SessionMax: ofSeconds(in.Body.SessionMax),
			})
			return found(org, err, wireOrganization)
		}))
	s.routeOwnership(api)
}
