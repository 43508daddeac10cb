package user

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Verify returns who presents a credential: an access token, an API key or
// an operator's key; a session cookie is for [Service.Cookie]. The
// error is of [platform.KindUnauthenticated] for one that is not valid, for
// whatever reason.
//
// A credential that was good is believed for Config.VerifyTTL, or until a
// change in this process touches its session, key, user or organization, which
// acts on the next call. The principal shares its slices with other calls: who
// wants to change them clones it.
func (s *Service) Verify(ctx context.Context, credential string) (platform.Principal, error) {
	if strings.HasPrefix(credential, cookiePrefix+"_") {
		return platform.Principal{}, errBadCredential()
	}
	return s.verified(ctx, credential)
}

// verified is Verify for any credential, cookies too: no two sorts look the same.
func (s *Service) verified(ctx context.Context, credential string) (platform.Principal, error) {
	if len(credential) > maxToken {
		return platform.Principal{}, errBadCredential()
	}
	var buf [1024]byte // on the stack: a conversion would be on the heap
	key := sha256.Sum256(append(buf[:0], credential...))
	now := s.now()
	if v, ok := s.credentials.get(key); ok {
		if now.Before(v.until) && s.changes.current(v.snapshot) {
			return v.principal, nil
		}
		s.credentials.drop(key)
	}
	// A change between the reading and the keeping would be lost: it is then
	// not kept.
	before := s.changes.total.Load()
	p, until, err := s.verify(ctx, credential)
	if err != nil {
		return platform.Principal{}, err
	}
	if limit := now.Add(s.cfg.VerifyTTL); until.After(limit) {
		until = limit
	}
	v := &verifiedCredential{principal: p, until: until}
	v.snapshot = s.changes.snapshot(tenantKey(p.Tenant), userKey(p.Subject), credentialKey(p.Credential))
	if s.changes.total.Load() == before {
		s.credentials.put(key, v)
	}
	return p, nil
}

// verify reads the store. It returns until when the credential is valid at
// most.
func (s *Service) verify(ctx context.Context, credential string) (platform.Principal, time.Time, error) {
	if strings.HasPrefix(credential, s.cfg.KeyPrefix+"_") {
		return s.verifyKey(ctx, credential)
	}
	if strings.HasPrefix(credential, operatorPrefix+"_") {
		return s.verifyOperator(ctx, credential)
	}
	if strings.HasPrefix(credential, cookiePrefix+"_") {
		return s.verifyCookie(ctx, credential)
	}
	c, err := s.parseAccess(ctx, credential)
	if err != nil {
		return platform.Principal{}, time.Time{}, err
	}
	return s.verifyAccess(ctx, c)
}

// verifyAccess reads what the claims of an access token refer to.
func (s *Service) verifyAccess(ctx context.Context, c claims) (platform.Principal, time.Time, error) {
	tenant, now := platform.TenantID(c.Org), micros(s.now())
	var (
		roles               = "[]"
		ends, idle, longest int64
		requiresFactor      bool
		err                 error
	)
	if tenant == "" {
		tenant = platform.NoTenant
		err = s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, `SELECT x.ends_at, g.idle_until, g.ends_at FROM user_sessions x
				JOIN user_accounts a ON a.id = x.user_id
				JOIN user_session_grants g ON g.session = x.id AND g.organization = ?
				WHERE x.id = ? AND x.user_id = ? AND x.revoked_at = 0 AND x.ends_at > ?
				AND g.revoked_at = 0 AND g.idle_until > ? AND g.ends_at > ? AND a.status = 'active'`,
				string(tenant), c.Session, c.Subject, now, now, now).Scan(&ends, &idle, &longest)
		}, store.ReadOnly)
	} else {
		err = store.ReadRow(ctx, s.db, tenant, `SELECT m.roles, o.require_factor = 1, x.ends_at, g.idle_until, g.ends_at FROM user_memberships m
			JOIN user_organizations o ON o.tenant = m.tenant
			JOIN user_accounts a ON a.id = m.user_id
			JOIN user_sessions x ON x.user_id = m.user_id
			JOIN user_session_grants g ON g.session = x.id AND g.organization = m.tenant
			WHERE m.tenant = ? AND m.user_id = ? AND x.id = ? AND x.revoked_at = 0 AND x.ends_at > ?
			AND g.revoked_at = 0 AND g.idle_until > ? AND g.ends_at > ?
			AND m.status = 'active' AND o.status = 'active' AND a.status = 'active'`,
			[]any{c.Org, c.Subject, c.Session, now, now, now}, &roles, &requiresFactor, &ends, &idle, &longest)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = errBadCredential()
	}
	if err == nil && requiresFactor && !strong(c.Methods) {
		err = errFactorRequired()
	}
	if err != nil {
		return platform.Principal{}, time.Time{}, err
	}
	list, err := decodeList(roles)
	p := platform.Principal{
		Tenant: tenant, Subject: c.Subject, Kind: platform.PrincipalUser, Credential: c.Session, Roles: slices.Clip(list),
		Methods: slices.Clip(c.Methods),
	}
	if c.AuthTime != 0 {
		p.SignedInAt = time.Unix(c.AuthTime, 0).UTC()
	}
	return p, earliest(time.Unix(c.Expires, 0), fromMicros(min(ends, idle, longest))), err
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
