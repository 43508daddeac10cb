package user

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type auditWire struct {
	ID         string            `json:"id" example:"aud_06d1…"`
	Sequence   int64             `json:"sequence"`
	Time       time.Time         `json:"time"`
	Actor      string            `json:"actor,omitempty" doc:"User id; absent for one who was not signed in, and after an erasure"`
	ActorKind  string            `json:"actor_kind,omitempty"`
	Credential string            `json:"credential,omitempty" doc:"Id of the session or API key"`
	Action     string            `json:"action" example:"api_key.created"`
	Target     string            `json:"target"`
	Outcome    string            `json:"outcome" enum:"ok,failed,refused"`
	RequestID  string            `json:"request_id,omitempty"`
	Client     string            `json:"client,omitempty" doc:"Network address of the caller, where it is known"`
	Detail     map[string]string `json:"detail,omitempty"`
	Erased     []string          `json:"erased,omitempty" nullable:"false" doc:"The parts whose values were erased with a person: actor, target, client, detail"`
}

func wireAudit(r AuditRecord) auditWire {
	return auditWire{
		ID: r.ID, Sequence: r.Sequence, Time: r.Time, Actor: r.Actor, ActorKind: string(r.ActorKind), Credential: r.Credential,
		Action: r.Action, Target: r.Target, Outcome: r.Outcome, RequestID: r.RequestID, Client: r.Client, Detail: r.Detail, Erased: r.Erased,
	}
}

type auditInput struct {
	page.Input
	Action  string    `query:"action" maxLength:"100" doc:"An action such as login.failed, or a noun with a star such as session.*"`
	Actor   string    `query:"actor" maxLength:"100" doc:"Only what this user, operator or part of the host did"`
	Target  string    `query:"target" maxLength:"100" doc:"Only what was done to the thing of this id"`
	Outcome string    `query:"outcome" enum:"ok,failed,refused" doc:"Only what ended so"`
	From    time.Time `query:"from" doc:"The first moment"`
	To      time.Time `query:"to" doc:"The first moment that is left out"`
	Order   string    `query:"order" enum:"newest,oldest" default:"newest" doc:"Which come first"`
}

func (in *auditInput) filter() AuditFilter {
	return AuditFilter{
		Action: in.Action, Actor: in.Actor, Target: in.Target, Outcome: in.Outcome, From: in.From, To: in.To,
		OldestFirst: in.Order == "oldest",
	}
}

type auditHeadWire struct {
	Sequence int64  `json:"sequence" doc:"0 for a chain without records"`
	Hash     string `json:"hash" doc:"In hex; docs/audit.md says of what"`
}

func wireHead(h AuditHead) auditHeadWire { return auditHeadWire(h) }

type auditCheckInput struct {
	Cursor string `query:"cursor" doc:"The next_cursor of the call before; none begins with the oldest record"`
	Anchor string `query:"anchor" maxLength:"100" pattern:"^[0-9]{1,18}:[0-9a-f]{64,66}$" example:"1204:02abababababababababababababababababababababababababababababababab" doc:"A head that was kept elsewhere, as sequence:hash, which the chain must still have"`
}

type auditCheckWire struct {
	Valid      bool          `json:"valid"`
	BrokenAt   int64         `json:"broken_at,omitempty" doc:"The first record that does not fit"`
	From       int64         `json:"from,omitempty" doc:"The first record that was looked at; those before it are gone, or were looked at before"`
	Through    auditHeadWire `json:"through" doc:"The last record that was looked at"`
	Complete   bool          `json:"complete" doc:"Whether that is the end of the chain"`
	Erased     int64         `json:"erased" doc:"How many of these records have erased parts"`
	Opaque     int64         `json:"opaque" doc:"How many of those are of the first format, whose values cannot be checked after an erasure"`
	NextCursor string        `json:"next_cursor,omitempty" doc:"Goes on from there; absent at the end, and where the chain is broken"`
}

const auditSearchDoc = "A search that looks for few among very many may return fewer than it finds in all, or none, with a next_cursor."

func (s *Service) routeAudit(api *rest.API) {
	search := get("audit.list", "/v1/audit", "Security events of the organization", platform.Require(permAuditRead))
	search.Description = auditSearchDoc
	rest.Handle(api, search, as(auditSearch(s.Audit)))
	rest.Handle(api, get("audit.head", "/v1/audit/head", "The last record's place in the chain, to be kept elsewhere", platform.Require(permAuditRead)),
		as(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[auditHeadWire], error) {
			head, err := s.AuditEnd(ctx, p)
			return found(head, err, wireHead)
		}))
	rest.Handle(api, get("audit.verify", "/v1/audit/verify", "Check up to 10,000 records of the chain", platform.Require(permAuditRead)),
		as(auditCheck(s.CheckAudit)))

	s.routeAuditRetention(api)
	s.routeAuditExport(api)

	operators := get("operator.audit.list", "/v1/operator/audit", "What operators, the host and people without an organization did", platform.Operator())
	operators.Description = auditSearchDoc
	rest.Handle(api, operators, asPerson(auditSearch(s.OperatorAudit)))
	rest.Handle(api, get("operator.audit.verify", "/v1/operator/audit/verify", "Check up to 10,000 records of the installation's chain", platform.Operator()),
		asPerson(auditCheck(s.CheckOperatorAudit)))
}

