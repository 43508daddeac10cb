package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type auditWire struct {
	ID         string            `json:"id" example:"aud_06d1…"`
	Sequence   int64             `json:"sequence"`
	Time       time.Time         `json:"time"`
	Actor      string            `json:"actor,omitempty" doc:"User id; absent for one who was not signed in"`
	ActorKind  string            `json:"actor_kind,omitempty"`
	Credential string            `json:"credential,omitempty" doc:"Id of the session or API key"`
	Action     string            `json:"action" example:"api_key.created"`
	Target     string            `json:"target"`
	Outcome    string            `json:"outcome" enum:"ok,failed"`
	RequestID  string            `json:"request_id,omitempty"`
	Client     string            `json:"client,omitempty" doc:"Network address of the caller, where it is known"`
	Detail     map[string]string `json:"detail,omitempty"`
}

func wireAudit(r AuditRecord) auditWire {
	return auditWire{
		ID: r.ID, Sequence: r.Sequence, Time: r.Time, Actor: r.Actor, ActorKind: string(r.ActorKind), Credential: r.Credential,
		Action: r.Action, Target: r.Target, Outcome: r.Outcome, RequestID: r.RequestID, Client: r.Client, Detail: r.Detail,
	}
}

type auditInput struct {
	page.Input
	Action string `query:"action" maxLength:"100" doc:"Only this action, such as login.failed"`
	Actor  string `query:"actor" maxLength:"100" doc:"Only what this user did"`
}

func (s *Service) routeAudit(api *rest.API) {
	rest.Handle(api, get("audit.list", "/v1/audit", "Security events, the newest first", platform.Require(permAuditRead)),
		as(func(ctx context.Context, p platform.Principal, in *auditInput) (*output[page.Output[auditWire]], error) {
			all, next, err := s.Audit(ctx, p, AuditFilter{Action: in.Action, Actor: in.Actor}, in.Limit, in.Cursor)
			return listed(all, next, err, wireAudit)
		}))
}
