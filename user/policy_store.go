package user

import (
	"context"
	"database/sql"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// sizes say which of its tables an organization has rows in. Most have none, and
// are then read in one statement.
type sizes struct{ version, roles, teams, rules int64 }

// readSizes returns zeros for a tenant of the host's own making, which has the
// shared roles and nothing else.
func readSizes(ctx context.Context, tx store.Tx, tenant platform.TenantID) (n sizes, err error) {
	t := string(tenant)
	err = tx.QueryRow(ctx, `SELECT authz_version,
		(SELECT count(*) FROM user_roles WHERE tenant = ?),
		(SELECT count(*) FROM user_teams WHERE tenant = ?),
		(SELECT count(*) FROM user_access_rules WHERE tenant = ?)
		FROM user_organizations WHERE tenant = ?`, t, t, t, t).Scan(&n.version, &n.roles, &n.teams, &n.rules)
	if errors.Is(err, sql.ErrNoRows) {
		return sizes{}, nil
	}
	return n, err
}

// ruleset reads all rules of an organization.
func (s *Service) ruleset(ctx context.Context, tx store.Tx, tenant platform.TenantID) (*ruleset, error) {
	n, err := readSizes(ctx, tx, tenant)
	if err != nil {
		return nil, err
	}
	return s.readRules(ctx, tx, tenant, n)
}

// readRules reads what there is by n.
func (s *Service) readRules(ctx context.Context, tx store.Tx, tenant platform.TenantID, n sizes) (*ruleset, error) {
	r := newRuleset(s.roles)
	r.version = n.version
	if n.roles > 0 {
		roles, err := ownRoles(ctx, tx, tenant)
		if err != nil {
			return nil, err
		}
		for _, role := range roles {
			r.addRole(role.Name, role.Permissions, role.Parents)
		}
	}
	if n.teams > 0 {
		if err := readTeams(ctx, tx, tenant, r); err != nil {
			return nil, err
		}
	}
	if n.rules > 0 {
		rules, err := accessRules(ctx, tx, tenant)
		if err != nil {
			return nil, err
		}
		for _, rule := range rules {
			r.addAccessRule(rule)
		}
	}
	return r, nil
}

// readTeams reads the teams and who of the members is in which. A row of a
// membership that has ended counts for nothing: who joins again has another
// membership.
func readTeams(ctx context.Context, tx store.Tx, tenant platform.TenantID, r *ruleset) error {
	teams, err := allTeams(ctx, tx, tenant)
	if err != nil {
		return err
	}
	for _, t := range teams {
		r.addTeam(t.ID, t.Roles)
	}
	type row struct{ user, team string }
	rows, err := queryAll(ctx, tx, func(from scanner) (x row, err error) { return x, from.Scan(&x.user, &x.team) },
		`SELECT m.user_id, x.team_id FROM user_team_members x
		JOIN user_memberships m ON m.tenant = x.tenant AND m.id = x.member_id WHERE x.tenant = ?`, string(tenant))
	if err != nil {
		return err
	}
	for _, x := range rows {
		r.teams[x.user] = append(r.teams[x.user], teamSubject(x.team))
	}
	return nil
}
