package user

import (
	"context"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type resourceWire struct {
	Type string `json:"type" maxLength:"63" pattern:"^[A-Za-z][A-Za-z0-9_-]{0,62}$" example:"invoice"`
	ID   string `json:"id,omitempty" maxLength:"200" example:"inv_06d1…"`
}

type askedResourceWire struct {
	Type       string            `json:"type" maxLength:"63" pattern:"^[A-Za-z][A-Za-z0-9_-]{0,62}$" example:"invoice"`
	ID         string            `json:"id,omitempty" maxLength:"200" example:"inv_06d1…"`
	Attributes map[string]string `json:"attributes,omitempty" doc:"What the installation's access model may ask of the resource; at most 20"`
}

func (r *askedResourceWire) resource() Resource {
	if r == nil {
		return Resource{}
	}
	return Resource{Type: r.Type, ID: r.ID, Attributes: r.Attributes}
}

func wireResource(r Resource) *resourceWire {
	if r.Type == "" {
		return nil
	}
	return &resourceWire{r.Type, r.ID}
}

type questionWire struct {
	Permission string             `json:"permission" minLength:"1" maxLength:"128" example:"data.records.write"`
	Resource   *askedResourceWire `json:"resource,omitempty" doc:"What it is to be done to; absent is nothing in particular"`
}

type checkInput struct {
	Body struct {
		Checks []questionWire `json:"checks" minItems:"1" maxItems:"100" nullable:"false"`
	}
}

type answerWire struct {
	Allowed bool `json:"allowed"`
}

type checkOutput struct {
	Data []answerWire `json:"data" nullable:"false" doc:"The answers, in the order of the questions"`
}

type explainInput struct {
	Body struct {
		Permission string             `json:"permission" minLength:"1" maxLength:"128" example:"data.records.write"`
		Resource   *askedResourceWire `json:"resource,omitempty" doc:"What it is to be done to; absent is nothing in particular"`
		MemberID   string             `json:"member_id,omitempty" maxLength:"100" doc:"The membership to answer for; absent is the caller's"`
	}
}

type stepWire struct {
	Role   string `json:"role,omitempty" doc:"The name of a role"`
	TeamID string `json:"team_id,omitempty"`
}

type appliedRuleWire struct {
	RuleID     string        `json:"rule_id,omitempty" doc:"An access rule; absent for a permission that a role lists"`
	Effect     string        `json:"effect" enum:"allow,deny"`
	Permission string        `json:"permission"`
	Resource   *resourceWire `json:"resource,omitempty"`
	Via        []stepWire    `json:"via" nullable:"false" doc:"From a role of the membership, or a team, to what the rule is about"`
}

type decisionWire struct {
	Allowed bool              `json:"allowed"`
	Reason  string            `json:"reason" enum:"allowed,denied,no_rule,out_of_scope,system"`
	Rules   []appliedRuleWire `json:"rules" nullable:"false" doc:"The rules that apply, those that deny first"`
}

func wireDecision(d Decision) decisionWire {
	return decisionWire{Allowed: d.Allowed, Reason: string(d.Reason), Rules: mapped(d.Rules, func(r AppliedRule) appliedRuleWire {
		return appliedRuleWire{
			RuleID: r.RuleID, Effect: string(r.Effect), Permission: r.Permission, Resource: wireResource(r.Resource),
			Via: mapped(r.Via, func(s Step) stepWire { return stepWire{Role: s.Role, TeamID: s.Team} }),
		}
	})}
}

func (s *Service) routeDecisions(api *rest.API) {
	rest.Handle(api, postAgain("authorize.check", "/v1/authorize/check", "Whether the caller may do things", platform.Authenticated(), http.StatusOK),
		as(func(ctx context.Context, p platform.Principal, in *checkInput) (*output[checkOutput], error) {
			questions := mapped(in.Body.Checks, func(q questionWire) Question { return Question{q.Permission, q.Resource.resource()} })
			answers, err := s.CanAll(ctx, p, questions)
			return found(answers, err, func(all []bool) checkOutput {
				return checkOutput{mapped(all, func(ok bool) answerWire { return answerWire{ok} })}
			})
		}))
	rest.Handle(api, postAgain("authorize.explain", "/v1/authorize/explain", "Why the caller, or a member, may do something or not",
		platform.Require(permRolesRead), http.StatusOK),
		as(func(ctx context.Context, p platform.Principal, in *explainInput) (*output[decisionWire], error) {
			if in.Body.MemberID == "" {
				d, err := s.ExplainAccess(ctx, p, in.Body.Permission, in.Body.Resource.resource())
				return found(d, err, wireDecision)
			}
			d, err := s.ExplainMember(ctx, p, in.Body.MemberID, in.Body.Permission, in.Body.Resource.resource())
			return found(d, err, wireDecision)
		}))
}
