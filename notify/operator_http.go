package notify

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type ruleFailureWire struct {
	Organization string    `json:"organization" doc:"Id of the organization that the rule belongs to"`
	Rule         string    `json:"rule" doc:"Id of the rule, or endpoints for events that a limit kept from the webhooks"`
	Name         string    `json:"name"`
	Today        int64     `json:"today" doc:"On the UTC day of last_at"`
	Total        int64     `json:"total" doc:"Since the rule was changed last"`
	OverBudget   int       `json:"over_budget" doc:"Texts in a row that took more than a text may; with the tenth the rule is switched off"`
	Reason       string    `json:"reason" doc:"Why the last one failed"`
	Event        string    `json:"event" doc:"Id of its event"`
	LastAt       time.Time `json:"last_at"`
	Enabled      bool      `json:"enabled"`
}

func wireRuleFailure(f RuleFailure) ruleFailureWire {
	return ruleFailureWire{
		Organization: string(f.Tenant), Rule: f.Rule, Name: f.Name, Today: f.Today, Total: f.Total, OverBudget: f.OverBudget,
		Reason: f.Reason, Event: f.Event, LastAt: f.At, Enabled: !f.Disabled,
	}
}

type ruleFailuresInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"The rules that failed last come first"`
}

type ruleFailuresOutput struct {
	Data []ruleFailureWire `json:"data" nullable:"false"`
}

type disableRuleInput struct {
	Organization string `path:"organization" maxLength:"100" doc:"Id of the organization that the rule belongs to"`
	ID           string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body         struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"What the organization sees" example:"It sends more than anybody reads."`
	}
}

// registerOperator describes what the operators of the installation may do.
func (s *Service) registerOperator() {
	list := rest.Operation{
		ID: "operator.ruleFailures.list", Method: http.MethodGet, Path: "/v1/operator/rule-failures",
		Access: platform.Operator(), Summary: "The rules of all organizations that failed last",
	}
	rest.Handle(s.api, list, func(ctx context.Context, in *ruleFailuresInput) (*ok[ruleFailuresOutput], error) {
		p, err := platform.CallerFrom(ctx)
		if err != nil {
			return nil, err
		}
		failures, err := s.RuleFailures(ctx, p, in.Limit)
		if err != nil {
			return nil, err
		}
		out := ruleFailuresOutput{Data: make([]ruleFailureWire, len(failures))}
		for i, f := range failures {
			out.Data[i] = wireRuleFailure(f)
		}
		return &ok[ruleFailuresOutput]{out}, nil
	})
	disable := again(rest.Operation{
		ID: "operator.rules.disable", Method: http.MethodPost, Path: "/v1/operator/organizations/{organization}/rules/{id}/disable",
		Access: platform.Operator(), Summary: "Switch off a rule of an organization, which can switch it on again", Status: http.StatusNoContent,
	})
	rest.Handle(s.api, disable, func(ctx context.Context, in *disableRuleInput) (*empty, error) {
		p, err := platform.CallerFrom(ctx)
		if err != nil {
			return nil, err
		}
		return &empty{}, s.DisableRule(ctx, p, platform.TenantID(in.Organization), in.ID, in.Body.Reason)
	})
}

// operates refuses who does not run the installation.
func operates(p platform.Principal) error {
	if p.Kind == platform.PrincipalSystem {
		return nil
	}
	return platform.Operator().Admits(p, "")
}
