package notify

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

const (
	// ruleStrikes is how many times in a row the text of a rule may exceed its
	// budget before the rule is switched off.
	ruleStrikes = 10
	// DisabledOverBudget is the DisabledReason of such a rule.
	DisabledOverBudget = "over_budget"
	// endpointsRule stands for a rule's id where the failure is that of
	// events that go to endpoints.
	endpointsRule = "endpoints"
)

// RuleFailure is how a rule fails: its text cannot be made, or its messages
// exceed a limit. Of the failures of one rule and UTC day the first becomes a
// failed message; the others are counted here.
type RuleFailure struct {
	Tenant platform.TenantID
	// Rule is the rule's id, or "endpoints" for events that did not become
	// webhooks because of a limit.
	Rule string
	// Name is the rule's.
	Name string
	// Today counts the failures of the UTC day of At, Total all since the rule
	// was changed last.
	Today, Total int64
	// OverBudget is how many texts in a row took more than a text may; with
	// the tenth the rule is switched off.
	OverBudget int
	// Reason says why the last one failed, Event is the id of its event.
	Reason, Event string
	At            time.Time
	// Disabled says that the rule is switched off by now, or gone.
	Disabled bool
}

// failure is one message of a rule that cannot be sent.
type failure struct {
	row    *messageRow // as it is kept, failed
	text   bool        // the text could not be made
	budget bool        // because it took more than it may
}

// newFailure is of a message that is kept with its title alone.
func newFailure(m *messageRow, err error) failure {
	row := *m
	row.status, row.reason, row.text = MessageFailed, failureText(err), rendered{title: m.text.title}
	return failure{&row, errors.Is(err, platform.ErrInvalid), errors.Is(err, errBudget)}
}

// endpointsFailure is the failure of an event that was to go to endpoints.
func (s *Service) endpointsFailure(e *platform.Event, err error) failure {
	row := &messageRow{
		id: s.cfg.NewID("msg"), createdAt: s.stamp(), channels: []Channel{ChannelWebhook}, event: e.ID, actor: e.Actor,
		text: rendered{title: "An event was not sent to the webhook endpoints: " + e.Type},
	}
	return newFailure(row, err)
}

// failureText is the text of an error for the owner of a rule.
func failureText(err error) string {
	var e *platform.Error
	switch {
	case errors.Is(err, errRecipients):
		return errRecipients.Error()
	case !errors.As(err, &e):
		return "the text cannot be made"
	case len(e.Fields) > 0:
		return e.Fields[0].Detail
	}
	return e.Message
}

// tally is what a batch of events tells about one rule.
type tally struct {
	rule        string
	first, last *messageRow
	failures    int
	strikes     int  // texts over the budget since the last other result
	worked      bool // there was another result
}

// tallies sums up what happened to rules, by rule.
func (s *Service) tallies(b *ruleset, effects []*effect, refused []refusal) []*tally {
	byID := make(map[string]*tally)
	of := func(rule string) *tally {
		t := byID[rule]
		if t == nil {
			t = &tally{rule: rule}
			byID[rule] = t
		}
		return t
	}
	failed := func(f failure) {
		t := of(cmp.Or(f.row.rule, endpointsRule))
		t.first, t.last = cmp.Or(t.first, f.row), f.row
		t.failures++
		switch {
		case f.budget:
			t.strikes++
		case f.text:
			t.strikes, t.worked = 0, true
		}
	}
	for _, f := range effects {
		for _, rule := range f.worked {
			if b.failing[rule] || byID[rule] != nil {
				t := of(rule)
				t.strikes, t.worked = 0, true
			}
		}
		for _, x := range f.failures {
			failed(x)
		}
	}
	for _, r := range refused {
		if r.plan.message == nil {
			failed(s.endpointsFailure(r.effect.event, r.err))
			continue
		}
		failed(newFailure(r.plan.message, r.err))
	}
	out := make([]*tally, 0, len(byID))
	for _, t := range byID {
		out = append(out, t)
	}
	// One order in all transactions.
	slices.SortFunc(out, func(a, b *tally) int { return cmp.Compare(a.rule, b.rule) })
	return out
}

