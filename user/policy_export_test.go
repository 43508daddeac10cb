package user

import (
	"maps"
	"slices"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/persist"

	"github.com/acme/platform"
)

// TestRole, TestRule and TestPolicy are an organization's rules for tests.
type (
	TestRole struct{ Permissions, Parents []string }
	TestRule struct {
		Role, Team, Permission, Type, ID string
		Effect                           Effect
	}
	TestPolicy struct {
		Shared map[string][]string
		Own    map[string]TestRole
		Teams  map[string][]string // id to roles
		Users  map[string][]string // to teams
		Rules  []TestRule
	}
)

const testTenant = platform.TenantID("org_test")

func (p TestPolicy) ruleset() *ruleset {
	r := newRuleset(p.Shared)
	for name, role := range p.Own {
		r.addRole(name, role.Permissions, role.Parents)
	}
	for id, roles := range p.Teams {
		r.addTeam(id, roles)
	}
	for user, teams := range p.Users {
		for _, t := range teams {
			r.teams[user] = append(r.teams[user], teamSubject(t))
		}
	}
	for i, rule := range p.Rules {
		r.addAccessRule(AccessRule{
			ID: string(rune('A' + i)), Role: rule.Role, Team: rule.Team, Permission: rule.Permission, Effect: rule.Effect,
			Resource: Resource{Type: rule.Type, ID: rule.ID},
		})
	}
	return r
}

// Decider answers a question of somebody.
type Decider func(roles []string, user, permission string, r Resource) (bool, error)

// Index is what answers at run time.
func (p TestPolicy) Index() Decider {
	x := compileShared(p.Shared).compile(p.ruleset())
	return func(roles []string, user, permission string, r Resource) (bool, error) {
		return x.allows(roles, user, permission, &r), nil
	}
}

// Explained is what explanations say.
func (p TestPolicy) Explained() Decider {
	rules := p.ruleset()
	return func(roles []string, user, permission string, r Resource) (bool, error) {
		held := rules.holdings(roles, user)
		return explained(rules.matching(held, Question{permission, r}), slices.ContainsFunc(held, isOwner)).Allowed, nil
	}
}

// rulesAdapter gives casbin the rules of a test.
type rulesAdapter struct {
	sampleAdapter
	rules *ruleset
}

func (a rulesAdapter) LoadFilteredPolicy(m model.Model, _ any) error {
	return a.rules.load(testTenant, func(line []string) error { return persist.LoadPolicyArray(line, m) })
}

// Model is casbin as Config.AccessModel has it.
func (p TestPolicy) Model(text string) (Decider, error) {
	e, err := newEnforcer(text, rulesAdapter{rules: p.ruleset()})
	if err != nil {
		return nil, err
	}
	if err := e.LoadFilteredPolicy(testTenant); err != nil {
		return nil, err
	}
	m := &modelPolicy{tenant: string(testTenant), enforcer: e}
	return func(roles []string, user, permission string, r Resource) (bool, error) {
		return m.allows(roles, user, permission, &r)
	}, nil
}

// Oracle is casbin as it comes: its own links, its own lines, nothing of what
// turns an organization's rules into those at run time.
func (p TestPolicy) Oracle() (Decider, error) {
	m, err := model.NewModelFromString(DefaultAccessModel)
	if err != nil {
		return nil, err
	}
	add := func(line ...string) {
		if err == nil {
			err = persist.LoadPolicyArray(line, m)
		}
	}
	const dom = string(testTenant)
	for name, patterns := range p.Shared {
		for _, x := range patterns {
			add("p", "r:"+name, dom, x, "*", "allow")
		}
	}
	for name, role := range p.Own {
		if _, taken := p.Shared[name]; taken {
			continue
		}
		for _, x := range role.Permissions {
			add("p", "r:"+name, dom, x, "*", "allow")
		}
		for _, parent := range role.Parents {
			add("g", "r:"+name, "r:"+parent, dom)
		}
	}
	for id, roles := range p.Teams {
		for _, r := range roles {
			add("g", "t:"+id, "r:"+r, dom)
		}
	}
	for user, teams := range p.Users {
		for _, t := range teams {
			add("g", "u:"+user, "t:"+t, dom)
		}
	}
	for _, r := range p.Rules {
		_, own := p.Own[r.Role]
		_, shared := p.Shared[r.Role]
		_, team := p.Teams[r.Team]
		if !own && !shared && !team {
			continue
		}
		about, resource := "r:"+r.Role, "*"
		if r.Team != "" {
			about = "t:" + r.Team
		}
		if r.Type != "" {
			resource = r.Type
		}
		if r.ID != "" {
			resource += "/" + r.ID
		}
		add("p", about, dom, r.Permission, resource, string(r.Effect))
	}
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	for name, f := range modelFunctions {
		e.AddFunction(name, f)
	}
	if err := e.BuildRoleLinks(); err != nil {
		return nil, err
	}
	// The roles of whoever asks are links of theirs.
	return func(roles []string, user, permission string, r Resource) (bool, error) {
		for _, role := range roles {
			if _, err := e.AddGroupingPolicy("u:"+user, "r:"+role, dom); err != nil {
				return false, err
			}
		}
		ok, err := e.Enforce("u:"+user, user, dom, permission, r.Type, r.ID, map[string]string{})
		for _, role := range roles {
			if _, err := e.RemoveGroupingPolicy("u:"+user, "r:"+role, dom); err != nil {
				return false, err
			}
		}
		return ok, err
	}, nil
}

// Covers reports whether somebody may grant the patterns.
func (p TestPolicy) Covers(roles []string, user string, patterns []string) bool {
	rules := p.ruleset()
	r := rights{rules: rules}
	r.held, r.denied = rules.patternsOf(rules.holdings(roles, user))
	return r.cover(patterns)
}

// SharedRoles are the roles that every organization has.
func (s *Service) SharedRoles() map[string][]string { return maps.Clone(s.roles) }

// PoliciesInMemory is how many organizations have a compiled policy, and the bytes
// that they are taken for.
func (s *Service) PoliciesInMemory() (n int, bytes int64) {
	table := *s.policies.table.Load()
	for i := range table {
		if p := table[i].Load(); p != nil && p != &s.policies.gone {
			n++
		}
	}
	return n, s.policies.bytes
}

// ForgetPolicies empties the memory of policies.
func (s *Service) ForgetPolicies() {
	s.policies.mu.Lock()
	defer s.policies.mu.Unlock()
	s.policies.rebuild(func(*policy) bool { return false })
}

// CheckAccessModel is what New asks of a model.
var CheckAccessModel = checkAccessModel
