package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// casbinAdapter is what an enforcer reads from.
type casbinAdapter interface {
	persist.FilteredAdapter
	persist.ContextFilteredAdapter
}

var (
	_ casbinAdapter   = (*policyAdapter)(nil)
	_ persist.Watcher = (*policyWatcher)(nil)
)

// policyAdapter reads the rules of one organization, which is the filter, out of
// the store. It writes nothing: rules are changed by methods that ask who may,
// and audit it. It serves one load.
type policyAdapter struct {
	readOnly
	service *Service
	version int64 // of what was read
	size    int   // about how many bytes casbin keeps of it
}

func (a *policyAdapter) LoadFilteredPolicy(m model.Model, filter any) error {
	return a.LoadFilteredPolicyCtx(context.Background(), m, filter)
}

func (a *policyAdapter) LoadFilteredPolicyCtx(ctx context.Context, m model.Model, filter any) error {
	tenant, ok := filter.(platform.TenantID)
	if !ok {
		return errOneTenant
	}
	var rules *ruleset
	err := a.service.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		rules, err = a.service.ruleset(ctx, tx, tenant)
		return err
	}, store.ReadOnly)
	if err != nil {
		return err
	}
	a.version = rules.version
	return rules.load(tenant, func(line []string) error {
		for _, part := range line {
			a.size += len(part) + 64 // by measurement: 100 B a rule, 1.2 KB a link, with the text
		}
		if line[0] == "g" {
			a.size += 1000
		}
		return persist.LoadPolicyArray(line, m)
	})
}

// load hands out the rules as lines of casbin's: "p" with subject, organization,
// pattern, resource and effect, and "g" with a subject, what it has, and the
// organization.
func (r *ruleset) load(tenant platform.TenantID, add func(line []string) error) error {
	subjects := sortedKeys(r.links)
	for _, name := range sortedKeys(r.shared) {
		subjects = append(subjects, roleSubject(name))
	}
	for _, s := range subjects {
		for _, rule := range r.of(s) {
			if err := add([]string{"p", string(s), string(tenant), rule.pattern, rule.scope.String(), string(rule.effect)}); err != nil {
				return err
			}
		}
		for _, to := range r.links[s] {
			if err := add([]string{"g", string(s), string(to), string(tenant)}); err != nil {
				return err
			}
		}
	}
	for _, user := range sortedKeys(r.teams) {
		for _, team := range r.teams[user] {
			if err := add([]string{"g", userSubject(user), string(team), string(tenant)}); err != nil {
				return err
			}
		}
	}
	return nil
}

var (
	errOneTenant = errors.New("user: rules are loaded for one organization, by LoadFilteredPolicy with its TenantID")
	errReadOnly  = errors.New("user: rules are changed by the methods of user.Service, which ask who may and audit it")
)

// readOnly is the part of an adapter that loads all or writes.
type readOnly struct{}

func (readOnly) LoadPolicy(model.Model) error { return errOneTenant }

func (readOnly) LoadPolicyCtx(context.Context, model.Model) error { return errOneTenant }

func (readOnly) IsFiltered() bool { return true }

func (readOnly) IsFilteredCtx(context.Context) bool { return true }

func (readOnly) SavePolicy(model.Model) error { return errReadOnly }

func (readOnly) SavePolicyCtx(context.Context, model.Model) error { return errReadOnly }

func (readOnly) AddPolicy(string, string, []string) error { return errReadOnly }

func (readOnly) AddPolicyCtx(context.Context, string, string, []string) error { return errReadOnly }

func (readOnly) RemovePolicy(string, string, []string) error { return errReadOnly }

func (readOnly) RemovePolicyCtx(context.Context, string, string, []string) error { return errReadOnly }

func (readOnly) RemoveFilteredPolicy(string, string, int, ...string) error { return errReadOnly }

func (readOnly) RemoveFilteredPolicyCtx(context.Context, string, string, int, ...string) error {
	return errReadOnly
}

// sampleAdapter has one rule of each kind, to try a model with.
type sampleAdapter struct{ readOnly }

func (a sampleAdapter) LoadFilteredPolicy(m model.Model, filter any) error {
	return a.LoadFilteredPolicyCtx(context.Background(), m, filter)
}

func (sampleAdapter) LoadFilteredPolicyCtx(_ context.Context, m model.Model, filter any) error {
	r := newRuleset(builtinRoles())
	r.addTeam("tea_sample", []string{RoleViewer})
	r.teams["usr_sample"] = []subject{teamSubject("tea_sample")}
	r.addRule(policyRule{subject: teamSubject("tea_sample"), pattern: "data.records.read", effect: Deny, scope: scope{kind: "sample", id: "1"}})
	tenant, ok := filter.(platform.TenantID)
	if !ok {
		return errOneTenant
	}
	if err := r.load(tenant, func(line []string) error { return persist.LoadPolicyArray(line, m) }); err != nil {
		return fmt.Errorf("user: sample rules: %w", err)
	}
	return nil
}
