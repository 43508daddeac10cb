package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

const (
	ruleList    = "notify.rules"
	ruleColumns = `id, name, event, filter, channels, audience, template, title, body, disabled, disabled_reason, created_at, updated_at`
)

func scanRule(rows *sql.Rows) (Rule, error) {
	var (
		r                          Rule
		filter, channels, audience string
		created, updated           int64
	)
	err := rows.Scan(&r.ID, &r.Name, &r.Event, &filter, &channels, &audience, &r.Template, &r.Title, &r.Body, &r.Disabled, &r.DisabledReason, &created, &updated)
	if err != nil {
		return r, err
	}
	if filter != "" {
		r.Filter = json.RawMessage(filter)
	}
	r.Channels, r.CreatedAt, r.UpdatedAt = splitChannels(channels), micros(created), micros(updated)
	return r, json.Unmarshal([]byte(audience), &r.To)
}

// builtinSwitch is what was decided for a tenant on a rule of the host's.
type builtinSwitch struct {
	disabled bool
	reason   string
}

func builtinSwitches(ctx context.Context, tx store.Tx) (map[string]builtinSwitch, error) {
	out := make(map[string]builtinSwitch)
	rows, err := tx.Query(ctx, `SELECT id, disabled, disabled_reason FROM notify_builtin_rules WHERE tenant = ?`, tx.Tenant())
	_, err = collect(rows, err, func(rows *sql.Rows) (_ struct{}, err error) {
		var (
			id string
			b  builtinSwitch
		)
		err = rows.Scan(&id, &b.disabled, &b.reason)
		out[id] = b
		return struct{}{}, err
	})
	return out, err
}

func switchBuiltin(ctx context.Context, tx store.Tx, id string, disabled bool, reason string, now int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO notify_builtin_rules (tenant, id, disabled, disabled_reason, updated_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, id) DO UPDATE SET disabled = excluded.disabled, disabled_reason = excluded.disabled_reason,
updated_at = excluded.updated_at`, tx.Tenant(), id, bit(disabled), reason, now)
	if err != nil {
		return fmt.Errorf("notify: switch rule: %w", err)
	}
	return nil
}

func (s *Service) builtinRule(id string, switches map[string]builtinSwitch) (Rule, bool) {
	for _, r := range s.rulesets.builtin {
		if r.ID == id {
			rule := r.Rule
			if b, said := switches[id]; said {
				rule.Disabled, rule.DisabledReason = b.disabled, b.reason
			}
			return rule, true
		}
	}
	return Rule{}, false
}

func (s *Service) readRule(ctx context.Context, tx store.Tx, id string) (Rule, error) {
	if strings.HasPrefix(id, builtinPrefix) {
		switches, err := builtinSwitches(ctx, tx)
		if err != nil {
			return Rule{}, fmt.Errorf("notify: built-in rules: %w", err)
		}
		if r, ok := s.builtinRule(id, switches); ok {
			return r, nil
		}
		return Rule{}, platform.NotFound("rule")
	}
	rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM notify_rules WHERE tenant = ? AND id = ?`, tx.Tenant(), id)
	found, err := collect(rows, err, scanRule)
	if err != nil {
		return Rule{}, fmt.Errorf("notify: read rule: %w", err)
	}
	if len(found) == 0 {
		return Rule{}, platform.NotFound("rule")
	}
	return found[0], nil
}

// resolve checks the rule's template and refers to it by id, so that it may be
// renamed.
func resolve(ctx context.Context, tx store.Tx, r *Rule) error {
	if r.Template == "" {
		return nil
	}
	t, err := givenTemplate(ctx, tx, r.Template)
	r.Template = t.ID
	return err
}

// CreateRule keeps a new rule; its ID and times are the service's. It holds
// for the events that are committed after it. Errors: KindInvalid;
// KindForbidden "limit_exceeded" beyond the limit "notify.rules".
func (s *Service) CreateRule(ctx context.Context, p platform.Principal, r Rule, keys ...*platform.IdempotencyKey) (Rule, error) {
	if err := p.RequireTenant(); err != nil {
		return Rule{}, err
	}
	if err := r.validate(s.cfg.Mail != nil); err != nil {
		return Rule{}, err
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant) // it may read a store of its own
	if err != nil {
		return Rule{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.rules.create", r)
	if err != nil {
		return Rule{}, err
	}
	r.ID, r.Builtin, r.DisabledReason, r.Failures = s.cfg.NewID("rul"), false, "", nil
	r.CreatedAt = micros(s.stamp())
	r.UpdatedAt = r.CreatedAt
	var out Rule
	err = inTenantLarge(ctx, s, p, call, &out, &out.ID, s.readRule, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		err := underLimit(ctx, tx, limitRules, countRules, limits.Rules)
		if err != nil {
			return err
		}
		if err := resolve(ctx, tx, &r); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO notify_rules (tenant, `+ruleColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?)`,
			p.Tenant, r.ID, r.Name, r.Event, string(r.Filter), joinChannels(r.Channels), marshal(r.To), r.Template, r.Title, r.Body,
			bit(r.Disabled), r.CreatedAt.UnixMicro(), r.UpdatedAt.UnixMicro())
		if err != nil {
			return fmt.Errorf("notify: create rule: %w", err)
		}
		out = r
		return s.ruleChanged(ctx, tx, "created", p, r)
	})
	return out, err
}

const countRules = `SELECT count(*) FROM notify_rules WHERE tenant = ?`

func (s *Service) ruleChanged(ctx context.Context, tx store.Tx, what string, by platform.Principal, r Rule) error {
	return s.emit(ctx, tx, "notify.rule."+what, r.ID, by, map[string]string{"id": r.ID, "name": r.Name})
}

// Rule returns a rule of the tenant, or one of the host's as it stands for the
// tenant. Error: KindNotFound.
func (s *Service) Rule(ctx context.Context, p platform.Principal, id string) (Rule, error) {
	if err := p.RequireTenant(); err != nil {
		return Rule{}, err
	}
	var r Rule
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		if r, err = s.readRule(ctx, tx, id); err != nil {
			return err
		}
		failed, err := failures(ctx, tx)
		r.Failures = failed[id]
		return err
	}, store.ReadOnly)
	return r, err
}