// recordFailures counts how rules failed and switches off those that exceed
// their budget again and again. It returns the messages that tell about it.
func (s *Service) recordFailures(ctx context.Context, tx store.Tx, b *ruleset, effects []*effect, refused []refusal) ([]*plan, error) {
	all := s.tallies(b, effects, refused)
	if slices.ContainsFunc(all, func(t *tally) bool { return t.strikes > 0 || t.worked && b.failing[t.rule] }) {
		// All processes have to know it, and a rule may be switched off.
		if err := lockRuleset(ctx, tx); err != nil {
			return nil, err
		}
	}
	var told []*plan
	for _, t := range all {
		if t.failures == 0 {
			_, err := tx.Exec(ctx, `UPDATE notify_rule_failures SET strikes = 0 WHERE tenant = ? AND rule = ?`, tx.Tenant(), t.rule)
			if err != nil {
				return nil, fmt.Errorf("notify: forget failures: %w", err)
			}
			continue
		}
		first, strikes, err := s.addFailures(ctx, tx, t)
		if err != nil {
			return nil, err
		}
		if first {
			told = append(told, &plan{message: t.first})
		}
		if strikes >= ruleStrikes {
			notice, err := s.switchRuleOff(ctx, tx, platform.Principal{}, t.rule, DisabledOverBudget)
			if err != nil {
				return nil, err
			}
			if notice != nil {
				told = append(told, notice)
			}
		}
	}
	return told, nil
}

const secondsPerDay = 24 * 60 * 60

// addFailures adds to the counters of a rule. It reports whether these are the
// first failures of the day, and how many texts in a row took too much.
func (s *Service) addFailures(ctx context.Context, tx store.Tx, t *tally) (first bool, strikes int, err error) {
	now := s.cfg.Now()
	strikesNow := `notify_rule_failures.strikes + excluded.strikes`
	if t.worked {
		strikesNow = `excluded.strikes`
	}
	var today int
	err = tx.QueryRow(ctx, `INSERT INTO notify_rule_failures (tenant, rule, day, today, total, strikes, reason, event, failed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, rule) DO UPDATE SET
  today = excluded.today + CASE WHEN notify_rule_failures.day = excluded.day THEN notify_rule_failures.today ELSE 0 END,
  day = excluded.day, total = notify_rule_failures.total + excluded.total, strikes = `+strikesNow+`,
  reason = excluded.reason, event = excluded.event, failed_at = excluded.failed_at
RETURNING today, strikes`, tx.Tenant(), t.rule, now.Unix()/secondsPerDay, t.failures, t.failures, t.strikes,
		t.last.reason, t.last.event, now.UnixMicro()).Scan(&today, &strikes)
	if err != nil {
		return false, 0, fmt.Errorf("notify: record failures: %w", err)
	}
	return today == t.failures, strikes, nil
}

const failureColumns = `f.tenant, f.rule, f.today, f.total, f.strikes, f.reason, f.event, f.failed_at`

func scanFailure(rows *sql.Rows, f *RuleFailure, more ...any) error {
	var at int64
	err := rows.Scan(append([]any{&f.Tenant, &f.Rule, &f.Today, &f.Total, &f.OverBudget, &f.Reason, &f.Event, &at}, more...)...)
	f.At = micros(at)
	return err
}

// failures are those of the tenant's rules, by id.
func failures(ctx context.Context, tx store.Tx) (map[string]*RuleFailure, error) {
	rows, err := tx.Query(ctx, `SELECT `+failureColumns+` FROM notify_rule_failures f WHERE f.tenant = ?`, tx.Tenant())
	out := make(map[string]*RuleFailure)
	_, err = collect(rows, err, func(rows *sql.Rows) (_ struct{}, err error) {
		var f RuleFailure
		err = scanFailure(rows, &f)
		out[f.Rule] = &f
		return struct{}{}, err
	})
	if err != nil {
		return nil, fmt.Errorf("notify: failures of rules: %w", err)
	}
	return out, nil
}

// forgetFailures is for a rule that its owner has changed or removed.
func forgetFailures(ctx context.Context, tx store.Tx, rule string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM notify_rule_failures WHERE tenant = ? AND rule = ?`, tx.Tenant(), rule); err != nil {
		return fmt.Errorf("notify: forget failures: %w", err)
	}
	return nil
}
