package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type accessRuleWire struct {
	ID          string        `json:"id" example:"rul_06d1…"`
	Role        string        `json:"role,omitempty" doc:"The name of the role that the rule is about"`
	TeamID      string        `json:"team_id,omitempty" doc:"The team that the rule is about"`
	Permission  string        `json:"permission"`
	Effect      string        `json:"effect" enum:"allow,deny"`
	Resource    *resourceWire `json:"resource,omitempty" doc:"What the rule is limited to; absent is no limit"`
	Description string        `json:"description"`
	CreatedBy   string        `json:"created_by,omitempty" doc:"The id of a user; absent for the host"`
	CreatedAt   time.Time     `json:"created_at"`
}

func wireAccessRule(r AccessRule) accessRuleWire {
	return accessRuleWire{
		ID: r.ID, Role: r.Role, TeamID: r.Team, Permission: r.Permission, Effect: string(r.Effect), Resource: wireResource(r.Resource),
		Description: r.Description, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
	}
}

// accessRuleList is a list without pages: an organization has at most 200 rules.
type accessRuleList struct {
	Data []accessRuleWire `json:"data" nullable:"false"`
}

type newAccessRuleInput struct {
	Body struct {
		Role        string        `json:"role,omitempty" maxLength:"63" doc:"The name of a role but owner; this or team_id" example:"member"`
		TeamID      string        `json:"team_id,omitempty" maxLength:"100"`
		Permission  string        `json:"permission" minLength:"1" maxLength:"128" doc:"A permission, or a pattern such as data.*" example:"data.records.delete"`
		Effect      string        `json:"effect" enum:"allow,deny" doc:"A rule that denies wins over all that allow"`
		Resource    *resourceWire `json:"resource,omitempty" doc:"What to limit the rule to; the type is one that the installation asks for"`
		Description string        `json:"description,omitempty" maxLength:"500"`
	}
}

func (s *Service) routeAccessRules(api *rest.API) {
	rest.Handle(api, get("accessRules.list", "/v1/access-rules", "What is allowed and denied to roles and teams", platform.Require(permRolesRead)),
		as(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[accessRuleList], error) {
			all, err := s.AccessRules(ctx, p)
			return found(all, err, func(all []AccessRule) accessRuleList { return accessRuleList{mapped(all, wireAccessRule)} })
		}))
	rest.Handle(api, get("accessRules.get", "/v1/access-rules/{id}", "One access rule", platform.Require(permRolesRead)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*output[accessRuleWire], error) {
			r, err := s.AccessRule(ctx, p, in.ID)
			return found(r, err, wireAccessRule)
		}))
	rest.Handle(api, post("accessRules.create", "/v1/access-rules", "Allow or deny something to a role or team", platform.Require(permRolesWrite), http.StatusCreated),
		as(func(ctx context.Context, p platform.Principal, in *newAccessRuleInput) (*created[accessRuleWire], error) {
			b := in.Body
			rule := NewAccessRule{Role: b.Role, Team: b.TeamID, Permission: b.Permission, Effect: Effect(b.Effect), Description: b.Description}
			if b.Resource != nil {
				rule.Resource = Resource{Type: b.Resource.Type, ID: b.Resource.ID}
			}
			r, err := s.CreateAccessRule(ctx, p, rule, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &created[accessRuleWire]{Location: "/v1/access-rules/" + r.ID, Body: wireAccessRule(r)}, nil
		}))
	rest.Handle(api, remove("accessRules.delete", "/v1/access-rules/{id}", "Remove an access rule", platform.Require(permRolesWrite)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.DeleteAccessRule(ctx, p, in.ID)
		}))
}
