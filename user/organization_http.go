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

	RequireFactor bool `json:"require_factor" doc:"Whether members need a session with a second factor; API keys do not"`
}

func wireOrganization(o Organization) organizationWire {
	return organizationWire{ID: string(o.ID), Name: o.Name, Status: string(o.Status), CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt, RequireFactor: o.RequireFactor}
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
	}
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
			org, err := s.UpdateOrganization(ctx, p, OrganizationChange{Name: in.Body.Name, RequireFactor: in.Body.RequireFactor})
			return found(org, err, wireOrganization)
		}))
	s.routeOwnership(api)
}
