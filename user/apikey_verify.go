package user

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// verifyKey returns the principal of an API key and until when it is valid at
// most. The owner's roles are read again, so a key never outlives them.
func (s *Service) verifyKey(ctx context.Context, credential string) (platform.Principal, time.Time, error) {
	none := platform.Principal{}
	id, secret, ok := s.parseKey(credential)
	if !ok {
		return none, time.Time{}, errBadCredential()
	}
	var (
		p                      platform.Principal
		hash, previous         []byte
		scopes, roles          string
		previousUntil, expires int64
	)
	err := s.db.AcrossTenants(ctx, s.cross.apiKey, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT k.tenant, k.user_id, k.scopes, k.hash, k.previous_hash, k.previous_until, k.expires_at, m.roles
			FROM user_api_keys k
			JOIN user_memberships m ON m.tenant = k.tenant AND m.user_id = k.user_id
			JOIN user_organizations o ON o.tenant = k.tenant
			JOIN user_accounts a ON a.id = k.user_id
			WHERE k.id = ? AND k.revoked_at = 0 AND m.status = 'active' AND o.status = 'active' AND a.status = 'active'`, id).
			Scan(&p.Tenant, &p.Subject, &scopes, &hash, &previous, &previousUntil, &expires, &roles)
	}, store.ReadOnly)
	if errors.Is(err, sql.ErrNoRows) {
		return none, time.Time{}, errBadCredential()
	}
	if err != nil {
		return none, time.Time{}, err
	}
	now, until := s.now(), s.now().Add(s.cfg.VerifyTTL)
	if expires != 0 {
		until = fromMicros(expires)
	}
	sum := sha256.Sum256(secret)
	switch {
	case subtle.ConstantTimeCompare(sum[:], hash) == 1:
	case subtle.ConstantTimeCompare(sum[:], previous) == 1 && now.Before(fromMicros(previousUntil)):
		if end := fromMicros(previousUntil); end.Before(until) {
			until = end
		}
	default:
		return none, time.Time{}, errBadCredential()
	}
	if expires != 0 && !now.Before(fromMicros(expires)) {
		return none, time.Time{}, errBadCredential()
	}
	p.Kind, p.Credential = platform.PrincipalAPIKey, id
	roleList, errRoles := decodeList(roles)
	scopeList, errScopes := decodeList(scopes)
	p.Roles, p.Scopes = slices.Clip(roleList), slices.Clip(scopeList)
	if err := errors.Join(errRoles, errScopes); err != nil {
		return none, time.Time{}, fmt.Errorf("user: API key %s: %w", id, err)
	}
	s.usage.note(keyRef{p.Tenant, id}, now)
	return p, until, nil
}

// keyUsage collects when keys were last used, to be written together.
type keyUsage struct {
	mu   sync.Mutex
	last map[keyRef]time.Time
}

type keyRef struct {
	tenant platform.TenantID
	id     string
}

func (u *keyUsage) note(k keyRef, now time.Time) {
	u.mu.Lock()
	u.last[k] = now
	u.mu.Unlock()
}

// take returns what was collected, by tenant, and begins again.
func (u *keyUsage) take() map[platform.TenantID]map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := make(map[platform.TenantID]map[string]time.Time)
	for k, t := range u.last {
		if taken[k.tenant] == nil {
			taken[k.tenant] = make(map[string]time.Time)
		}
		taken[k.tenant][k.id] = t
	}
	clear(u.last)
	return taken
}

// writeUsage writes the collected times, one transaction for each tenant. What
// fails is lost: the time is a help for people, not a record.
func (s *Service) writeUsage(ctx context.Context) error {
	var errs []error
	for tenant, keys := range s.usage.take() {
		errs = append(errs, s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
			for _, id := range slices.Sorted(maps.Keys(keys)) { // in the order in which other processes take them
				at := keys[id]
				if _, err := tx.Exec(ctx, `UPDATE user_api_keys SET last_used_at = ? WHERE tenant = ? AND id = ? AND last_used_at < ?`,
					micros(at), string(tenant), id, micros(at)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}
