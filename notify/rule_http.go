package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type ruleAudienceWire struct {
	Users        []string `json:"users,omitempty" maxItems:"1000"`
	Roles        []string `json:"roles,omitempty" maxItems:"100"`
	Everyone     bool     `json:"everyone,omitempty"`
	Actor        bool     `json:"actor,omitempty" doc:"Adds who caused the event"`
	ExcludeActor bool     `json:"exclude_actor,omitempty" doc:"Leaves out who caused the event"`
}

type ruleWire struct {
	ID       string           `json:"id"`
	Name     string           `json:"name"`
	Event    string           `json:"event"`
	Filter   rest.Object      `json:"filter,omitempty"`
	Channels []string         `json:"channels"`
	To       ruleAudienceWire `json:"to"`
	Template string           `json:"template,omitempty"`
	Title    string           `json:"title,omitempty"`
	Body     string           `json:"body,omitempty"`
	Enabled  bool             `json:"enabled"`
	Builtin  bool             `json:"built_in,omitempty" doc:"A rule of the installation: it can only be switched on and off"`

	DisabledReason string            `json:"disabled_reason,omitempty" doc:"over_budget where ten texts in a row took more than a text may, or what an operator said"`
	Failures       *ruleFailuresWire `json:"failures,omitempty" doc:"How the rule has failed since it was changed last"`

	CreatedAt *time.Time `json:"created_at,omitempty"`
	UpdatedAt *time.Time `json:"updated_at,omitempty"`
}

type ruleFailuresWire struct {
	Today  int64     `json:"today" doc:"On the UTC day of last_at; the first of a day is a failed message"`
	Total  int64     `json:"total"`
	Reason string    `json:"reason" doc:"Why the last one failed"`
	Event  string    `json:"event" doc:"Id of its event"`
	LastAt time.Time `json:"last_at"`
}

type ruleInput struct {
	Body struct {
		Name     string           `json:"name" minLength:"1" maxLength:"100" example:"New records"`
		Event    string           `json:"event" pattern:"^([*]|[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*([.][*])?)$" doc:"Type of the events: exact, a prefix with \".*\", or \"*\"" example:"data.record.created"`
		Filter   rest.Object      `json:"filter,omitempty" doc:"Filter over the event's data, in the language of records. An import makes an event for each record: {\"import\": {\"$exists\": false}} leaves those out" example:"{\"import\": {\"$exists\": false}}"`
		Channels []string         `json:"channels" minItems:"1" maxItems:"3" enum:"inbox,email,webhook" doc:"inbox, email, webhook" example:"[\"inbox\"]"`
		To       ruleAudienceWire `json:"to,omitempty" doc:"Who gets the message in the inbox or by e-mail" example:"{\"roles\": [\"owner\"]}"`
		Template string           `json:"template,omitempty" doc:"Id or name of a template; or title and body"`
		Title    string           `json:"title,omitempty" doc:"Template: .event.type, .event.subject, .event.actor, .data…" example:"A record in {{.data.collection}}"`
		Body     string           `json:"body,omitempty"`
		Enabled  *bool            `json:"enabled,omitempty" doc:"True where it is not given"`
	}
}

