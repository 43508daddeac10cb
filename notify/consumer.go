package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

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
		plans, err := s.plans(ctx, b, e)
		if err != nil {
			return err
		}
		if plans != nil {
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

// plans makes what an event leads to, or nil. Its error is that of ctx.
func (s *Service) plans(ctx context.Context, b *book, e *platform.Event) ([]*plan, error) {
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
			p, err := s.apply(ctx, b, r, e, variables)
			if err != nil {
				return nil, err
			}
			if p != nil {
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
	return out, nil
}

func (e endpointEntry) takes(eventType string) bool {
	return slices.ContainsFunc(e.types, func(pattern string) bool { return typeMatches(pattern, eventType) })
}

// apply makes the message of a rule, or nil where nobody is to get it. A text
// that cannot be made is kept as a failed message: the event must not come
// back for ever, and the owner of the rule has to see it.
func (s *Service) apply(ctx context.Context, b *book, r *activeRule, e *platform.Event, variables map[string]any) (*plan, error) {
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
	if row.text, _, err = r.text.render(ctx, variables, "/text"); err != nil {
		if ctx.Err() != nil { // the service stops: the event comes again
			return nil, ctx.Err()
		}
		row.status, row.reason = MessageFailed, failure(err)
		row.text.title = r.Name
		return p, nil
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
		return p, nil
	}
	recipients = without(recipients, row.audience.Exclude)
	if len(recipients) > MaxRecipients {
		row.status, row.reason = MessageFailed, "too_many_recipients"
		return p, nil
	}
	var endpoints []string
	for _, ep := range b.endpoints {
		if ep.takes(MessageEventType) {
			endpoints = append(endpoints, ep.id)
		}
	}
	s.address(p, e.Tenant, recipients, endpoints)
	if len(p.inbox) == 0 && len(p.deliveries) == 0 {
		return nil, nil //nolint:nilnil // nobody is to get it
	}
	return p, nil
}

// failure is the text of an error for the owner of a rule.
func failure(err error) string {
	var e *platform.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		return e.Fields[0].Detail
	}
	return "the text cannot be made"
}
