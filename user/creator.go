package user

import (
	"context"
	"database/sql"
	"errors"
	"math"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// takeOrganization counts one more organization of its creator, whose row it
// locks, so that parallel ones count, and refuses it beyond the limit. made is how
// many there must be before it, -1 for any; the error is then errMadeMeanwhile.
func takeOrganization(ctx context.Context, tx store.Tx, user string, limit, made int64) error {
	most := limit
	if limit < 0 {
		most = math.MaxInt64
	}
	ok, err := changedOne(ctx, tx, `UPDATE user_accounts SET organizations_created = organizations_created + 1
		WHERE id = ? AND status = 'active' AND organizations_created < ? AND (? < 0 OR organizations_created = ?)`, user, most, made, made)
	if err != nil || ok {
		return err
	}
	var active, now int64
	if err := tx.QueryRow(ctx, `SELECT count(*), coalesce(max(organizations_created), 0) FROM user_accounts WHERE id = ? AND status = 'active'`, user).
		Scan(&active, &now); err != nil {
		return err
	}
	switch {
	case active == 0: // suspended since it was verified
		return errBadCredential()
	case made >= 0 && made != now:
		return errMadeMeanwhile
	}
	return platform.OverLimit(limitOrganizations, limit)
}

// Limits returns plans with [platform.Limits].Share filled in: the creator of
// the organization, so that all that one user created have one share of what
// runs at once. A Share that plans set stays, and a tenant that no user created
// has its own. It is [ShareByCreator] over the service's store.
func (s *Service) Limits(plans platform.LimitsFunc) platform.LimitsFunc {
	return ShareByCreator(s.db, plans)
}

// creatorLimit bounds the tenants whose creators stay in memory, at some 200
// bytes each.
const creatorLimit = 1 << 15

// ShareByCreator is [Service.Limits] for a process that has the database of the
// users and no user service. plans may be nil.
//
// Who created an organization never changes and stays in memory; a tenant that
// is not there costs one read of one row, outside of any transaction of the
// caller. That read fails, and the call that is to be bounded with it, until a
// user service has started on the database once.
func ShareByCreator(db store.TenantDB, plans platform.LimitsFunc) platform.LimitsFunc {
	known, err := lru.New[platform.TenantID, string](creatorLimit)
	if err != nil { // only a size that is not positive fails
		panic(err)
	}
	return func(ctx context.Context, tenant platform.TenantID) (platform.Limits, error) {
		var l platform.Limits
		if plans != nil {
			var err error
			if l, err = plans(ctx, tenant); err != nil {
				return platform.Limits{}, err
			}
		}
		if l.Share != "" || tenant == platform.NoTenant {
			return l, nil
		}
		creator, ok := known.Get(tenant)
		if !ok {
			var err error
			if creator, err = creatorOf(ctx, db, tenant); err != nil {
				return platform.Limits{}, err
			}
			known.Add(tenant, creator)
		}
		l.Share = creator
		return l, nil
	}
}

// creatorOf returns the id of the user, "" for a tenant of the host's own making.
func creatorOf(ctx context.Context, db store.TenantDB, tenant platform.TenantID) (string, error) {
	var creator string
	err := store.ReadRow(ctx, db, tenant, `SELECT created_by FROM user_organizations WHERE tenant = ?`, []any{string(tenant)}, &creator)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	return creator, nil
}
