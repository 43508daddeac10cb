package user

import (
	"context"
	"database/sql"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// rights is what a principal may do at most: what rules allow it and none denies,
// within its scopes.
type rights struct {
	rules    *ruleset // of the organization
	held     []string // patterns that are allowed
	denied   []string // patterns that are denied; never to an owner
	scopes   []string
	isScoped bool
}

// cover reports whether the principal has all that the patterns grant. One of
// which any part is denied is not had.
func (r rights) cover(patterns []string) bool {
	return covers(r.held, patterns) && !overlap(r.denied, patterns) && (!r.isScoped || covers(r.scopes, patterns))
}

// coverSubjects reports whether the principal has all that rules about those
// subjects, and about what they inherit, allow or deny. Whoever changes who is
// one of them needs that: who is no more, is rid of what was denied. What no
// longer exists has no rules.
func (r rights) coverSubjects(all ...subject) bool { return r.cover(r.rules.touched(all...)) }

// coverRoles is coverSubjects for roles by their names.
func (r rights) coverRoles(names []string) bool { return r.coverSubjects(roleSubjects(names)...) }

// coverMember is coverSubjects for a member's roles and teams.
func (r rights) coverMember(m Member) bool {
	return r.coverSubjects(append(roleSubjects(m.Roles), r.rules.teams[m.UserID]...)...)
}

// known returns an error that names the field if a role does not exist.
func (r rights) known(path string, names []string) error {
	for _, n := range names {
		if !r.rules.hasRole(n) {
			return field(path, "unknown", "each must be the name of a role of the organization")
		}
	}
	return nil
}

// lockRights returns what p may do, and holds the organization: what the caller
// checks, such as that an owner remains, stays true until it commits.
func (s *Service) lockRights(ctx context.Context, tx store.Tx, p platform.Principal) (rights, error) {
	if err := lockOrganization(ctx, tx, p.Tenant); err != nil {
		return rights{}, err
	}
	return s.rightsOf(ctx, tx, p)
}

// rightsOf reads the roles of p's membership, which may have changed since p
// was verified. A system principal has the roles that the host gave it, and all
// rights where it gave none.
func (s *Service) rightsOf(ctx context.Context, tx store.Tx, p platform.Principal) (rights, error) {
	names := p.Roles
	if p.Kind != platform.PrincipalSystem {
		var err error
		if names, err = rolesOf(ctx, tx, p.Tenant, p.Subject); err != nil {
			return rights{}, err
		}
	}
	r, err := s.rightsOfUser(ctx, tx, p.Tenant, p.Subject, names)
	r.scopes, r.isScoped = p.Scopes, p.Scopes != nil
	if unlimited(&p) {
		r.held, r.denied = []string{"*"}, nil
	}
	return r, err
}

// rightsOfUser returns what somebody with the roles may do, by their teams too,
// without limits of scopes.
func (s *Service) rightsOfUser(ctx context.Context, tx store.Tx, tenant platform.TenantID, user string, roles []string) (rights, error) {
	rules, err := s.ruleset(ctx, tx, tenant)
	if err != nil {
		return rights{}, err
	}
	r := rights{rules: rules}
	r.held, r.denied = rules.patternsOf(rules.holdings(roles, user))
	return r, nil
}

// rolesOf returns the roles of a user's active membership; none without one.
func rolesOf(ctx context.Context, tx store.Tx, tenant platform.TenantID, user string) ([]string, error) {
	var roles string
	err := tx.QueryRow(ctx, `SELECT m.roles FROM user_memberships m JOIN user_accounts a ON a.id = m.user_id
		WHERE m.tenant = ? AND m.user_id = ? AND m.status = 'active' AND a.status = 'active'`, string(tenant), user).Scan(&roles)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeList(roles)
}

// activeIn reports whether the organization is open to the user.
func activeIn(ctx context.Context, tx store.Queries, tenant platform.TenantID, user string) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM user_memberships m
		JOIN user_organizations o ON o.tenant = m.tenant
		JOIN user_accounts a ON a.id = m.user_id
		WHERE m.tenant = ? AND m.user_id = ? AND m.status = 'active' AND o.status = 'active' AND a.status = 'active'`,
		string(tenant), user).Scan(&n)
	return n > 0, err
}
