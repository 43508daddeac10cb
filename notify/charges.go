package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

// The names of the limits that the service counts.
const (
	limitMessages  = "notify.messages"
	limitFanOut    = "notify.fan_out"
	limitRules     = "notify.rules"
	limitTemplates = "notify.templates"
	limitEndpoints = "notify.endpoints"
)

// charges are what plans use of the day's limits. Every entry of an inbox and
// every delivery is one.
func charges(l platform.Limits, plans ...*plan) []quota.Charge {
	messages := 0
	for _, p := range plans {
		messages += p.rows()
	}
	return []quota.Charge{{Name: limitMessages, Amount: int64(messages), Limit: l.MessagesPerDay}}
}

// counted are the limits of what is counted and not refused.
func counted() platform.Limits {
	return platform.Limits{MessagesPerDay: -1, EmailsPerDay: -1, EmailsPerSender: -1, EmailsPerRecipient: -1}
}

// refusal is a plan that a limit leaves out.
type refusal struct {
	effect *effect
	plan   *plan
	err    error
}

// charge counts the plans of effects and returns those that may be written.
func (s *Service) charge(ctx context.Context, tx store.Tx, p *pass, effects []*effect) (granted []*plan, refused []refusal, err error) {
	for _, f := range effects {
		granted = append(granted, f.plans...)
	}
	if len(granted) == 0 {
		return nil, nil, nil
	}
	now := s.cfg.Now()
	err = quota.Take(ctx, tx, now, charges(p.limits, granted...)...)
	if !errors.Is(err, platform.ErrLimited) {
		return granted, nil, err
	}
	// Not all of it fits. What does is found plan by plan, without a question
	// where the answer is known.
	used, err := quota.Used(ctx, tx, now, limitMessages, "")
	if err != nil {
		return nil, nil, err
	}
	bounded, left := p.limits.MessagesPerDay >= 0, p.limits.MessagesPerDay-used
	granted = nil
	for _, f := range effects {
		for _, plan := range f.plans {
			n := int64(plan.rows())
			err := p.overDay(s)
			if n <= left || !bounded {
				err = quota.Take(ctx, tx, now, charges(p.limits, plan)...)
			}
			switch {
			case err == nil:
				left -= n
				granted = append(granted, plan)
			case errors.Is(err, platform.ErrLimited):
				refused = append(refused, refusal{f, plan, err})
			default:
				return nil, nil, err
			}
		}
	}
	if left <= 0 && bounded {
		tx.AfterCommit(func() {
			p.spent = true
			s.spent.set(p.tenant, p.limits.MessagesPerDay, quota.Resets(now))
		})
	}
	return granted, refused, nil
}

// overDay is the error of what the day has no room for.
func (p *pass) overDay(s *Service) error {
	now := s.cfg.Now()
	return platform.OverRate(limitMessages, p.limits.MessagesPerDay, quota.Resets(now).Sub(now))
}

// overFanOut returns the error of an event whose rules would make n entries, or
// nil where they may.
func overFanOut(l platform.Limits, n int) error {
	if l.FanOut < 0 || int64(n) <= l.FanOut {
		return nil
	}
	return platform.Errorf(platform.KindForbidden, "limit_exceeded",
		"the rules make more entries and deliveries of one event than the limit %s of %d", limitFanOut, l.FanOut)
}

// underLimit checks the number of what a tenant has defined before one is
// added. The caller has locked the ruleset, so the number stays.
func underLimit(ctx context.Context, tx store.Tx, name, query string, most int64) error {
	if most < 0 {
		return nil
	}
	var n int64
	if err := tx.QueryRow(ctx, query, tx.Tenant()).Scan(&n); err != nil {
		return fmt.Errorf("notify: count %s: %w", name, err)
	}
	if n >= most {
		return platform.OverLimit(name, most)
	}
	return nil
}

// spentDays remembers which tenants have used up their messages of the day, so
// that the events that follow cost neither a text nor a question.
type spentDays struct {
	days *lru.Cache[platform.TenantID, spentDay]
}

type spentDay struct {
	limit int64
	until time.Time
}

func newSpentDays() (*spentDays, error) {
	days, err := lru.New[platform.TenantID, spentDay](rulesetTenants)
	return &spentDays{days: days}, err
}

// is reports whether the tenant has used up its messages under this limit.
func (d *spentDays) is(t platform.TenantID, limit int64, now time.Time) bool {
	day, ok := d.days.Get(t)
	return ok && limit >= 0 && limit <= day.limit && now.Before(day.until)
}

func (d *spentDays) set(t platform.TenantID, limit int64, until time.Time) {
	d.days.Add(t, spentDay{limit, until})
}
