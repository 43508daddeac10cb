package user

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/rbac"
	defaultrolemanager "github.com/casbin/casbin/v2/rbac/default-role-manager"

	"github.com/acme/platform"
)

// DefaultAccessModel is what decides where Config.AccessModel is empty, as a model
// of casbin's. A host's model has the same definitions and another matcher, which
// decides what rules apply; that a rule that denies wins over all that allow stays.
//
// A request has the subject, as g takes it; the id of the user, or what else the
// principal names; the organization; the permission; and of the resource its type
// and id, "" without one, and attributes. A rule has its subject, "r:" and the
// name of a role or "t:" and the id of a team; the organization; the pattern; "*",
// "type" or "type/id"; and allow or deny. Beside casbin's functions, without eval,
// a matcher has grants(pattern, permission), concerns(rule's resource, type, id)
// and attribute(attributes, name), which is "" for one that is not there.
const DefaultAccessModel = `[request_definition]
r = sub, user, dom, act, type, id, attrs

[policy_definition]
p = sub, dom, act, res, eft

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = grants(p.act, r.act) && concerns(p.res, r.type, r.id) && g(r.sub, p.sub, r.dom) && (p.eft == "allow" || !g(r.sub, "r:owner", r.dom))
`

// inheritanceLimit is how many links casbin follows: of a user to a team, of the
// team to a role, and of roles above each other.
const inheritanceLimit = 2 + maxInheritance

// modelFunctions are what a matcher may call besides casbin's own.
var modelFunctions = map[string]func(args ...any) (any, error){
	"grants": func(args ...any) (any, error) {
		a, err := textArguments(args, 2)
		return err == nil && platform.Grants(a[0], a[1]), err
	},
	"concerns": func(args ...any) (any, error) {
		a, err := textArguments(args, 3)
		return err == nil && parseScope(a[0]).concerns(a[1], a[2]), err
	},
	"attribute": func(args ...any) (any, error) {
		if len(args) != 2 {
			return nil, errArguments
		}
		attributes, ok := args[0].(map[string]string)
		name, isText := args[1].(string)
		if !ok || !isText {
			return nil, errArguments
		}
		return attributes[name], nil
	},
}

var errArguments = errors.New("user: a function of the access model has arguments that do not fit")

func textArguments(args []any, n int) ([]string, error) {
	texts := make([]string, 0, n)
	for _, a := range args {
		if text, ok := a.(string); ok {
			texts = append(texts, text)
		}
	}
	if len(texts) != n || len(args) != n {
		return nil, errArguments
	}
	return texts, nil
}

// String is the scope in casbin's rules.
func (s scope) String() string {
	switch {
	case s.kind == "":
		return "*"
	case s.id == "":
		return s.kind
	}
	return s.kind + "/" + s.id
}

func parseScope(text string) scope {
	if text == "*" {
		return scope{}
	}
	kind, id, _ := strings.Cut(text, "/")
	return scope{kind, id}
}

// checkAccessModel returns an error for a model that is not the default one with
// another matcher, or whose matcher cannot be evaluated.
func checkAccessModel(text string) error {
	m, err := model.NewModelFromString(text)
	if err != nil {
		return err
	}
	ours, err := model.NewModelFromString(DefaultAccessModel)
	if err != nil { // it is tested
		return err
	}
	for section, of := range ours {
		if section == "logger" {
			continue
		}
		if len(m[section]) != len(of) {
			return fmt.Errorf("section %s is not that of the default", section)
		}
		for key, a := range of {
			b := m[section][key]
			if b == nil || section != "m" && (a.Value != b.Value || !slices.Equal(a.Tokens, b.Tokens)) {
				return fmt.Errorf("%s is not that of the default", key)
			}
		}
	}
	if len(m) != len(ours) {
		return errors.New("it has sections of its own")
	}
	if strings.Contains(m["m"]["m"].Value, "eval(") {
		return errors.New("eval would run what an organization writes")
	}
	e, err := newEnforcer(text, sampleAdapter{})
	if err != nil {
		return err
	}
	if err := e.LoadFilteredPolicy(platform.TenantID("org_sample")); err != nil {
		return err
	}
	_, err = e.Enforce(principalKey([]string{RoleMember}, "usr_sample"), "usr_sample", "org_sample", "data.records.read", "", "", map[string]string{})
	return err
}

