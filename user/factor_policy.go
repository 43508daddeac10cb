package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// An organization may require a second factor of its members. The policy holds
// wherever a session meets the organization: at a sign-in, whatever the way in,
// where a person without a factor has to add one; when one switches to it or
// refreshes; and whenever a token or a cookie is verified, so that sessions from
// before the policy are refused at their next request, in other processes within
// Config.VerifyTTL. API keys are not sessions: they stay as they are, and who may
// not have them has no permission to make them.

// requiresFactor reports whether an organization requires a second factor.
func requiresFactor(ctx context.Context, tx store.Queries, tenant platform.TenantID) (required bool, err error) {
	if tenant == platform.NoTenant {
		return false, nil
	}
	var n int
	err = tx.QueryRow(ctx, `SELECT count(*) FROM user_organizations WHERE tenant = ? AND require_factor = 1`, string(tenant)).Scan(&n)
	return n > 0, err
}

// keepsPolicy refuses a session of those methods where the organization requires
// more.
func keepsPolicy(ctx context.Context, tx store.Queries, tenant platform.TenantID, methods []string) error {
	if strong(methods) {
		return nil
	}
	required, err := requiresFactor(ctx, tx, tenant)
	if err == nil && required {
		err = errFactorRequired()
	}
	return err
}

// factorRequiredOf reports whether an organization that the person is in requires
// a second factor.
func factorRequiredOf(ctx context.Context, tx store.CrossTx, user string) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, `SELECT count(*) FROM user_memberships m JOIN user_organizations o ON o.tenant = m.tenant
		WHERE m.user_id = ? AND o.require_factor = 1`, user).Scan(&n)
	return n > 0, err
}

// setFactorPolicy changes the policy of p's organization, in a transaction of it.
// Who turns it on has shown a second factor, or would be the first to be refused;
// who turns it off too, because the policy holds.
func (s *Service) setFactorPolicy(ctx context.Context, tx store.Tx, p platform.Principal, require bool) error {
	if require && !strong(p.Methods) {
		return platform.Errorf(platform.KindForbidden, "factor_required", "sign in with a second factor before you require one of others")
	}
	value := 0
	if require {
		value = 1
	}
	changed, err := changedOne(ctx, tx, `UPDATE user_organizations SET require_factor = ?, updated_at = ? WHERE tenant = ? AND require_factor <> ?`,
		value, micros(s.now()), string(p.Tenant), value)
	if err != nil || !changed {
		return err
	}
	detail := map[string]string{"require_factor": "false"}
	if require {
		detail["require_factor"] = "true"
	}
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "organization.policy_changed", string(p.Tenant), detail); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.organization.policy_changed", string(p.Tenant), p,
		policyEvent{Organization: string(p.Tenant), RequireFactor: require})
}
