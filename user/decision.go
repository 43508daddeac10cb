package user

import (
	"context"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Reason is why a decision is what it is.
type Reason string

// The reasons of decisions.
const (
	// ReasonAllowed: a rule allows it.
	ReasonAllowed Reason = "allowed"
	// ReasonDenied: a rule denies it, whatever others allow.
	ReasonDenied Reason = "denied"
	// ReasonNoRule: no rule allows it.
	ReasonNoRule Reason = "no_rule"
	// ReasonScope: no scope of the credential grants it.
	ReasonScope Reason = "out_of_scope"
	// ReasonSystem: the principal is the host's own, without roles.
	ReasonSystem Reason = "system"
)

// Decision is an answer of [Service.Can] with what led to it.
type Decision struct {
	Allowed bool
	Reason  Reason
	// Rules are those that apply, the ones that deny first. Where
	// Config.AccessModel decides, it is the one that decided, if any.
	Rules []AppliedRule
}

// AppliedRule is a rule that was a part of a decision.
type AppliedRule struct {
	// RuleID is the id of an [AccessRule], "" for a permission that a role lists.
	RuleID string
	Effect Effect
	// Permission is the pattern, and Resource what it is limited to.
	Permission string
	Resource   Resource
	// Via is how the principal comes to what the rule is about: from a role of
	// the membership, or a team, to the role or team itself.
	Via []Step
}

// Step is a role by its name, or a team by its id.
type Step struct {
	Role string
	Team string
}

// ExplainAccess is [Service.Can] with the roles, teams and rules that led to the
// answer, as they are in the store now. The principal needs "user.roles.read".
func (s *Service) ExplainAccess(ctx context.Context, p platform.Principal, permission string, r Resource) (Decision, error) {
	if err := s.Authorize(ctx, p, permRolesRead); err != nil {
		return Decision{}, err
	}
	return s.explainQuestion(ctx, p, Question{permission, r})
}

// ExplainMember is [Service.ExplainAccess] for another member, by the id of the
// membership, with the roles that it has and without limits of scopes. The
// principal needs "user.roles.read". A suspended member is explained as if active.
func (s *Service) ExplainMember(ctx context.Context, p platform.Principal, member, permission string, r Resource) (Decision, error) {
	if err := s.Authorize(ctx, p, permRolesRead); err != nil {
		return Decision{}, err
	}
	var other platform.Principal
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		m, err := memberByID(ctx, tx, p.Tenant, member)
		other = platform.Principal{Tenant: p.Tenant, Kind: platform.PrincipalUser, Subject: m.UserID, Roles: m.Roles}
		return err
	}, store.ReadOnly)
	if err != nil {
		return Decision{}, err
	}
	return s.explainQuestion(ctx, other, Question{permission, r})
}

func (s *Service) explainQuestion(ctx context.Context, p platform.Principal, q Question) (Decision, error) {
	if err := q.validate(); err != nil {
		return Decision{}, err
	}
	if p.Scopes != nil && !p.InScope(q.Permission) {
		return Decision{Reason: ReasonScope}, nil
	}
	if unlimited(&p) {
		return Decision{Allowed: true, Reason: ReasonSystem}, nil
	}
	var rules *ruleset
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		rules, err = s.ruleset(ctx, tx, p.Tenant)
		return err
	}, store.ReadOnly)
	if err != nil {
		return Decision{}, err
	}
	held := rules.holdings(p.Roles, p.Subject)
	if s.cfg.AccessModel != "" {
		return s.explainModel(ctx, p, q, rules, held)
	}
	return explained(rules.matching(held, q), slices.ContainsFunc(held, isOwner)), nil
}

func isOwner(h reached) bool { return h.subject == ownerSubject }

// explained decides by the rules that match, without an index.
func explained(matching []appliedRule, owner bool) Decision {
	d := Decision{Reason: ReasonNoRule}
	for _, a := range matching {
		switch {
		case a.rule.effect == Allow && d.Reason == ReasonNoRule:
			d.Allowed, d.Reason = true, ReasonAllowed
		case a.rule.effect == Deny && owner:
			continue
		case a.rule.effect == Deny:
			d.Reason = ReasonDenied
		}
		d.Rules = append(d.Rules, a.applied())
	}
	return d
}

// explainModel has casbin decide, and finds how the principal comes to the subject
// of the rule that did.
func (s *Service) explainModel(ctx context.Context, p platform.Principal, q Question, rules *ruleset, held []reached) (Decision, error) {
	pol, err := s.policyOf(ctx, p.Tenant)
	if err != nil {
		return Decision{}, err
	}
	ok, line, err := pol.model.decide(p.Roles, p.Subject, q.Permission, &q.Resource)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Allowed: ok, Reason: ReasonNoRule}
	if len(line) == 0 {
		return d, nil
	}
	d.Reason = ReasonAllowed
	if !ok {
		d.Reason = ReasonDenied
	}
	about := subject(line[0])
	a := appliedRule{via: []subject{about}, rule: policyRule{subject: about, pattern: line[2], scope: parseScope(line[3]), effect: Effect(line[4])}}
	for _, h := range held {
		if h.subject == about {
			a.via = h.via
		}
	}
	for _, rule := range rules.of(about) {
		if rule.pattern == a.rule.pattern && rule.scope == a.rule.scope && rule.effect == a.rule.effect {
			a.rule = rule
		}
	}
	d.Rules = []AppliedRule{a.applied()}
	return d, nil
}

func (a appliedRule) applied() AppliedRule {
	out := AppliedRule{RuleID: a.rule.id, Effect: a.rule.effect, Permission: a.rule.pattern, Resource: a.rule.scope.resource()}
	for _, s := range a.via {
		name, _ := s.role()
		out.Via = append(out.Via, Step{Role: name, Team: s.team()})
	}
	return out
}