// newEnforcer returns an enforcer without rules.
func newEnforcer(text string, from casbinAdapter) (*casbin.Enforcer, error) {
	m, err := model.NewModelFromString(text)
	if err != nil {
		return nil, fmt.Errorf("user: access model: %w", err)
	}
	e, err := casbin.NewEnforcer(m, from)
	if err != nil {
		return nil, fmt.Errorf("user: enforcer: %w", err)
	}
	for name, f := range modelFunctions {
		e.AddFunction(name, f)
	}
	e.EnableAutoSave(false)
	e.SetNamedRoleManager("g", principalLinks{defaultrolemanager.NewRoleManager(inheritanceLimit)})
	return e, nil
}

// principalLinks lets a principal be a subject of g: its roles come with it, from
// its membership, and its teams are the user's links.
type principalLinks struct{ rbac.RoleManager }

const separator = "\x1f"

// principalKey is a principal as a subject of g.
func principalKey(roles []string, user string) string {
	parts := make([]string, 0, len(roles)+1)
	if !strings.Contains(user, separator) {
		parts = append(parts, userSubject(user))
	}
	for _, r := range roles {
		if !strings.Contains(r, separator) {
			parts = append(parts, string(roleSubject(r)))
		}
	}
	return separator + strings.Join(parts, separator)
}

func userSubject(id string) string { return "u:" + id }

// HasLink reports whether one of what the principal is leads to the subject.
func (l principalLinks) HasLink(name, subject string, domain ...string) (bool, error) {
	parts, ok := strings.CutPrefix(name, separator)
	if !ok {
		return l.RoleManager.HasLink(name, subject, domain...)
	}
	for part := range strings.SplitSeq(parts, separator) {
		if found, err := l.RoleManager.HasLink(part, subject, domain...); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// modelPolicy is the rules of one organization in casbin.
type modelPolicy struct {
	version int64
	size    int
	tenant  string
	watcher *policyWatcher

	mu       sync.Mutex // an enforcer is not safe for concurrent use
	enforcer *casbin.Enforcer
	asked    int
}

// casbin remembers each answer of g for each subject that was asked about, without
// an end. It is made to forget after so many decisions.
const forgetAfter = 16

// newModelPolicy reads an organization's rules into casbin. changed is called, once
// or more, when they are no longer those in the store.
func (s *Service) newModelPolicy(ctx context.Context, tenant platform.TenantID, changed func()) (*modelPolicy, error) {
	from := &policyAdapter{service: s}
	e, err := newEnforcer(s.cfg.AccessModel, from)
	if err != nil {
		return nil, err
	}
	p := &modelPolicy{tenant: string(tenant), enforcer: e, watcher: &policyWatcher{service: s, tenant: tenant}}
	if err := e.SetWatcher(p.watcher); err != nil {
		return nil, err
	}
	// casbin's own callback would change the rules beneath a decision.
	if err := p.watcher.SetUpdateCallback(func(string) { changed() }); err != nil {
		return nil, err
	}
	if err := e.LoadFilteredPolicyCtx(ctx, tenant); err != nil {
		p.close()
		return nil, fmt.Errorf("user: load rules: %w", err)
	}
	p.version, p.size = from.version, from.size
	return p, nil
}

func (p *modelPolicy) close() { p.watcher.Close() }

func (p *modelPolicy) allows(roles []string, user, permission string, r *Resource) (bool, error) {
	ok, _, err := p.decide(roles, user, permission, r)
	return ok, err
}

// decide returns the rule that decided too, in the order of its definition, or
// none where no rule applies.
func (p *modelPolicy) decide(roles []string, user, permission string, r *Resource) (bool, []string, error) {
	attributes := r.Attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked++; p.asked%forgetAfter == 0 {
		p.enforcer.SetNamedRoleManager("g", p.enforcer.GetNamedRoleManager("g"))
	}
	ok, rule, err := p.enforcer.EnforceEx(principalKey(roles, user), user, p.tenant, permission, r.Type, r.ID, attributes)
	if err != nil {
		return false, nil, fmt.Errorf("user: access model: %w", err)
	}
	return ok, rule, nil
}
