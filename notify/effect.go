package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// effect is what one event leads to: all of it is made before the transaction
// that writes it.
type effect struct {
	event    *platform.Event
	plans    []*plan
	failures []failure
	worked   []string // ids of rules whose text was made
	later    bool     // a job finds out
}

// rows is how many inbox entries and deliveries the effect has.
func (f *effect) rows() int {
	n := 0
	for _, p := range f.plans {
		n += p.rows()
	}
	return n
}

func (p *plan) rows() int { return len(p.inbox) + len(p.deliveries) }

// effect makes what an event leads to, or nil; or leaves it to a job, where the
// pass has done enough. Its error is that of ctx.
func (s *Service) effect(ctx context.Context, p *pass, e *platform.Event, m match) (*effect, error) {
	f := &effect{event: e}
	if len(m.rules) > 0 {
		variables, fanOut := eventVariables(e), 0
		for _, r := range m.rules {
			if p.steps <= 0 && !p.job {
				return &effect{event: e, later: true}, nil
			}
			if err := s.apply(ctx, p, f, r, variables, &fanOut); err != nil {
				return nil, err
			}
		}
	}
	if deliveries := s.eventDeliveries(e, m.endpoints); deliveries != nil {
		if p.spent {
			f.failures = append(f.failures, s.endpointsFailure(e, p.overDay(s)))
		} else {
			f.plans = append(f.plans, &plan{deliveries: deliveries})
		}
	}
	p.rows -= f.rows()
	if f.plans == nil && f.failures == nil {
		return nil, nil //nolint:nilnil // nobody is to get anything
	}
	return f, nil
}

// eventDeliveries brings the event itself to endpoints.
func (s *Service) eventDeliveries(e *platform.Event, endpoints []endpointEntry) []deliveryRow {
	var deliveries []deliveryRow
	for _, ep := range endpoints {
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
	return deliveries
}

// apply adds the message of a rule to f, or a failure: the event must not come
// back for ever, and the owner of the rule has to see it. Who gets the message
// is known before its text is made, and that before anything is written.
func (s *Service) apply(ctx context.Context, p *pass, f *effect, r *activeRule, variables map[string]any, fanOut *int) error {
	e := f.event
	row := &messageRow{
		id: s.cfg.NewID("msg"), createdAt: s.stamp(), status: MessageDispatched, channels: r.Channels,
		rule: r.ID, event: e.ID, actor: e.Actor, audience: target{Audience: r.To.Audience},
	}
	person := cmp.Or(e.OnBehalfOf, e.Actor) // an agent that acts for a person reads no messages
	if r.To.ExcludeActor {
		row.audience.Exclude = person
	}
	if r.To.Actor && person != "" {
		row.audience.Users = append(slices.Clone(r.To.Users), person)
	}
	fail := func(err error) {
		row.text = rendered{title: r.Name}
		f.failures = append(f.failures, newFailure(row, err))
	}
	if p.spent {
		fail(p.overDay(s))
		return nil
	}
	recipients, known := s.recipients(ctx, e.Tenant, row)
	var endpoints []string
	for _, ep := range p.rules.endpoints {
		if ep.takes(MessageEventType) {
			endpoints = append(endpoints, ep.id)
		}
	}
	if known {
		n := entries(row, recipients, endpoints)
		if n == 0 {
			return nil
		}
		if over := overFanOut(p.limits, *fanOut+n); over != nil || len(recipients) > MaxRecipients {
			fail(cmp.Or(over, errRecipients))
			return nil
		}
		*fanOut += n
	}
	text, err := p.render(ctx, r, variables)
	switch {
	case ctx.Err() != nil: // the service stops: the event comes again
		return ctx.Err()
	case err != nil:
		fail(err)
		return nil
	}
	row.text = text
	f.worked = append(f.worked, r.ID)
	made := &plan{message: row}
	if known {
		s.address(made, e.Tenant, recipients, endpoints)
	} else { // the stream must not wait for a directory: a job asks it again
		row.status, made.fanOut = MessageAccepted, true
	}
	f.plans = append(f.plans, made)
	return nil
}

// render makes the text of a rule, and pays for it.
func (p *pass) render(ctx context.Context, r *activeRule, variables map[string]any) (rendered, error) {
	c, cost, err := r.text.compiled()
	p.steps -= cost
	if err != nil { // of an older version, and no longer understood
		return rendered{}, err
	}
	made, cost, err := c.render(ctx, variables, "/text")
	p.steps -= cost
	return made, err
}

// recipients are those of a rule's message, or false where the directory does
// not say.
func (s *Service) recipients(ctx context.Context, tenant platform.TenantID, row *messageRow) ([]Recipient, bool) {
	if row.audience.IsZero() {
		return nil, true
	}
	found, err := s.people.recipients(ctx, tenant, row.audience.Audience)
	if err != nil {
		s.log.WarnContext(ctx, "looking up an audience failed; it will be tried again",
			slog.String("tenant", string(tenant)), slog.String("rule", row.rule), slog.Any("error", err))
		return nil, false
	}
	return without(found, row.audience.Exclude), true
}

// entries is how many inbox entries and deliveries address would make.
func entries(m *messageRow, recipients []Recipient, endpoints []string) int {
	n := 0
	for _, c := range m.channels {
		switch c {
		case ChannelInbox:
			n += len(recipients)
		case ChannelEmail:
			for _, r := range recipients {
				if r.Email != "" {
					n++
				}
			}
			n += len(m.audience.Emails)
		case ChannelWebhook:
			n += len(endpoints)
		}
	}
	return n
}

// commit writes the effects of events that have had none yet.
func (s *Service) commit(ctx context.Context, p *pass, effects []*effect) error {
	return s.db.InTenant(ctx, p.tenant, func(ctx context.Context, tx store.Tx) error {
		fresh := make([]*effect, 0, len(effects))
		for _, f := range effects {
			isNew, err := tx.Once(ctx, Group, *f.event)
			if err != nil {
				return err
			}
			if isNew {
				fresh = append(fresh, f)
			}
		}
		return s.writeEffects(ctx, tx, p, fresh)
	})
}

// writeEffects writes what the day's limits allow; the rest becomes failures.
func (s *Service) writeEffects(ctx context.Context, tx store.Tx, p *pass, effects []*effect) error {
	granted, refused, err := s.charge(ctx, tx, p, effects)
	if err != nil {
		return err
	}
	if err := s.takeMails(ctx, tx, p.limits, granted...); err != nil {
		return err
	}
	told, err := s.recordFailures(ctx, tx, p.rules, effects, refused)
	if err != nil {
		return err
	}
	if err := s.write(ctx, tx, append(granted, told...)); err != nil {
		return err
	}
	for _, f := range effects {
		if f.later {
			if err := s.putOff(ctx, tx, *f.event); err != nil {
				return fmt.Errorf("notify: put an event off: %w", err)
			}
		}
	}
	return nil
}

var errRecipients = errors.New("too_many_recipients")
