package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/acme/platform"
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
	current, err := s.rulesets.of(ctx, order)
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

// One pass of the consumer does for one tenant what takes tens of milliseconds
// at most, whatever the tenant's rules cost and reach; the events that are left
// become jobs, one each, whose workers the tenants share. Other tenants' events
// wait behind the pass, and on SQLite their writes behind one commit.
const (
	passSteps  = 500_000 // of renderings
	passRows   = 5_000   // inbox entries and deliveries
	commitRows = 1_000   // of one transaction
)

// pass is the work on events of one tenant.
type pass struct {
	tenant platform.TenantID
	rules  *ruleset
	limits platform.Limits
	known  bool // the limits are
	job    bool // of one event, which cannot be left to a later job
	spent  bool // the day's messages are used up
	steps  int  // left
	rows   int  // left
}

func (s *Service) consumeTenant(ctx context.Context, tenant platform.TenantID, b *ruleset, events []*platform.Event) error {
	var (
		p       = &pass{tenant: tenant, rules: b, steps: passSteps, rows: passRows}
		effects []*effect
		rows    int
		asked   bool // whether the tenant is suspended
		waits   bool
	)
	commit := func() error {
		if len(effects) == 0 {
			return nil
		}
		err := s.commit(ctx, p, effects)
		effects, rows = nil, 0
		return err
	}
	for _, e := range events {
		if strings.HasPrefix(e.Type, "user.") {
			s.people.forget(tenant)
		}
		m := b.match(e)
		if m.none() {
			continue
		}
		if !asked {
			asked, waits = true, s.eventsWait(ctx, tenant)
		}
		if waits {
			effects = append(effects, &effect{event: e, later: true})
			continue
		}
		if err := s.readLimits(ctx, p); err != nil || p.steps <= 0 || p.rows <= 0 {
			// Also where the host does not say what the limits are: the stream
			// must not wait for it.
			effects = append(effects, &effect{event: e, later: true})
			continue
		}
		f, err := s.effect(ctx, p, e, m)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		effects = append(effects, f)
		if rows += f.rows(); rows >= commitRows {
			if err := commit(); err != nil {
				return err
			}
		}
	}
	return commit()
}

// readLimits fills in the limits of a pass.
func (s *Service) readLimits(ctx context.Context, p *pass) (err error) {
	if p.known {
		return nil
	}
	if p.limits, err = s.cfg.Limits.Of(ctx, p.tenant); err != nil {
		s.log.WarnContext(ctx, "reading the limits of a tenant failed; its events will be tried again",
			slog.String("tenant", string(p.tenant)), slog.Any("error", err))
		return err
	}
	p.known, p.spent = true, s.spent.is(p.tenant, p.limits.MessagesPerDay, s.cfg.Now())
	return nil
}

// match is what of a ruleset an event meets.
type match struct {
	rules     []*activeRule
	endpoints []endpointEntry
}

func (m *match) none() bool { return m.rules == nil && m.endpoints == nil }

func (b *ruleset) match(e *platform.Event) (m match) {
	if e.Source != "/notify" {
		for _, r := range b.rules {
			if typeMatches(r.Event, e.Type) && (r.filter.IsZero() || r.filter.Match(e.Data, e.Subject)) {
				m.rules = append(m.rules, r)
			}
		}
	}
	for _, ep := range b.endpoints {
		if ep.takes(e.Type) {
			m.endpoints = append(m.endpoints, ep)
		}
	}
	return m
}

func (e endpointEntry) takes(eventType string) bool {
	return slices.ContainsFunc(e.types, func(pattern string) bool { return typeMatches(pattern, eventType) })
}
