package user

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Authorizer decides whether a principal may do what a permission names. It
// returns nil, or an error of [platform.KindForbidden] that names the
// permission. [*Service] is one; the library that decides does not show.
type Authorizer interface {
	Authorize(ctx context.Context, p platform.Principal, permission string) error
}

var _ Authorizer = (*Service)(nil)

// policyModel has no g: which roles a user has comes from the membership,
// never from casbin's links, which remember every subject they were asked for.
const policyModel = `
[request_definition]
r = sub, act
[policy_definition]
p = sub, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && grants(p.act, r.act)
`

// rolePrefix keeps role names apart from whatever else may be a subject.
const rolePrefix = "r:"

// decisionLimit bounds what one tenant's policy remembers: routes are few, but
// a caller in Go may ask for anything.
const decisionLimit = 4096

// policy is the roles of one tenant at one version, compiled. It is not
// changed after it was made, but for the decisions it remembers, which are
// dropped with it.
type policy struct {
	version  int64
	snapshot snapshot
	checked  atomic.Int64 // when version was last found current, in µs

	mu       sync.Mutex // one evaluation at a time; also orders remember
	enforcer *casbin.Enforcer
	decided  atomic.Pointer[map[decision]bool]
}

type decision struct{ role, permission string }

// newPolicy compiles roles: name to permission patterns.
func newPolicy(version int64, roles map[string][]string) (*policy, error) {
	m, err := model.NewModelFromString(policyModel)
	if err != nil {
		return nil, fmt.Errorf("user: policy model: %w", err)
	}
	for name, patterns := range roles {
		for _, p := range patterns {
			if err := m.AddPolicy("p", "p", []string{rolePrefix + name, p}); err != nil {
				return nil, fmt.Errorf("user: policy: %w", err)
			}
		}
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, fmt.Errorf("user: enforcer: %w", err)
	}
	e.AddFunction("grants", func(args ...any) (any, error) {
		pattern, _ := args[0].(string)
		permission, _ := args[1].(string)
		return platform.Grants(pattern, permission), nil
	})
	p := &policy{version: version, enforcer: e}
	p.decided.Store(&map[decision]bool{})
	return p, nil
}

// allows reports whether one of the roles grants the permission. The map of
// decisions is replaced, never changed, so that readers need no lock.
func (p *policy) allows(roles []string, permission string) (bool, error) {
	known := *p.decided.Load()
	for _, role := range roles {
		ok, found := known[decision{role, permission}]
		if !found {
			var err error
			if ok, err = p.evaluate(role, permission); err != nil {
				return false, err
			}
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// evaluate asks casbin and remembers what it said.
func (p *policy) evaluate(role, permission string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ok, err := p.enforcer.Enforce(rolePrefix+role, permission)
	if err != nil {
		return false, fmt.Errorf("user: enforce: %w", err)
	}
	old := *p.decided.Load()
	if len(old) >= decisionLimit {
		return ok, nil
	}
	decided := make(map[decision]bool, len(old)+1)
	for k, v := range old {
		decided[k] = v
	}
	decided[decision{role, permission}] = ok
	p.decided.Store(&decided)
	return ok, nil
}

// Authorize returns nil where p may do what the permission names: one of its
// roles grants it, and so does one of its scopes where it has any. It trusts
// p.Roles, which [Service.Verify] read from the membership. A system principal
// (see [platform.System]) may do everything within its scopes; one that the host
// gives roles may do what these grant. What the roles mean is at most Config.VerifyTTL old, and not at all
// where they changed in this process.
func (s *Service) Authorize(ctx context.Context, p platform.Principal, permission string) error {
	if err := p.RequireTenant(); err != nil {
		return err
	}
	if !p.InScope(permission) {
		return errForbidden(permission)
	}
	if unlimited(p) {
		return nil
	}
	pol, err := s.policyOf(ctx, p.Tenant)
	if err != nil {
		return err
	}
	ok, err := pol.allows(p.Roles, permission)
	if err != nil {
		return err
	}
	if !ok {
		return errForbidden(permission)
	}
	return nil
}

// unlimited reports whether only its scopes limit p: a system principal without
// roles.
func unlimited(p platform.Principal) bool {
	return p.Kind == platform.PrincipalSystem && p.Roles == nil
}

// policyOf returns the tenant's policy from memory where it is known to be
// current, and looks at its version otherwise.
func (s *Service) policyOf(ctx context.Context, tenant platform.TenantID) (*policy, error) {
	pol, ok := s.policies.Get(tenant)
	if !ok || !s.changes.current(pol.snapshot) {
		return s.readPolicy(ctx, tenant, nil)
	}
	if s.now().UnixMicro()-pol.checked.Load() < int64(s.cfg.VerifyTTL/time.Microsecond) {
		return pol, nil
	}
	return s.readPolicy(ctx, tenant, pol)
}

// readPolicy returns old, if it is given and its version is still the
// tenant's, or a new one.
func (s *Service) readPolicy(ctx context.Context, tenant platform.TenantID, old *policy) (*policy, error) {
	now := s.now().UnixMicro()
	st := s.changes.snapshot(tenantKey(tenant)) // before the read: see versions
	var version int64
	var roles map[string][]string
	err := s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		if version, err = authzVersion(ctx, tx, tenant); err != nil || old != nil && version == old.version {
			return err
		}
		roles, err = s.rolesIn(ctx, tx, tenant)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("user: read roles: %w", err)
	}
	if old != nil && version == old.version {
		old.checked.Store(now)
		return old, nil
	}
	pol, err := newPolicy(version, roles)
	if err != nil {
		return nil, err
	}
	pol.snapshot = st
	pol.checked.Store(now)
	s.policies.Add(tenant, pol)
	return pol, nil
}
