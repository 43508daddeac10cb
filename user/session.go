package user

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Session is one signed-in device of a user, in one organization.
type Session struct {
	ID           string
	Organization platform.TenantID
	CreatedAt    time.Time
	// LastUsedAt is the last login or refresh.
	LastUsedAt time.Time
	// ExpiresAt is when it ends if it is not refreshed before.
	ExpiresAt time.Time
	// Current marks the session that asks.
	Current bool
}

// signIn is when and how the person behind a session proved who they are.
type signIn struct {
	at      time.Time // zero is not known
	methods []string  // names of RFC 8176
}

// byPassword is a sign-in that checked a password now.
func (s *Service) byPassword() signIn { return signIn{at: s.now(), methods: []string{methodPassword}} }

func scannedSignIn(at int64, methods string) (in signIn, err error) {
	if at != 0 {
		in.at = fromMicros(at)
	}
	in.methods, err = decodeList(methods)
	return in, err
}

// openSession makes a session with an id of its own, and its first refresh
// token. It ends at the latest when ends says.
func (s *Service) openSession(ctx context.Context, tx store.Queries, user string, tenant platform.TenantID, ends time.Time, in signIn) (id string, refresh Secret, err error) {
	now := s.now()
	var signedIn int64
	if !in.at.IsZero() {
		signedIn = micros(in.at)
	}
	id = s.newID("ses")
	tagKey, secret := randomBytes(), randomBytes()
	_, err = tx.Exec(ctx, `INSERT INTO user_sessions (id, user_id, organization, created_at, last_used_at, idle_until, ends_at,
		revoked_at, generation, tag_key, token_hash, parent_hash, nonce, rotated_at, signed_in_at, methods)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, ?, ?, ?, ?, ?, ?, ?)`,
		id, user, string(tenant), micros(now), micros(now), micros(now.Add(s.cfg.RefreshIdle)), micros(ends),
		tagKey, hashSecret(secret), []byte{}, []byte{}, micros(now), signedIn, encodeList(in.methods))
	return id, formatRefresh(id, secret, tagKey), err
}

// tokens signs the access token that goes with a refresh token.
func (s *Service) tokens(k signingKey, user, session string, tenant platform.TenantID, in signIn, refresh Secret) (Tokens, error) {
	access, err := s.issueAccess(k, user, session, tenant, in)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{Access: access, Refresh: refresh, ExpiresIn: s.cfg.AccessTTL, Organization: tenant, Session: session}, nil
}

// Switch signs the user in to another of their organizations: a new session
// with tokens of its own. The present one stays, and the new one ends with it
// at the latest: a session has an absolute end, however often its user
// switches.
func (s *Service) Switch(ctx context.Context, p platform.Principal, organization platform.TenantID, keys ...*platform.IdempotencyKey) (Tokens, error) {
	if p.Kind != platform.PrincipalUser {
		return Tokens{}, errUserNeeded()
	}
	// A name that no organization can have gets the answer of one that the
	// user is not in.
	if organization.Validate() != nil {
		return Tokens{}, errNotMember()
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return Tokens{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "auth.switch", organization)
	if err != nil {
		return Tokens{}, err
	}
	var out keptTokens
	err = s.db.InTenant(ctx, organization, func(ctx context.Context, tx store.Tx) error {
		replayed, err := call.Begin(ctx, tx, &out)
		if err != nil {
			return err
		}
		if ok, err := lockOpen(ctx, tx, organization, p.Subject); err != nil {
			return err
		} else if !ok {
			return errNotMember()
		}
		ends, signedIn, err := presentSession(ctx, tx, p)
		if err != nil || replayed {
			return err
		}
		if err := keepsPolicy(ctx, tx, organization, signedIn.methods); err != nil {
			return err
		}
		session, refresh, err := s.openSession(ctx, tx, p.Subject, organization, ends, signedIn)
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, organization, byUser(p.Subject, session), "session.switched", session, nil); err != nil {
			return err
		}
		tokens, err := s.tokens(key, p.Subject, session, organization, signedIn, refresh)
		if err != nil {
			return err
		}
		out = keepTokens(tokens)
		return call.Keep(ctx, tx, out)
	}, store.Reserved)
	if err != nil {
		return Tokens{}, err
	}
	return out.tokens(), nil
}

