package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// consume turns a batch of events into messages and deliveries, in one
// transaction for each tenant that has a use for one of them.
func (s *Service) consume(ctx context.Context, batch []platform.Event) error {
	var (
		order    []platform.TenantID
		byTenant = make(map[platform.TenantID][]*platform.Event)
	)
	for i := range batch {
		t := batch[i].Tenant
		if _, ok := byTenant[t]; !ok {
			order = append(order, t)
		}
		byTenant[t] = append(byTenant[t], &batch[i])
	}
	current, err := s.books.of(ctx, order)
	if err != nil {
		return err
	}
	// One tenant's trouble leaves the others theirs: what is done is
	// remembered, and the batch comes again.
	var errs []error
	for _, t := range order {
		if err := s.consumeTenant(ctx, t, current[t], byTenant[t]); err != nil {
			errs = append(errs, fmt.Errorf("notify: events of %s: %w", t, err))
		}
	}
	return errors.Join(errs...)
}

// effect is what one event leads to.
type effect struct {
	event *platform.Event
	plans []*plan
}

func (s *Service) consumeTenant(ctx context.Context, tenant platform.TenantID, b *book, events []*platform.Event) error {
	var effects []effect
	for _, e := range events {
		if strings.HasPrefix(e.Type, "user.") {
			s.people.forget(tenant)
		}
		if plans := s.plans(ctx, b, e); plans != nil {
			effects = append(effects, effect{e, plans})
		}
	}
	if effects == nil {
		return nil
	}
	return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		plans := make([]*plan, 0, len(effects))
		for _, e := range effects {
			fresh, err := tx.Once(ctx, Group, *e.event)
			if err != nil {
				return err
			}
			if fresh {
				plans = append(plans, e.plans...)
			}
		}
		return s.write(ctx, tx, plans)
	})
}

// plans makes what an event leads to, or nil.
func (s *Service) plans(ctx context.Context, b *book, e *platform.Event) []*plan {
	var (
		out       []*plan
		variables map[string]any
	)
	if e.Source != "/notify" {
		for _, r := range b.rules {
			if !typeMatches(r.Event, e.Type) || !r.filter.IsZero() && !r.filter.Match(e.Data, e.Subject) {
				continue
			}
			if variables == nil {
				variables = eventVariables(e)
			}
			if p := s.apply(ctx, b, r, e, variables); p != nil {
				out = append(out, p)
			}
		}
	}
	var deliveries []deliveryRow
	for _, ep := range b.endpoints {
		if !ep.takes(e.Type) {
			continue
		}
		d := deliveryRow{
			id: s.cfg.NewID("dlv"), eventID: e.ID, eventType: e.Type, channel: ChannelWebhook, recipient: ep.id,
			status: DeliveryPending, createdAt: s.stamp(),
		}
		if deliveries == nil {
			d.body = eventEnvelope(*e)
		} else {
			d.body = deliveries[0].body
		}
		deliveries = append(deliveries, d)
	}
	if deliveries != nil {
		out = append(out, &plan{deliveries: deliveries})
	}
	return out
}

func (e endpointEntry) takes(eventType string) bool {
	return slices.ContainsFunc(e.types, func(pattern string) bool { return typeMatches(pattern, eventType) })
}

// apply makes the message of a rule, or nil where nobody is to get it. A text
// that cannot be made is kept as a failed message: the event must not come
// back for ever, and the owner of the rule has to see it.
func (s *Service) apply(ctx context.Context, b *book, r *activeRule, e *platform.Event, variables map[string]any) *plan {
	row := &messageRow{
		id: s.cfg.NewID("msg"), createdAt: s.stamp(), status: MessageDispatched, channels: r.Channels,
		rule: r.ID, event: e.ID, actor: e.Actor, audience: target{Audience: r.To.Audience},
	}
	if r.To.ExcludeActor {
		row.audience.Exclude = e.Actor
	}
	if r.To.Actor && e.Actor != "" {
		row.audience.Users = append(slices.Clone(r.To.Users), e.Actor)
	}
	p := &plan{message: row}
	var err error
	if row.text, err = r.text.render(variables, "/text"); err != nil {
		row.status, row.reason = MessageFailed, failure(err)
		row.text.title = r.Name
		return p
	}
	var recipients []Recipient
	if !row.audience.IsZero() {
		recipients, err = s.people.recipients(ctx, e.Tenant, row.audience.Audience)
	}
	if err != nil {
		// The stream must not wait for a directory: a job asks it again.
		s.log.WarnContext(ctx, "looking up an audience failed; it will be tried again",
			slog.String("tenant", string(e.Tenant)), slog.String("rule", r.ID), slog.Any("error", err))
		row.status, p.fanOut = MessageAccepted, true
		return p
	}
	recipients = without(recipients, row.audience.Exclude)
	if len(recipients) > MaxRecipients {
		row.status, row.reason = MessageFailed, "too_many_recipients"
		return p
	}
	var endpoints []string
	for _, ep := range b.endpoints {
		if ep.takes(MessageEventType) {
			endpoints = append(endpoints, ep.id)
		}
	}
	s.address(p, e.Tenant, recipients, endpoints)
	if len(p.inbox) == 0 && len(p.deliveries) == 0 {
		return nil
	}
	return p
}

// failure is the text of an error for the owner of a rule.
func failure(err error) string {
	var e *platform.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		return e.Fields[0].Detail
	}
	return "the text cannot be made"
}

// eventVariables are what the text of a rule can use.
func eventVariables(e *platform.Event) map[string]any {
	var data any
	if len(e.Data) > 0 {
		d := json.NewDecoder(bytes.NewReader(e.Data))
		d.UseNumber()
		if d.Decode(&data) == nil { // what is not JSON has no fields
			data = numbers(data)
		}
	}
	if data == nil {
		data = map[string]any{} // so that a missing field is named as missing
	}
	return map[string]any{
		"event": map[string]any{
			"id": e.ID, "type": e.Type, "source": e.Source, "subject": e.Subject,
			"time": e.Time.UTC().Format(time.RFC3339), "actor": e.Actor,
		},
		"data": data,
	}
}

// variables are a caller's, in the form that templates see.
func variables(v map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, platform.Invalid(platform.Field{Path: "/variables", Code: "format", Detail: "must be JSON values"}).Because(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	out := make(map[string]any)
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("notify: variables: %w", err)
	}
	if out == nil { // null
		out = make(map[string]any)
	}
	numbers(out)
	return out, nil
}

// numbers replaces JSON numbers by int64 where they fit and by float64 else,
// in place: a template then writes 1000000 and not 1e+06, and can compare.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = numbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = numbers(x)
		}
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil { // beyond float64: as it was written
			return string(v)
		}
		return f
	}
	return v
}
