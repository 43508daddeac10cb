package notify

import (
	"context"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// switchRuleOff disables a rule and returns the message that tells those who
// are responsible. It returns nil where the rule is off already, or gone. The
// caller has locked the ruleset.
func (s *Service) switchRuleOff(ctx context.Context, tx store.Tx, by platform.Principal, id, reason string) (*plan, error) {
	r, err := s.readRule(ctx, tx, id)
	if errors.Is(err, platform.ErrNotFound) || err == nil && r.Disabled && r.DisabledReason == reason {
		return nil, nil //nolint:nilnil // there is nobody to tell
	}
	if err != nil {
		return nil, err
	}
	now := s.stamp()
	if r.Builtin {
		err = switchBuiltin(ctx, tx, id, true, reason, now)
	} else {
		_, err = tx.Exec(ctx, `UPDATE notify_rules SET disabled = 1, disabled_reason = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			reason, now, tx.Tenant(), id)
	}
	if err != nil {
		return nil, fmt.Errorf("notify: switch a rule off: %w", err)
	}
	why := reason
	if reason == DisabledOverBudget {
		why = fmt.Sprintf("its text took more steps or bytes than a text may, %d times in a row", ruleStrikes)
	}
	notice := &messageRow{
		id: s.cfg.NewID("msg"), createdAt: s.stamp(), status: MessageAccepted, channels: []Channel{ChannelInbox},
		audience: target{Audience: s.cfg.Notices},
		text: rendered{
			title: "A rule was switched off",
			body:  fmt.Sprintf("The rule %s (%s) makes no more messages: %s. Change it and switch it on again.", r.ID, r.Name, why),
		},
	}
	err = s.emit(ctx, tx, "notify.rule.disabled", r.ID, by, map[string]string{"id": r.ID, "name": r.Name, "reason": reason})
	return &plan{message: notice, fanOut: true}, err
}

// DisableRule switches a rule of a tenant off, for an operator or a system
// principal. The reason, at most 500 bytes, is what the tenant sees: in the rule,
// and in the inboxes of [Config.Notices]. [Config.Audit] notes it. The tenant can
// switch the rule on again. Errors: KindForbidden for other principals,
// KindInvalid, KindNotFound.
func (s *Service) DisableRule(ctx context.Context, p platform.Principal, tenant platform.TenantID, id, reason string) error {
	if err := operates(p); err != nil {
		return err
	}
	if tenant.Validate() != nil { // a name that no organization can have
		return platform.NotFound("rule")
	}
	var f fields
	f.text("/reason", reason)
	if reason == "" || len(reason) > 500 {
		f.add("/reason", "required", "must be 1 to 500 bytes")
	}
	if err := f.err(); err != nil {
		return err
	}
	return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		if _, err := s.readRule(ctx, tx, id); err != nil {
			return err
		}
		notice, err := s.switchRuleOff(ctx, tx, p, id, reason)
		if err != nil || notice == nil {
			return err
		}
		if s.cfg.Audit != nil {
			if err := s.cfg.Audit(ctx, tx, p, "operator.rules.disable", id); err != nil {
				return err
			}
		}
		return s.write(ctx, tx, []*plan{notice})
	})
}
