package user

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A session is one signed-in device: a row of user_sessions, whatever
// organizations it visits. What belongs to one of them on it is a grant, a row of
// user_session_grants: the refresh state, the last use, and the limits that the
// organization sets. Ending the session ends all; ending a grant ends what the
// device may do in one organization.

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

// openSession makes the session of an arrival, with an id and secrets of its own,
// so that nothing that was known before the sign-in leads into it. The session
// that the browser has had until now ends: one device is one session.
func (s *Service) openSession(ctx context.Context, tx writer, tenant platform.TenantID, a arrival) (entry, error) {
	now := s.now()
	e := entry{arrival: a, tenant: tenant, session: s.newID("ses"), ends: now.Add(s.cfg.RefreshMax)}
	var hash []byte
	if a.kind == CookieSession {
		e.cookie, hash = newCookie(e.session)
		if err := s.endPresent(ctx, tx, &e); err != nil {
			return entry{}, err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO user_sessions (id, user_id, name, address, created_at, ends_at, revoked_at, signed_in_at, methods,
		organization, cookie_hash, previous_hash, previous_organization, previous_until) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, '', 0)`,
		e.session, a.user, deviceName(ctx), clientOf(ctx), micros(now), micros(e.ends), micros(a.signIn.at), encodeList(a.signIn.methods),
		string(tenant), notNil(hash), []byte{})
	if err != nil {
		return entry{}, err
	}
	limits, err := s.limitsIn(ctx, tx, tenant)
	if err != nil {
		return entry{}, err
	}
	e.refresh, err = s.grant(ctx, tx, e, now, limits)
	return e, err
}

// newCookie makes the value of a session's cookie and its hash.
func newCookie(session string) (Secret, []byte) {
	secret := randomBytes()
	return formatToken(cookiePrefix, session, secret), hashSecret(secret)
}

// endPresent ends the session that the browser's cookie leads to, which the new
// one replaces, whoever's it was: the browser forgets its cookie now.
func (s *Service) endPresent(ctx context.Context, tx writer, e *entry) error {
	present, hash, ok := s.presentCookie(ctx)
	if !ok {
		return nil
	}
	var user string
	err := tx.QueryRow(ctx, `UPDATE user_sessions SET revoked_at = ? WHERE id = ? AND cookie_hash = ? AND revoked_at = 0 RETURNING user_id`,
		micros(s.now()), present, hash).Scan(&user)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if user == e.user {
		e.replaced = present
	}
	// Other processes learn of it within VerifyTTL: no client has the cookie.
	tx.AfterCommit(func() { s.raise(credentialKey(present)) })
	return nil
}

// grant gives a session its place in an organization, or new secrets where it has
// one, and returns the refresh token, "" for a session that is held in a cookie.
func (s *Service) grant(ctx context.Context, tx store.Queries, e entry, began time.Time, l limits) (Secret, error) {
	now, none := s.now(), []byte{}
	tagKey, secret, hash := none, none, none
	if e.kind != CookieSession {
		tagKey, secret = randomBytes(), randomBytes()
		hash = hashSecret(secret)
	}
	var id string
	err := tx.QueryRow(ctx, `INSERT INTO user_session_grants (id, session, organization, created_at, last_used_at, idle_until, ends_at,
		revoked_at, generation, tag_key, token_hash, parent_hash, nonce, rotated_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, ?, ?, ?, ?, ?)
		ON CONFLICT (session, organization) DO UPDATE SET last_used_at = excluded.last_used_at, idle_until = excluded.idle_until,
		ends_at = excluded.ends_at, revoked_at = 0, generation = user_session_grants.generation + 1, tag_key = excluded.tag_key,
		token_hash = excluded.token_hash, parent_hash = excluded.parent_hash, nonce = excluded.nonce, rotated_at = excluded.rotated_at
		RETURNING id`,
		s.newID("grt"), e.session, string(e.tenant), micros(now), micros(now), micros(now.Add(l.idle)), micros(began.Add(l.max)),
		tagKey, hash, none, none, micros(now)).Scan(&id)
	if err != nil || e.kind == CookieSession {
		return "", err
	}
	return formatRefresh(id, secret, tagKey), nil
}

// rememberOrganization notes where the person is, for the next sign-in, in a
// transaction that has locked the account.
func rememberOrganization(ctx context.Context, tx store.Queries, user string, tenant platform.TenantID) error {
	if tenant == platform.NoTenant {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE user_accounts SET last_organization = ? WHERE id = ? AND last_organization <> ?`, string(tenant), user, string(tenant))
	return err
}

// renewal is what a session that goes on gets new secrets for: another
// organization, or a further proof of who its person is.
type renewal struct {
	session, user string
	tenant        platform.TenantID
	proof         *signIn // nil leaves the sign-in as it is
}

