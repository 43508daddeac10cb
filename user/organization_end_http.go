package user

import (
	"context"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type transferInput struct {
	Body struct {
		Member string   `json:"member" maxLength:"100" doc:"Id of the membership of the new owner" example:"mem_06d1…"`
		Roles  []string `json:"roles,omitempty" minItems:"1" maxItems:"20" nullable:"false" doc:"Roles of the old owner from then on; admin if absent" example:"[\"admin\"]"`
		Leave  bool     `json:"leave,omitempty" doc:"The old owner leaves the organization instead"`
	}
}

// routeOwnership has the operations by which an organization passes to another
// owner, or loses a member.
func (s *Service) routeOwnership(api *rest.API) {
	rest.Handle(api, post("organizations.transfer", "/v1/organization/transfer", "Make another member the owner in one's place", platform.Require(permOrganizationOwn).Fresh(freshFor), http.StatusOK),
		as(func(ctx context.Context, p platform.Principal, in *transferInput) (*output[memberWire], error) {
			m, err := s.TransferOrganization(ctx, p, Transfer{Member: in.Body.Member, Roles: in.Body.Roles, Leave: in.Body.Leave}, rest.IdempotencyKey(ctx))
			return found(m, err, wireMember)
		}))
	rest.Handle(api, remove("me.organizations.leave", "/v1/me/organizations/{id}", "Leave one of one's organizations", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.LeaveOrganization(ctx, p, platform.TenantID(in.ID))
		}))
}
