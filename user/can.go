package user

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

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

// Authorize returns nil where p may do what the permission names, whatever it is
// done to; [Service.Can] asks about a resource.
func (s *Service) Authorize(ctx context.Context, p platform.Principal, permission string) error {
	ok, err := s.decide(ctx, &p, permission, &Resource{})
	if err == nil && !ok {
		err = errForbidden(permission)
	}
	return err
}

// Can reports whether p may do what the permission names to the resource: a rule
// about one of its roles, of its teams, or of what these inherit allows it, no
// such rule denies it, and one of its scopes grants it where it has any. Nothing
// is denied to an owner.
//
// It trusts p.Roles, which [Service.Verify] read from the membership; the teams
// are those of p.Subject. A system principal (see [platform.System]) may do
// everything within its scopes; one that the host gives roles may do what these
// grant. What roles, teams and rules say is at most Config.VerifyTTL old, and not
// at all where they changed in this process.
//
// The answer is false beside every error. Errors: KindUnauthenticated for a
// principal without a tenant, KindInvalid for what is no resource, and those of
// the store.
func (s *Service) Can(ctx context.Context, p platform.Principal, permission string, r Resource) (bool, error) {
	if err := r.validate(); err != nil {
		return false, err
	}
	return s.decide(ctx, &p, permission, &r)
}

// CanAll answers up to 100 questions of p at once, in their order: see
// [Service.Can]. They are answered by one version of the rules.
func (s *Service) CanAll(ctx context.Context, p platform.Principal, questions []Question) ([]bool, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, err
	}
	if err := checkQuestions(questions); err != nil {
		return nil, err
	}
	pol, err := s.policyOf(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	answers := make([]bool, len(questions))
	for i := range questions {
		q := &questions[i]
		if answers[i], err = pol.allows(&p, q.Permission, &q.Resource); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// decide is on the way of every request: no clock is read and nothing allocated
// where the organization's rules are in memory.
func (s *Service) decide(ctx context.Context, p *platform.Principal, permission string, r *Resource) (bool, error) {
	if p.Kind == platform.PrincipalSystem && p.Roles == nil {
		if err := p.RequireTenant(); err != nil {
			return false, err
		}
		return p.InScope(permission), nil
	}
	pol, err := s.policyOf(ctx, p.Tenant)
	if err != nil {
		return false, err
	}
	return pol.allows(p, permission, r)
}

func (pol *policy) allows(p *platform.Principal, permission string, r *Resource) (bool, error) {
	switch {
	case p.Scopes != nil && !p.InScope(permission):
		return false, nil
	case unlimited(p):
		return true, nil
	case pol.index != nil:
		return pol.index.allows(p.Roles, p.Subject, permission, r), nil
	}
	return pol.model.allows(p.Roles, p.Subject, permission, r)
}

// unlimited reports whether only its scopes limit p: a system principal without
// roles.
func unlimited(p *platform.Principal) bool {
	return p.Kind == platform.PrincipalSystem && p.Roles == nil
}

// policyOf returns the organization's policy from memory where it is known to be
// current, and looks at its version otherwise.
func (s *Service) policyOf(ctx context.Context, tenant platform.TenantID) (*policy, error) {
	pol, ok := s.policies.get(tenant)
	if ok && s.changes.currentOne(pol.seen) {
		if s.freshness.fresh(pol.checked.Load()) {
			return pol, nil
		}
	} else {
		pol = nil
	}
	if err := (platform.Principal{Tenant: tenant}).RequireTenant(); err != nil {
		return nil, err
	}
	return s.readPolicy(ctx, tenant, pol)
}

// readPolicy returns old, if it is given and its version is still the
// organization's, or a new one.
func (s *Service) readPolicy(ctx context.Context, tenant platform.TenantID, old *policy) (*policy, error) {
	now := s.now().UnixMicro()
	seen := s.changes.snapshotOne(tenantKey(tenant)) // before the read: see versions
	var (
		rules   *ruleset
		changed bool
	)
	err := s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		found, err := readSizes(ctx, tx, tenant)
		if err != nil {
			return err
		}
		changed = old == nil || found.version != old.version
		if changed && s.cfg.AccessModel == "" { // or casbin's adapter reads them
			rules, err = s.readRules(ctx, tx, tenant, found)
		}
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("user: read rules: %w", err)
	}
	if !changed {
		old.checked.Store(now)
		return old, nil
	}
	pol, err := s.newPolicy(ctx, tenant, rules)
	if err != nil {
		return nil, err
	}
	pol.seen = seen
	pol.checked.Store(now)
	s.policies.put(tenant, pol)
	return pol, nil
}

// newPolicy makes the policy of an organization out of its rules, or out of those
// that casbin reads.
func (s *Service) newPolicy(ctx context.Context, tenant platform.TenantID, rules *ruleset) (*policy, error) {
	pol := &policy{size: policySize + 2*len(tenant)}
	switch {
	case s.cfg.AccessModel != "":
		model, err := s.newModelPolicy(ctx, tenant, func() { s.policies.drop(tenant, pol) })
		if err != nil {
			return nil, err
		}
		pol.model, pol.version = model, model.version
		pol.size += model.size
	case rules.plain():
		pol.version, pol.index = rules.version, s.plain
	default:
		pol.version, pol.index = rules.version, s.plain.shared.compile(rules)
		pol.size += pol.index.size()
	}
	return pol, nil
}

// freshness tells whether something was checked within Config.VerifyTTL. To read a
// clock takes as long as a decision, so the host's clock is read only where the
// host gave one, and before the start; otherwise the time is noted in the
// background, eight times in VerifyTTL, and what may be missing is taken off.
type freshness struct {
	now   func() time.Time
	ttl   int64 // µs
	exact bool  // now is the host's
	noted atomic.Int64
}

// fresh reports whether less than the TTL has passed since the time.
func (r *freshness) fresh(at int64) bool {
	if now := r.noted.Load(); now != 0 {
		return now-at < r.ttl-r.ttl/8
	}
	return r.now().UnixMicro()-at < r.ttl
}

// noting reports whether the time is to be noted. It is not worth it for a TTL
// that would wake a thread often.
func (r *freshness) noting() bool { return !r.exact && r.ttl >= time.Second.Microseconds() }

// note keeps the time until ctx ends.
func (r *freshness) note(ctx context.Context) {
	ticker := time.NewTicker(time.Duration(r.ttl/8) * time.Microsecond)
	defer ticker.Stop()
	defer r.noted.Store(0)
	for {
		r.noted.Store(r.now().UnixMicro())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
