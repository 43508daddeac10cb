package user

import (
	"cmp"
	"slices"
	"strings"

	"github.com/acme/platform"
)

// Effect is what a rule does.
type Effect string

// The effects of rules. A rule that denies wins over all that allow.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
)

// subject is who a rule is about, "r:" and the name of a role or "t:" and the id
// of a team. The prefixes keep the two apart, and both from users.
type subject string

func roleSubject(name string) subject { return subject("r:" + name) }
func teamSubject(id string) subject   { return subject("t:" + id) }

func roleSubjects(names []string) []subject {
	all := make([]subject, len(names))
	for i, n := range names {
		all[i] = roleSubject(n)
	}
	return all
}

// ownerSubject is what no rule denies anything: an organization always has
// somebody who can mend it. It is therefore held by members alone, neither by a
// team nor through another role.
const ownerSubject subject = "r:" + RoleOwner

// policyRule says that a subject may, or may not, do what a pattern names.
type policyRule struct {
	id      string // of an AccessRule; "" for a permission that a role lists
	subject subject
	pattern string
	effect  Effect
	scope   scope
}

// ruleset is all that decides in an organization: its own rules, over the roles
// that every organization has.
type ruleset struct {
	version int64
	shared  map[string][]string // role name to patterns; read only
	rules   map[subject][]policyRule
	links   map[subject][]subject // of a role, what it inherits; of a team, its roles
	teams   map[string][]subject  // of a user
}

func newRuleset(shared map[string][]string) *ruleset {
	return &ruleset{shared: shared, rules: map[subject][]policyRule{}, links: map[subject][]subject{}, teams: map[string][]subject{}}
}

// addRole adds a role of the organization. A role of the host's that came after
// it wins, or upgrading the host would leave its role without effect.
func (r *ruleset) addRole(name string, permissions, parents []string) {
	if _, taken := r.shared[name]; taken {
		return
	}
	s := roleSubject(name)
	r.links[s] = roleSubjects(parents)
	for _, p := range permissions {
		r.addRule(policyRule{subject: s, pattern: p, effect: Allow})
	}
}

func (r *ruleset) addTeam(id string, roles []string) { r.links[teamSubject(id)] = roleSubjects(roles) }

// addAccessRule adds a rule after all roles and teams. One about what is no more
// is about nobody.
func (r *ruleset) addAccessRule(rule AccessRule) {
	if rule.Team != "" && r.hasTeam(rule.Team) || rule.Role != "" && r.hasRole(rule.Role) {
		r.addRule(rule.policy())
	}
}

func (r *ruleset) addRule(rule policyRule) {
	r.rules[rule.subject] = append(r.rules[rule.subject], rule)
}

// plain reports whether the organization has nothing of its own.
func (r *ruleset) plain() bool { return len(r.links) == 0 && len(r.rules) == 0 }

// hasRole reports whether members can have the role.
func (r *ruleset) hasRole(name string) bool {
	if _, ok := r.shared[name]; ok {
		return true
	}
	_, ok := r.links[roleSubject(name)]
	return ok
}

// hasTeam reports whether there is the team.
func (r *ruleset) hasTeam(id string) bool {
	_, ok := r.links[teamSubject(id)]
	return ok
}

// of returns the rules about a subject itself.
func (r *ruleset) of(s subject) []policyRule {
	var all []policyRule
	if name, ok := s.role(); ok {
		for _, p := range r.shared[name] {
			all = append(all, policyRule{subject: s, pattern: p, effect: Allow})
		}
	}
	return append(all, r.rules[s]...)
}

// role returns the name of a role, and false for a team.
func (s subject) role() (name string, ok bool) {
	if name, ok = strings.CutPrefix(string(s), "r:"); !ok {
		return "", false
	}
	return name, true
}

// team returns the id of a team, "" for a role.
func (s subject) team() string {
	id, ok := strings.CutPrefix(string(s), "t:")
	if !ok {
		return ""
	}
	return id
}

// reached is a subject that somebody is, and the way there: from a role or team
// that is held, to the subject itself.
type reached struct {
	subject subject
	via     []subject
}

// reach returns the subjects and all that they inherit, each once and by its
// shortest way.
func (r *ruleset) reach(from ...subject) []reached {
	seen := make(map[subject]bool, len(from))
	all := make([]reached, 0, len(from))
	add := func(s subject, via []subject) {
		if !seen[s] {
			seen[s] = true
			all = append(all, reached{s, append(slices.Clip(via), s)})
		}
	}
	for _, s := range from {
		add(s, nil)
	}
	for i := 0; i < len(all); i++ { //nolint:intrange // all grows meanwhile
		for _, next := range r.links[all[i].subject] {
			add(next, all[i].via)
		}
	}
	return all
}

// deepest is the longest chain of roles that inherit, in links, and -1 where a
// role comes back to itself.
func (r *ruleset) deepest() int {
	const underWay = -2
	depths := make(map[subject]int, len(r.links))
	var of func(s subject) int
	of = func(s subject) int {
		if d, ok := depths[s]; ok {
			return d
		}
		depths[s] = underWay
		deepest := 0
		for _, next := range r.links[s] {
			d := of(next)
			if d < 0 {
				return -1
			}
			deepest = max(deepest, d+1)
		}
		depths[s] = deepest
		return deepest
	}
	deepest := 0
	for s := range r.links {
		if _, isRole := s.role(); !isRole {
			continue
		}
		d := of(s)
		if d < 0 {
			return -1
		}
		deepest = max(deepest, d)
	}
	return deepest
}

// refersTo reports whether a role or team has the subject, or a rule is about it;
// the permissions of a role are not.
func (r *ruleset) refersTo(s subject) bool {
	for _, links := range r.links {
		if slices.Contains(links, s) {
			return true
		}
	}
	return slices.ContainsFunc(r.rules[s], func(rule policyRule) bool { return rule.id != "" })
}

// holdings are the subjects that somebody with the roles is, with their teams.
func (r *ruleset) holdings(roles []string, user string) []reached {
	return r.reach(append(roleSubjects(roles), r.teams[user]...)...)
}

// patternsOf returns what is allowed and denied to those subjects, with limits
// to resources left out. Nothing is denied to an owner.
func (r *ruleset) patternsOf(held []reached) (allowed, denied []string) {
	owner := slices.ContainsFunc(held, func(h reached) bool { return h.subject == ownerSubject })
	for _, h := range held {
		for _, rule := range r.of(h.subject) {
			switch {
			case rule.effect == Deny && !owner:
				denied = append(denied, rule.pattern)
			case rule.effect == Allow && rule.scope == scope{}:
				allowed = append(allowed, rule.pattern)
			}
		}
	}
	return allowed, denied
}

// touched returns every pattern that a rule about the subjects, or about what
// they inherit, allows or denies: what whoever changes who is one of them needs.
func (r *ruleset) touched(of ...subject) []string {
	var all []string
	for _, h := range r.reach(of...) {
		for _, rule := range r.of(h.subject) {
			all = append(all, rule.pattern)
		}
	}
	return all
}

// matching returns the rules that decide the question for those subjects, those
// that deny first.
func (r *ruleset) matching(held []reached, q Question) []appliedRule {
	var all []appliedRule
	for _, h := range held {
		for _, rule := range r.of(h.subject) {
			if platform.Grants(rule.pattern, q.Permission) && rule.scope.concerns(q.Resource.Type, q.Resource.ID) {
				all = append(all, appliedRule{rule, h.via})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b appliedRule) int { return cmp.Compare(b.rule.effect, a.rule.effect) })
	return all
}

type appliedRule struct {
	rule policyRule
	via  []subject
}