// renew gives a session new secrets, in a transaction that has locked the account
// and the membership. A session that has ended is refused, though its principal was
// verified before; so is one that the organization's limits keep out. A cookie gets
// a new value, and the present one must have been presented.
func (s *Service) renew(ctx context.Context, tx writer, r renewal) (entry, error) {
	e, began, err := s.living(ctx, tx, r)
	if err != nil {
		return entry{}, err
	}
	l, err := s.limitsIn(ctx, tx, r.tenant)
	if err != nil {
		return entry{}, err
	}
	if err := s.mayEnter(ctx, tx, e, began, l, r.proof != nil); err != nil {
		return entry{}, err
	}
	if r.proof != nil {
		e.signIn = *r.proof
	}
	if err := keepsPolicy(ctx, tx, r.tenant, e.signIn.methods); err != nil {
		return entry{}, err
	}
	if e.refresh, err = s.grant(ctx, tx, e, began, l); err != nil {
		return entry{}, err
	}
	if e.kind == CookieSession {
		err = s.rotateCookie(ctx, tx, &e, r.proof == nil)
	}
	if err == nil && r.proof != nil {
		_, err = tx.Exec(ctx, `UPDATE user_sessions SET signed_in_at = ?, methods = ? WHERE id = ?`,
			micros(e.signIn.at), encodeList(e.signIn.methods), e.session)
	}
	if err != nil {
		return entry{}, err
	}
	return e, rememberOrganization(ctx, tx, r.user, r.tenant)
}

// living reads a session that goes on, and when it began.
func (s *Service) living(ctx context.Context, tx store.Queries, r renewal) (entry, time.Time, error) {
	var (
		created, ends, at int64
		methods           string
		cookie            []byte
	)
	err := tx.QueryRow(ctx, `SELECT created_at, ends_at, signed_in_at, methods, cookie_hash FROM user_sessions
		WHERE id = ? AND user_id = ? AND revoked_at = 0 AND ends_at > ?`, r.session, r.user, micros(s.now())).
		Scan(&created, &ends, &at, &methods, &cookie)
	if errors.Is(err, sql.ErrNoRows) {
		err = errBadCredential()
	}
	if err != nil {
		return entry{}, time.Time{}, err
	}
	in, err := scannedSignIn(at, methods)
	e := entry{arrival: arrival{user: r.user, signIn: in, kind: TokenSession}, tenant: r.tenant, session: r.session, ends: fromMicros(ends)}
	if len(cookie) > 0 {
		e.kind = CookieSession
	}
	return e, fromMicros(created), err
}

// mayEnter refuses a session that has begun too long ago for the organization, or
// was not used in it for too long, or was ended there: its person signs in again.
// Who has not been there on this device was last seen at the sign-in.
func (s *Service) mayEnter(ctx context.Context, tx store.Queries, e entry, began time.Time, l limits, proved bool) error {
	now := s.now()
	if !now.Before(began.Add(l.max)) {
		return platform.Reauthenticate(l.max)
	}
	if proved {
		return nil
	}
	last := began
	if e.signIn.at.After(last) {
		last = e.signIn.at
	}
	var used, revoked int64
	err := tx.QueryRow(ctx, `SELECT last_used_at, revoked_at FROM user_session_grants WHERE session = ? AND organization = ?`,
		e.session, string(e.tenant)).Scan(&used, &revoked)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if revoked != 0 && !last.After(fromMicros(revoked)) {
		return platform.Reauthenticate(max(now.Sub(fromMicros(revoked)), time.Second))
	}
	if used := fromMicros(used); used.After(last) {
		last = used
	}
	if !now.Before(last.Add(l.idle)) {
		return platform.Reauthenticate(l.idle)
	}
	return nil
}

// rotateCookie gives the session's cookie a new value, for which the present one
// must have been presented: of two changes at once one counts, and whoever has an
// older value gets no newer one. The present value goes on for a moment where
// that is safe: it leads where it led.
func (s *Service) rotateCookie(ctx context.Context, tx store.Queries, e *entry, grace bool) error {
	session, present, ok := s.presentCookie(ctx)
	if !ok || session != e.session {
		return errBadCredential()
	}
	var until int64
	if grace {
		until = micros(s.now().Add(s.cfg.RefreshGrace))
	}
	value, hash := newCookie(e.session)
	changed, err := changedOne(ctx, tx, `UPDATE user_sessions SET previous_hash = cookie_hash, previous_organization = organization,
		previous_until = ?, cookie_hash = ?, organization = ? WHERE id = ? AND cookie_hash = ? AND revoked_at = 0`,
		until, hash, string(e.tenant), e.session, present)
	if err == nil && !changed {
		err = errBadCredential()
	}
	e.cookie = value
	return err
}

// tokens signs the access token that goes with a refresh token.
func (s *Service) tokens(k signingKey, e entry) (Tokens, error) {
	access, err := s.issueAccess(k, e.user, e.session, e.tenant, e.signIn)
	if err != nil {
		return Tokens{}, err
	}
	return Tokens{Access: access, Refresh: e.refresh, ExpiresIn: s.cfg.AccessTTL, Organization: named(e.tenant), Session: e.session}, nil
}

// named is the organization as people are told of it: "" is none.
func named(tenant platform.TenantID) platform.TenantID {
	if tenant == platform.NoTenant {
		return ""
	}
	return tenant
}
