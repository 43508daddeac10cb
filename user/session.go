package user

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// Session is one signed-in device of a user, whatever organizations it visits.
type Session struct {
	ID string
	// Name is what the client says of itself, such as "Firefox on Linux", and ""
	// where it says nothing.
	Name string
	// Address is that of the sign-in, "" where it is not known.
	Address   string
	CreatedAt time.Time
	// LastUsedAt is the last sign-in, refresh or change of organization; of a
	// cookie the last request, to the minute.
	LastUsedAt time.Time
	// ExpiresAt is when it ends if it is not used before.
	ExpiresAt time.Time
	// Organizations are those that the device is signed in to, by id.
	Organizations []platform.TenantID
	// Current marks the session that asks.
	Current bool
}

// LogOut ends the session that p came from, in all organizations.
func (s *Service) LogOut(ctx context.Context, p platform.Principal) error {
	return s.endOwn(ctx, p, "session.logged_out", p.Credential)
}

// RevokeSession ends one of the user's own sessions, in all organizations.
func (s *Service) RevokeSession(ctx context.Context, p platform.Principal, id string) error {
	return s.endOwn(ctx, p, "session.revoked", id)
}

// endOwn ends a session of p's user.
func (s *Service) endOwn(ctx context.Context, p platform.Principal, action, id string) error {
	n, err := s.endWhere(ctx, p, action, `id = ?`, id)
	if err == nil && n == 0 {
		err = platform.NotFound("session")
	}
	return err
}

// RevokeSessions ends the user's own sessions but for the one that p came from,
// or that one too.
func (s *Service) RevokeSessions(ctx context.Context, p platform.Principal, current bool) error {
	if current {
		_, err := s.endWhere(ctx, p, "session.revoked", `id <> ?`, "")
		return err
	}
	_, err := s.endWhere(ctx, p, "session.revoked", `id <> ?`, p.Credential)
	return err
}

// endWhere ends those of the sessions of p's user that a condition holds for, and
// returns how many. The organizations that a session has visited are told.
func (s *Service) endWhere(ctx context.Context, p platform.Principal, action, condition, value string) (int, error) {
	if p.Kind != platform.PrincipalUser {
		return 0, errUserNeeded()
	}
	var ended []string
	err := s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		ended, err = queryAll(ctx, tx, scanID, `UPDATE user_sessions SET revoked_at = ? WHERE user_id = ? AND revoked_at = 0 AND `+condition+` RETURNING id`,
			micros(s.now()), p.Subject, value)
		if err != nil {
			return err
		}
		return s.tellEnded(ctx, tx, p, action, ended)
	}, store.Reserved)
	if err != nil {
		return 0, err
	}
	for _, id := range ended {
		s.changed(ctx, credentialKey(id))
	}
	return len(ended), nil
}

func scanID(row scanner) (id string, err error) { return id, row.Scan(&id) }

// visit is a session in an organization.
type visit struct {
	tenant  platform.TenantID
	session string
}

// tellEnded tells each organization of the sessions that have ended there, in the
// order in which transactions lock their audits.
func (s *Service) tellEnded(ctx context.Context, tx writer, p platform.Principal, action string, ended []string) error {
	var all []visit
	for _, id := range ended {
		visits, err := queryAll(ctx, tx, func(row scanner) (v visit, err error) { return v, row.Scan(&v.tenant, &v.session) },
			`SELECT organization, session FROM user_session_grants WHERE session = ? AND revoked_at = 0`, id)
		if err != nil {
			return err
		}
		all = append(all, visits...)
	}
	slices.SortFunc(all, func(a, b visit) int {
		if a.tenant != b.tenant {
			return cmp.Compare(a.tenant, b.tenant)
		}
		return cmp.Compare(a.session, b.session)
	})
	for _, v := range all {
		if err := s.record(ctx, tx, v.tenant, byPrincipal(p), action, v.session, nil); err != nil {
			return err
		}
		if err := s.emitSession(ctx, tx, v.tenant, "user.session.ended", v.session, p); err != nil {
			return err
		}
	}
	return nil
}

// emitSession adds an event about a session of p's user, where an organization is
// there to hear of it.
func (s *Service) emitSession(ctx context.Context, tx writer, tenant platform.TenantID, kind, session string, p platform.Principal) error {
	if tenant == platform.NoTenant {
		return nil
	}
	return s.emit(ctx, tx, tenant, kind, session, p, sessionEvent{SessionID: session, UserID: p.Subject})
}