type rulePatch struct {
	ID   string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body struct {
		Name     *string           `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Event    *string           `json:"event,omitempty" pattern:"^([*]|[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*([.][*])?)$"`
		Filter   rest.Object       `json:"filter,omitempty" nullable:"true" doc:"Null removes it"`
		Channels *[]string         `json:"channels,omitempty"`
		To       *ruleAudienceWire `json:"to,omitempty"`
		Template *string           `json:"template,omitempty"`
		Title    *string           `json:"title,omitempty"`
		Body     *string           `json:"body,omitempty"`
		Enabled  *bool             `json:"enabled,omitempty"`
	}
}

func wireRule(r Rule) ruleWire {
	var failed *ruleFailuresWire
	if f := r.Failures; f != nil {
		failed = &ruleFailuresWire{Today: f.Today, Total: f.Total, Reason: f.Reason, Event: f.Event, LastAt: f.At}
	}
	return ruleWire{
		DisabledReason: r.DisabledReason, Failures: failed,
		ID: r.ID, Name: r.Name, Event: r.Event, Filter: rest.Object(r.Filter), Channels: texts(r.Channels), Template: r.Template, Title: r.Title, Body: r.Body,
		To:      ruleAudienceWire{Users: r.To.Users, Roles: r.To.Roles, Everyone: r.To.Everyone, Actor: r.To.Actor, ExcludeActor: r.To.ExcludeActor},
		Enabled: !r.Disabled, Builtin: r.Builtin, CreatedAt: optional(r.CreatedAt), UpdatedAt: optional(r.UpdatedAt),
	}
}

func (w ruleAudienceWire) audience() RuleAudience {
	return RuleAudience{
		Audience: Audience{Users: w.Users, Roles: w.Roles, Everyone: w.Everyone},
		Actor:    w.Actor, ExcludeActor: w.ExcludeActor,
	}
}

// givenFilter is a filter of a body; null is none.
func givenFilter(raw rest.Object) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return json.RawMessage(raw)
}

func (s *Service) registerRules() {
	const path, one = "/v1/notify/rules", "/v1/notify/rules/{id}"
	handle(s, with(operation("notify.rules.create", http.MethodPost, path, permRulesWrite, "Create a rule that turns events into messages"),
		http.StatusCreated, 0), s.httpCreateRule)
	handle(s, operation("notify.rules.list", http.MethodGet, path, permRulesRead, "List rules, those of the installation first"), s.httpRules)
	handle(s, operation("notify.rules.get", http.MethodGet, one, permRulesRead, "Get a rule"), s.httpRule)
	handle(s, operation("notify.rules.update", http.MethodPatch, one, permRulesWrite, "Change a rule"), s.httpUpdateRule)
	handle(s, operation("notify.rules.delete", http.MethodDelete, one, permRulesWrite, "Delete a rule"), s.httpDeleteRule)
}

func (s *Service) httpCreateRule(ctx context.Context, p platform.Principal, in *ruleInput) (*created[ruleWire], error) {
	b := &in.Body
	r, err := s.CreateRule(ctx, p, Rule{
		Name: b.Name, Event: b.Event, Filter: givenFilter(b.Filter), Channels: channelsOf(b.Channels), To: b.To.audience(),
		Template: b.Template, Title: b.Title, Body: b.Body, Disabled: b.Enabled != nil && !*b.Enabled,
	}, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &created[ruleWire]{"/v1/notify/rules/" + r.ID, wireRule(r)}, nil
}

func (s *Service) httpRules(ctx context.Context, p platform.Principal, in *page.Input) (*ok[page.Output[ruleWire]], error) {
	list, next, err := s.Rules(ctx, p, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return wires(list, next, wireRule), nil
}

func (s *Service) httpRule(ctx context.Context, p platform.Principal, in *byID) (*ok[ruleWire], error) {
	r, err := s.Rule(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	return &ok[ruleWire]{wireRule(r)}, nil
}

func (s *Service) httpUpdateRule(ctx context.Context, p platform.Principal, in *rulePatch) (*ok[ruleWire], error) {
	b := &in.Body
	r, err := s.UpdateRule(ctx, p, in.ID, func(r *Rule) {
		set(&r.Name, b.Name)
		set(&r.Event, b.Event)
		if b.Filter != nil {
			r.Filter = givenFilter(b.Filter)
		}
		if b.Channels != nil {
			r.Channels = channelsOf(*b.Channels)
		}
		if b.To != nil {
			r.To = b.To.audience()
		}
		set(&r.Template, b.Template)
		set(&r.Title, b.Title)
		set(&r.Body, b.Body)
		if b.Enabled != nil {
			r.Disabled = !*b.Enabled
		}
	})
	if err != nil {
		return nil, err
	}
	return &ok[ruleWire]{wireRule(r)}, nil
}

func (s *Service) httpDeleteRule(ctx context.Context, p platform.Principal, in *byID) (*empty, error) {
	if err := s.DeleteRule(ctx, p, in.ID); err != nil {
		return nil, err
	}
	return &empty{}, nil
}