// presentSession returns the absolute end and the sign-in of p's session. One that
// was revoked after p was verified is refused, or it would leave a session behind.
func presentSession(ctx context.Context, tx store.Tx, p platform.Principal) (time.Time, signIn, error) {
	var (
		ends, at int64
		methods  string
	)
	err := tx.QueryRow(ctx, `SELECT ends_at, signed_in_at, methods FROM user_sessions WHERE id = ? AND user_id = ? AND revoked_at = 0`, p.Credential, p.Subject).
		Scan(&ends, &at, &methods)
	if errors.Is(err, sql.ErrNoRows) {
		err = errBadCredential()
	}
	if err != nil {
		return time.Time{}, signIn{}, err
	}
	in, err := scannedSignIn(at, methods)
	return fromMicros(ends), in, err
}

// LogOut ends the session of the access token that p came from.
func (s *Service) LogOut(ctx context.Context, p platform.Principal) error {
	if p.Kind != platform.PrincipalUser {
		return errUserNeeded()
	}
	return s.endSession(ctx, p, p.Credential, "session.logged_out")
}

// RevokeSession ends one of the user's own sessions.
func (s *Service) RevokeSession(ctx context.Context, p platform.Principal, id string) error {
	if p.Kind != platform.PrincipalUser {
		return errUserNeeded()
	}
	return s.endSession(ctx, p, id, "session.revoked")
}

// endSession ends a session of p's user. The record goes to the organization
// that the session is in, which need not be the one of p.
func (s *Service) endSession(ctx context.Context, p platform.Principal, id, action string) error {
	err := s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		var organization string
		rows, err := queryAll(ctx, tx, func(row scanner) (string, error) {
			err := row.Scan(&organization)
			return organization, err
		}, `UPDATE user_sessions SET revoked_at = ? WHERE id = ? AND user_id = ? AND revoked_at = 0 RETURNING organization`,
			micros(s.now()), id, p.Subject)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return platform.NotFound("session")
		}
		return s.record(ctx, tx, platform.TenantID(organization), byPrincipal(p), action, id, nil)
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, credentialKey(id))
	return nil
}

const sessionColumns = `id, organization, created_at, last_used_at, idle_until, ends_at`

// Sessions returns up to limit of the user's living sessions, in all
// organizations, the oldest first, and the cursor for more.
func (s *Service) Sessions(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Session, string, error) {
	if p.Kind != platform.PrincipalUser {
		return nil, "", errUserNeeded()
	}
	const list = "me.sessions.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	now := micros(s.now())
	var sessions []Session
	err = s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		sessions, err = queryAll(ctx, tx, scanSession, `SELECT `+sessionColumns+` FROM user_sessions
			WHERE user_id = ? AND id > ? AND revoked_at = 0 AND idle_until > ? AND ends_at > ? ORDER BY id LIMIT ?`,
			p.Subject, after, now, now, pageLimit(limit)+1)
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

func scanSession(row scanner) (Session, error) {
	var (
		x                         Session
		created, used, idle, ends int64
	)
	err := row.Scan(&x.ID, &x.Organization, &created, &used, &idle, &ends)
	x.CreatedAt, x.LastUsedAt, x.ExpiresAt = fromMicros(created), fromMicros(used), fromMicros(min(idle, ends))
	return x, err
}

// endSessions ends the sessions of a user in one organization, or in all where
// tenant is "", but for the one to keep; in the latter case the half-done sign-ins
// too. The caller then makes it known with changed(userKey).
func (s *Service) endSessions(ctx context.Context, tx store.Queries, user string, tenant platform.TenantID, keep string) error {
	query := `UPDATE user_sessions SET revoked_at = ? WHERE user_id = ? AND revoked_at = 0 AND id <> ?`
	args := []any{micros(s.now()), user, keep}
	if tenant != "" {
		query, args = query+` AND organization = ?`, append(args, string(tenant))
	} else if _, err := tx.Exec(ctx, `DELETE FROM user_pending_sign_ins WHERE user_id = ?`, user); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, query, args...)
	return err
}

// purgeSessions removes the rows of sessions that ended long ago; until then
// a stolen token of theirs is told apart from an invented one.
func (s *Service) purgeSessions(ctx context.Context) error {
	err := s.db.AcrossTenants(ctx, s.cross.purge, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `DELETE FROM user_sessions WHERE ends_at < ?`, micros(s.now().Add(-7*day)))
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