// Sessions returns up to limit of the user's living sessions, the oldest first, and
// the cursor for more.
func (s *Service) Sessions(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Session, string, error) {
	if p.Kind != platform.PrincipalUser {
		return nil, "", errUserNeeded()
	}
	const list = "me.sessions.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var sessions []Session
	err = s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		sessions, err = s.sessions(ctx, tx, p.Subject, after, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	for i := range sessions {
		sessions[i].Current = sessions[i].ID == p.Credential
	}
	sessions, next := page.Cut(list, sessions, pageLimit(limit), func(x Session) []string { return []string{x.ID} })
	return sessions, next, nil
}

// livingGrants are the grants that work now, of a user's sessions after an id.
const livingGrants = ` FROM user_sessions x JOIN user_session_grants g ON g.session = x.id
	WHERE x.user_id = ? AND x.id > ? AND x.revoked_at = 0 AND x.ends_at > ? AND g.revoked_at = 0 AND g.idle_until > ? AND g.ends_at > ?`

func (s *Service) sessions(ctx context.Context, tx store.Queries, user, after string, limit int) ([]Session, error) {
	now := micros(s.now())
	all, err := queryAll(ctx, tx, scanSession, `SELECT x.id, x.name, x.address, x.created_at, x.ends_at, max(g.last_used_at),
		max(CASE WHEN g.idle_until < g.ends_at THEN g.idle_until ELSE g.ends_at END)`+livingGrants+`
		GROUP BY x.id, x.name, x.address, x.created_at, x.ends_at ORDER BY x.id LIMIT ?`, user, after, now, now, now, limit)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	visits, err := queryAll(ctx, tx, func(row scanner) (v visit, err error) { return v, row.Scan(&v.tenant, &v.session) },
		`SELECT g.organization, x.id`+livingGrants+` AND x.id <= ? AND g.organization <> ? ORDER BY x.id, g.organization`,
		user, after, now, now, now, all[len(all)-1].ID, string(platform.NoTenant))
	for _, v := range visits {
		i, _ := slices.BinarySearchFunc(all, v.session, func(x Session, id string) int { return cmp.Compare(x.ID, id) })
		all[i].Organizations = append(all[i].Organizations, v.tenant)
	}
	return all, err
}

func scanSession(row scanner) (Session, error) {
	var (
		x                         Session
		created, ends, used, idle int64
	)
	err := row.Scan(&x.ID, &x.Name, &x.Address, &created, &ends, &used, &idle)
	x.CreatedAt, x.LastUsedAt, x.ExpiresAt = fromMicros(created), fromMicros(used), fromMicros(min(idle, ends))
	return x, err
}

// endSessions ends the sessions of a user in one organization, or in all where
// tenant is "", but for the one to keep; in the latter case the half-done sign-ins
// too. The caller then makes it known with changed(userKey). A browser whose cookie
// leads to that organization stays signed in, to none.
func (s *Service) endSessions(ctx context.Context, tx store.Queries, user string, tenant platform.TenantID, keep string) error {
	now := micros(s.now())
	if tenant == "" {
		if _, err := tx.Exec(ctx, `DELETE FROM user_pending_sign_ins WHERE user_id = ?`, user); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE user_sessions SET revoked_at = ? WHERE user_id = ? AND revoked_at = 0 AND id <> ?`, now, user, keep)
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE user_session_grants SET revoked_at = ? WHERE organization = ? AND revoked_at = 0 AND session <> ?
		AND session IN (SELECT id FROM user_sessions WHERE user_id = ?)`, now, string(tenant), keep, user); err != nil {
		return err
	}
	moved, err := queryAll(ctx, tx, scanID, `UPDATE user_sessions SET organization = ?, previous_until = 0 WHERE user_id = ? AND organization = ?
		AND revoked_at = 0 AND id <> ? AND cookie_hash <> ? RETURNING id`,
		string(platform.NoTenant), user, string(tenant), keep, []byte{})
	if err != nil {
		return err
	}
	for _, id := range moved {
		e := entry{arrival: arrival{user: user, kind: CookieSession}, tenant: platform.NoTenant, session: id}
		if _, err := s.grant(ctx, tx, e, s.now(), s.limitsOf(0, 0)); err != nil {
			return err
		}
	}
	return nil
}

// purgeSessions removes the rows of sessions that ended long ago; until then
// a stolen token of theirs is told apart from an invented one.
func (s *Service) purgeSessions(ctx context.Context) error {
	ended := micros(s.now().Add(-7 * day))
	err := s.db.AcrossTenants(ctx, s.cross.purge, func(ctx context.Context, tx store.CrossTx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM user_session_grants WHERE session IN (SELECT id FROM user_sessions WHERE ends_at < ?)`, ended); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM user_sessions WHERE ends_at < ?`, ended)
		return err
	}, store.Reserved)
	if err != nil {
		return fmt.Errorf("user: purge sessions: %w", err)
	}
	return nil
}

// afterID reads the cursor of a list that is ordered by id.
func afterID(list, cursor string) (string, error) {
	key, err := page.Key(list, 1, cursor)
	if err != nil || key == nil {
		return "", err
	}
	return key[0], nil
}
