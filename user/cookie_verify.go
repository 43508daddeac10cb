package user

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// verifyCookie returns the principal of a session cookie and until when it is
// valid at most. The value names the session, and the session the organization, so
// it is one query across tenants. The value before the present one leads where it
// led, for the moment that rotateCookie gives it.
func (s *Service) verifyCookie(ctx context.Context, value string) (platform.Principal, time.Time, error) {
	none := platform.Principal{}
	session, hash, ok := cookieSession(value)
	if !ok {
		return none, time.Time{}, errBadCredential()
	}
	now := s.now()
	var (
		p                                       platform.Principal
		grant, methods                          string
		roles                                   sql.NullString
		at, ends, idle, longest, used, previous int64
		requiresFactor, isPresent               bool
	)
	err := s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT x.user_id, x.signed_in_at, x.methods, x.ends_at, x.cookie_hash = ?, x.previous_until,
				g.id, g.organization, g.last_used_at, g.idle_until, g.ends_at, m.roles, coalesce(o.require_factor, 0) = 1
			FROM user_sessions x
			JOIN user_accounts a ON a.id = x.user_id
			JOIN user_session_grants g ON g.session = x.id
				AND g.organization = CASE WHEN x.cookie_hash = ? THEN x.organization ELSE x.previous_organization END
			LEFT JOIN user_organizations o ON o.tenant = g.organization AND o.status = 'active'
			LEFT JOIN user_memberships m ON m.tenant = o.tenant AND m.user_id = x.user_id AND m.status = 'active'
			WHERE x.id = ? AND (x.cookie_hash = ? OR x.previous_hash = ? AND x.previous_until > ?) AND x.revoked_at = 0 AND x.ends_at > ?
				AND g.revoked_at = 0 AND g.idle_until > ? AND g.ends_at > ? AND a.status = 'active'`,
			hash, hash, session, hash, hash, micros(now), micros(now), micros(now), micros(now)).
			Scan(&p.Subject, &at, &methods, &ends, &isPresent, &previous, &grant, &p.Tenant, &used, &idle, &longest, &roles, &requiresFactor)
	}, store.ReadOnly)
	if errors.Is(err, sql.ErrNoRows) {
		err = errBadCredential()
	}
	if err != nil {
		return none, time.Time{}, err
	}
	in, err := scannedSignIn(at, methods)
	if err != nil {
		return none, time.Time{}, err
	}
	p.Kind, p.Credential, p.SignedInAt, p.Methods = platform.PrincipalUser, session, in.at, slices.Clip(in.methods)
	if requiresFactor && roles.Valid && !strong(in.methods) {
		return none, time.Time{}, errFactorRequired()
	}
	if roles.Valid {
		list, err := decodeList(roles.String)
		if err != nil {
			return none, time.Time{}, err
		}
		p.Roles = slices.Clip(list)
	} else { // a person is signed in to none, or to one that is not open to them now
		p.Tenant = platform.NoTenant
	}
	if now.Sub(fromMicros(used)) >= useResolution {
		s.uses.note(grant, now)
	}
	until := min(ends, idle, longest)
	if !isPresent {
		until = min(until, previous)
	}
	return p, fromMicros(until), nil
}
