package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type operatorKeyWire struct {
	ID        string    `json:"id" example:"opk_06d1…"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func wireOperatorKey(k OperatorKey) operatorKeyWire {
	return operatorKeyWire(k)
}

func (s *Service) routeOperators(api *rest.API) {
	rest.Handle(api, get("operator.keys.list", "/v1/operator/keys", "The keys of operators", platform.Operator()),
		asPerson(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[operatorKeyWire]], error) {
			all, next, err := s.OperatorKeys(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireOperatorKey)
		}))
	rest.Handle(api, remove("operator.keys.revoke", "/v1/operator/keys/{id}", "Revoke the key of an operator", platform.Operator()),
		asPerson(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.RevokeOperatorKey(ctx, p, in.ID)
		}))
	rest.Handle(api, get("operator.organizations.list", "/v1/operator/organizations", "All organizations", platform.Operator()),
		asPerson(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[organizationWire]], error) {
			all, next, err := s.AllOrganizations(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireOrganization)
		}))
	s.routeImport(api)
	s.routeStatus(api, "operator.organizations.suspend", "suspend", "Suspend an organization: its credentials are refused and its work stops", Suspended)
	s.routeStatus(api, "operator.organizations.resume", "resume", "Resume a suspended organization", Active)
}

func (s *Service) routeStatus(api *rest.API, id, verb, summary string, status Status) {
	rest.Handle(api, postAgain(id, "/v1/operator/organizations/{id}/"+verb, summary, platform.Operator(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *idInput) (*output[organizationWire], error) {
			org, err := s.OperateOrganization(ctx, p, platform.TenantID(in.ID), status)
			return found(org, err, wireOrganization)
		}))
}
