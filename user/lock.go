package user

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A transaction that decides on what it has read must keep others from changing
// that meanwhile: most databases run them at once, and each sees what was
// committed when a statement began. It locks the row that says it, by an UPDATE
// that changes nothing, which waits for the transaction that has locked it and then reads again.
//
// All lock in this order, or they would wait for each other:
// the account, the organization, the membership or the invitation, the grants of
// sessions, the sessions, the API keys by id, the heads of the audit by tenant. The
// audit is the last, because one row of it is what all that happens in an organization
// passes through.

// lockOrganization raises the organization's version and locks it. Whoever
// changes members, roles, invitations or the number of keys does so first.
func lockOrganization(ctx context.Context, tx store.Queries, tenant platform.TenantID) error {
	ok, err := changedOne(ctx, tx, `UPDATE user_organizations SET authz_version = authz_version + 1 WHERE tenant = ?`, string(tenant))
	if err != nil {
		return fmt.Errorf("user: lock organization: %w", err)
	}
	if !ok {
		return platform.NotFound("organization")
	}
	return nil
}

// lockOpen reports whether the organization is open to the user, and locks the
// account and the membership: whoever ends them, or changes the password, ends
// the sessions that there are, and must not miss one that is being opened.
func lockOpen(ctx context.Context, tx store.Queries, tenant platform.TenantID, user string) (bool, error) {
	ok, err := changedOne(ctx, tx, `UPDATE user_accounts SET updated_at = updated_at WHERE id = ? AND status = 'active'`, user)
	if err != nil || !ok || tenant == platform.NoTenant {
		return ok, err
	}
	ok, err = changedOne(ctx, tx, `UPDATE user_memberships SET updated_at = updated_at WHERE tenant = ? AND user_id = ? AND status = 'active'`,
		string(tenant), user)
	if err != nil || !ok {
		return false, err
	}
	return activeIn(ctx, tx, tenant, user)
}

// lockGrant reads a grant and locks it: of several refreshes at once, each sees
// what the one before has made of it.
func lockGrant(ctx context.Context, tx store.Queries, id string) (refreshState, error) {
	return scanRefreshState(tx.QueryRow(ctx, `UPDATE user_session_grants SET generation = generation WHERE id = ? RETURNING `+refreshColumns, id))
}