// Rules returns a page of the tenant's rules, by id; the first page begins
// with the host's, beyond its limit.
func (s *Service) Rules(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Rule, string, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, "", err
	}
	own, next, err := list(ctx, s, p.Tenant, ruleList, `SELECT `+ruleColumns+` FROM notify_rules WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`,
		limit, cursor, scanRule, func(r Rule) string { return r.ID })
	if err != nil {
		return nil, "", err
	}
	var (
		switches map[string]builtinSwitch
		failed   map[string]*RuleFailure
	)
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if failed, err = failures(ctx, tx); err != nil {
			return err
		}
		switches, err = builtinSwitches(ctx, tx)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", fmt.Errorf("notify: list rules: %w", err)
	}
	var out []Rule
	if cursor == "" {
		for _, r := range s.rulesets.builtin {
			rule, _ := s.builtinRule(r.ID, switches)
			out = append(out, rule)
		}
	}
	out = append(out, own...)
	for i := range out {
		out[i].Failures = failed[out[i].ID]
	}
	return out, next, nil
}

// UpdateRule replaces a rule after change has been applied to it. Of the
// host's rules only Disabled can change. change may be called again where
// another update comes between. Errors: those of CreateRule; KindNotFound;
// KindConflict "builtin_rule".
func (s *Service) UpdateRule(ctx context.Context, p platform.Principal, id string, change func(*Rule)) (Rule, error) {
	if err := p.RequireTenant(); err != nil {
		return Rule{}, err
	}
	for {
		old, err := s.Rule(ctx, p, id)
		if err != nil {
			return Rule{}, err
		}
		old.Failures = nil
		before, r := marshal(old), old
		change(&r)
		r.ID, r.Builtin, r.CreatedAt, r.DisabledReason, r.Failures = old.ID, old.Builtin, old.CreatedAt, old.DisabledReason, nil
		if r.Disabled != old.Disabled {
			r.DisabledReason = ""
		}
		if old.Builtin {
			same := r
			same.Disabled, same.DisabledReason = old.Disabled, old.DisabledReason
			if marshal(same) != before {
				return Rule{}, platform.Errorf(platform.KindConflict, "builtin_rule", "a rule of the installation can only be switched on and off")
			}
		} else if err := r.validate(s.cfg.Mail != nil); err != nil { // it compiles, which no transaction must wait for
			return Rule{}, err
		}
		r, err = s.replaceRule(ctx, p, before, r)
		if !errors.Is(err, errChanged) {
			return r, err
		}
	}
}

// replaceRule writes r where the rule is still what before says.
func (s *Service) replaceRule(ctx context.Context, p platform.Principal, before string, r Rule) (Rule, error) {
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		present, err := s.readRule(ctx, tx, r.ID)
		if err != nil {
			return err
		}
		if marshal(present) != before {
			return errChanged
		}
		if err := forgetFailures(ctx, tx, r.ID); err != nil {
			return err
		}
		now := s.stamp()
		if r.Builtin {
			if err := switchBuiltin(ctx, tx, r.ID, r.Disabled, r.DisabledReason, now); err != nil {
				return err
			}
			return s.ruleChanged(ctx, tx, "updated", p, r)
		}
		r.UpdatedAt = micros(now)
		if err := resolve(ctx, tx, &r); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE notify_rules SET name = ?, event = ?, filter = ?, channels = ?, audience = ?, template = ?,
title = ?, body = ?, disabled = ?, disabled_reason = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			r.Name, r.Event, string(r.Filter), joinChannels(r.Channels), marshal(r.To), r.Template, r.Title, r.Body, bit(r.Disabled),
			r.DisabledReason, now, p.Tenant, r.ID)
		if err != nil {
			return fmt.Errorf("notify: update rule: %w", err)
		}
		return s.ruleChanged(ctx, tx, "updated", p, r)
	})
	return r, err
}

// DeleteRule removes a rule. Errors: KindNotFound; KindConflict "builtin_rule".
func (s *Service) DeleteRule(ctx context.Context, p platform.Principal, id string) error {
	if err := p.RequireTenant(); err != nil {
		return err
	}
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		r, err := s.readRule(ctx, tx, id)
		if err != nil {
			return err
		}
		if r.Builtin {
			return platform.Errorf(platform.KindConflict, "builtin_rule", "a rule of the installation can only be switched on and off")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM notify_rules WHERE tenant = ? AND id = ?`, p.Tenant, id); err != nil {
			return fmt.Errorf("notify: delete rule: %w", err)
		}
		if err := forgetFailures(ctx, tx, id); err != nil {
			return err
		}
		return s.ruleChanged(ctx, tx, "deleted", p, r)
	})
}