type auditKeepingWire struct {
	Days     int `json:"days" doc:"For how many days records are kept; 0 is for ever"`
	Chosen   int `json:"chosen" doc:"What the organization has chosen; 0 where that is nothing"`
	Shortest int `json:"shortest" doc:"The fewest days it may choose; 0 where it may choose nothing"`
	Longest  int `json:"longest" doc:"The most days it may choose"`
}

func wireKeeping(k AuditKeeping) auditKeepingWire { return auditKeepingWire(k) }

type auditKeepingInput struct {
	Body struct {
		Days int `json:"days" minimum:"0" maximum:"36500" doc:"0 leaves it to the host"`
	}
}

func (s *Service) routeAuditRetention(api *rest.API) {
	rest.Handle(api, get("audit.retention.get", "/v1/audit/retention", "For how long the organization's audit keeps records", platform.Require(permAuditRead)),
		as(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[auditKeepingWire], error) {
			k, err := s.AuditKeeping(ctx, p)
			return found(k, err, wireKeeping)
		}))
	rest.Handle(api, patch("audit.retention.update", "/v1/audit/retention", "Choose for how long the audit keeps records", platform.Require(permAuditWrite).Fresh(15*time.Minute)),
		as(func(ctx context.Context, p platform.Principal, in *auditKeepingInput) (*output[auditKeepingWire], error) {
			k, err := s.KeepAudit(ctx, p, in.Body.Days)
			return found(k, err, wireKeeping)
		}))
}

func auditSearch(
	search func(context.Context, platform.Principal, AuditFilter, int, string) ([]AuditRecord, string, error),
) func(context.Context, platform.Principal, *auditInput) (*output[page.Output[auditWire]], error) {
	return func(ctx context.Context, p platform.Principal, in *auditInput) (*output[page.Output[auditWire]], error) {
		all, next, err := search(ctx, p, in.filter(), in.Limit, in.Cursor)
		return listed(all, next, err, wireAudit)
	}
}

func auditCheck(
	check func(context.Context, platform.Principal, AuditHead, ...AuditHead) (AuditCheck, error),
) func(context.Context, platform.Principal, *auditCheckInput) (*output[auditCheckWire], error) {
	const list = "audit.verify"
	return func(ctx context.Context, p platform.Principal, in *auditCheckInput) (*output[auditCheckWire], error) {
		after, anchors, err := in.places(list)
		if err != nil {
			return nil, err
		}
		c, err := check(ctx, p, after, anchors...)
		out := auditCheckWire{
			Valid: err == nil, From: c.From, Through: wireHead(c.Through), Complete: c.Complete, Erased: c.Erased, Opaque: c.Opaque,
		}
		var broken *AuditBrokenError
		if errors.As(err, &broken) {
			out.BrokenAt, err = broken.At, nil
		} else if !c.Complete {
			out.NextCursor = page.Cursor(list, strconv.FormatInt(c.Through.Sequence, 10), c.Through.Hash)
		}
		return &output[auditCheckWire]{out}, err
	}
}

// places reads where a check goes on, and what it compares with.
func (in *auditCheckInput) places(list string) (after AuditHead, anchors []AuditHead, err error) {
	key, err := page.Key(list, 2, in.Cursor)
	if err != nil {
		return after, nil, err
	}
	if key != nil {
		if after, err = parseHead(key[0], key[1]); err != nil {
			return after, nil, page.BadCursor()
		}
	}
	if sequence, hash, ok := strings.Cut(in.Anchor, ":"); ok {
		anchor, err := parseHead(sequence, hash)
		if err != nil {
			return after, nil, field("query.anchor", "format", "sequence:hash")
		}
		anchors = append(anchors, anchor)
	}
	return after, anchors, nil
}

func parseHead(sequence, hash string) (AuditHead, error) {
	n, err := strconv.ParseInt(sequence, 10, 64)
	return AuditHead{Sequence: n, Hash: hash}, err
}

type securityEventWire struct {
	ID           string            `json:"id" example:"aud_06d1…"`
	Time         time.Time         `json:"time"`
	Organization string            `json:"organization,omitempty" doc:"Where it happened; absent for what concerns no organization"`
	Action       string            `json:"action" example:"login.failed"`
	Outcome      string            `json:"outcome" enum:"ok,failed,refused"`
	Own          bool              `json:"own" doc:"Whether one did it oneself"`
	ActorKind    string            `json:"actor_kind,omitempty" doc:"What did it: user, api_key, operator, system; absent for one who was not signed in"`
	Credential   string            `json:"credential,omitempty" doc:"Id of the session or API key, of what one did oneself"`
	Target       string            `json:"target,omitempty" doc:"Of what one did oneself"`
	Client       string            `json:"client,omitempty" doc:"Network address; absent where somebody else who is known did it"`
	Detail       map[string]string `json:"detail,omitempty" doc:"Of what one did oneself"`
}

func wireSecurityEvent(e SecurityEvent) securityEventWire {
	return securityEventWire{
		ID: e.ID, Time: e.Time, Organization: string(e.Organization), Action: e.Action, Outcome: e.Outcome, Own: e.Own,
		ActorKind: string(e.ActorKind), Credential: e.Credential, Target: e.Target, Client: e.Client, Detail: e.Detail,
	}
}

func (s *Service) routeSecurityEvents(api *rest.API) {
	rest.Handle(api, get("me.securityEvents.list", "/v1/me/security-events", "What one did and what was done to one's account, in all organizations", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[securityEventWire]], error) {
			all, next, err := s.SecurityEvents(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireSecurityEvent)
		}))
}
