package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// The limits that this package counts, by their names in [platform.Limits].
const (
	limitMembers       = "members"
	limitOrganizations = "organizations"
)

var _ platform.UsageReporter = (*Service)(nil)

// Usage returns what a tenant has used: its members, with the invitations that
// are open, the organizations that its creator has made in all, and its
// idempotency keys.
func (s *Service) Usage(ctx context.Context, tenant platform.TenantID) ([]platform.Usage, error) {
	limits, err := s.cfg.Limits.Of(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var members, invitations, organizations int64
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		if members, invitations, err = seats(ctx, tx, tenant, s.now()); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT coalesce(max(a.organizations_created), 0) FROM user_organizations o
			JOIN user_accounts a ON a.id = o.created_by WHERE o.tenant = ?`, string(tenant)).Scan(&organizations)
	}, store.ReadOnly)
	if err != nil {
		return nil, err
	}
	keys, err := s.repeats.Usage(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return []platform.Usage{
		{Name: limitMembers, Used: members + invitations, Limit: limits.Members},
		{Name: limitOrganizations, Used: organizations, Limit: limits.Organizations},
		keys,
	}, nil
}

// seats returns how many members a tenant has, those suspended too, and how
// many invitations are open.
func seats(ctx context.Context, tx store.Tx, tenant platform.TenantID, now time.Time) (members, invitations int64, err error) {
	err = tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM user_memberships WHERE tenant = ?),
		(SELECT count(*) FROM user_invitations WHERE tenant = ? AND accepted_at = 0 AND revoked_at = 0 AND expires_at > ?)`,
		string(tenant), string(tenant), micros(now)).Scan(&members, &invitations)
	return members, invitations, err
}
