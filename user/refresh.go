package user

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A refresh token is "rt_<grant>_<secret><tag>": a 256-bit secret and a tag that
// only this installation can have made for that grant, which is a session in one
// organization. The grant's row holds the SHA-256 of the present secret and of its
// parent, so that a refresh is one row, however often it happens. A token with a
// good tag that is neither of the two was issued here and used before: somebody
// has a copy, and the whole session ends. One without a good tag is invented, or
// from before the last change of organization; it changes nothing, or anybody who
// learns a grant's id could end the session.
//
// The successor of a secret is HMAC-SHA256(nonce, secret), with a nonce that is
// new for each rotation. So the parent, shown again within the grace, yields
// the very same successor, though only hashes are stored; and neither a stolen
// parent without the row nor the row without the parent is enough to make it.

const (
	refreshPrefix = "rt"
	tagSize       = 16
)

func formatRefresh(session string, secret, tagKey []byte) Secret {
	return formatToken(refreshPrefix, session, append(secret[:secretSize:secretSize], tag(tagKey, secret)...))
}

func tag(key, secret []byte) []byte { return mac(key, secret)[:tagSize] }

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}

// refreshState is the part of a grant that only refreshing uses.
type refreshState struct {
	id, session  string
	organization platform.TenantID
	idle, ends   time.Time
	revoked      bool
	tagKey       []byte
	current      []byte
	parent       []byte
	nonce        []byte
	rotated      time.Time
	generation   int64
}

const refreshColumns = `id, session, organization, idle_until, ends_at, revoked_at, tag_key, token_hash, parent_hash, nonce, rotated_at, generation`

func scanRefreshState(row scanner) (refreshState, error) {
	var (
		l                            refreshState
		idle, ends, revoked, rotated int64
	)
	err := row.Scan(&l.id, &l.session, &l.organization, &idle, &ends, &revoked, &l.tagKey, &l.current, &l.parent, &l.nonce, &rotated, &l.generation)
	l.idle, l.ends, l.rotated, l.revoked = fromMicros(idle), fromMicros(ends), fromMicros(rotated), revoked != 0
	return l, err
}

// refresher is who a refresh token is for, and the limits of the organization.
type refresher struct {
	entry
	limits limits
}

// Refresh changes a refresh token for new tokens. The error is of
// [platform.KindUnauthenticated] for one that is unknown, has ended or was used
// before, and does not tell which; the last also ends the session.
func (s *Service) Refresh(ctx context.Context, token Secret) (Tokens, error) {
	id, presented, ok := parseToken(refreshPrefix, "grt", secretSize+tagSize, token)
	if !ok {
		return Tokens{}, errBadRefresh()
	}
	secret, sentTag := presented[:secretSize], presented[secretSize:]
	l, err := s.refreshState(ctx, id)
	if err != nil {
		return Tokens{}, err
	}
	if len(l.tagKey) == 0 || !hmac.Equal(sentTag, tag(l.tagKey, secret)) {
		return Tokens{}, errBadRefresh()
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return Tokens{}, err
	}
	var (
		who    refresher
		reused bool
	)
	err = s.inScope(ctx, l.organization, func(ctx context.Context, tx writer) error {
		reused = false
		l, err := lockGrant(ctx, tx, id)
		if err != nil {
			return err
		}
		if who, err = s.refresherOf(ctx, tx, l); err != nil {
			return err
		}
		now := s.now()
		if l.revoked || !now.Before(l.idle) || !now.Before(l.ends) || !hmac.Equal(sentTag, tag(l.tagKey, secret)) {
			return errBadRefresh()
		}
		hash := hashSecret(secret)
		switch {
		case subtle.ConstantTimeCompare(hash, l.current) == 1:
			if err := keepsPolicy(ctx, tx, l.organization, who.signIn.methods); err != nil {
				return err
			}
			if l.nonce, err = s.rotate(ctx, tx, l, secret, who.limits); err != nil {
				return err
			}
		case subtle.ConstantTimeCompare(hash, l.parent) == 1 && now.Sub(l.rotated) <= s.cfg.RefreshGrace:
		default:
			reused = true
			return s.endReused(ctx, tx, l, who)
		}
		who.refresh = formatRefresh(id, mac(l.nonce, secret), l.tagKey)
		return nil
	})
	if err != nil {
		return Tokens{}, refreshError(err)
	}
	if reused {
		s.changed(ctx, credentialKey(l.session))
		s.log.WarnContext(ctx, "user: refresh token reused; session ended", slog.String("session", l.session),
			slog.String("tenant", string(l.organization)), slog.String("request_id", platform.RequestIDFrom(ctx)))
		return Tokens{}, errBadRefresh()
	}
	return s.tokens(key, who.entry)
}

// refresherOf reads whose session a grant is of. It is refused where the session
// has ended, or the organization is not open to the person any more.
func (s *Service) refresherOf(ctx context.Context, tx store.Queries, l refreshState) (refresher, error) {
	var (
		who               = refresher{entry: entry{tenant: l.organization, session: l.session}}
		at, idle, longest int64
		methods           string
	)
	err := tx.QueryRow(ctx, `SELECT x.user_id, x.signed_in_at, x.methods, coalesce(o.session_idle, 0), coalesce(o.session_max, 0)
		FROM user_sessions x JOIN user_accounts a ON a.id = x.user_id
		LEFT JOIN user_memberships m ON m.tenant = ? AND m.user_id = x.user_id AND m.status = 'active'
		LEFT JOIN user_organizations o ON o.tenant = m.tenant AND o.status = 'active'
		WHERE x.id = ? AND x.revoked_at = 0 AND x.ends_at > ? AND a.status = 'active' AND (o.tenant IS NOT NULL OR ?)`,
		string(l.organization), l.session, micros(s.now()), l.organization == platform.NoTenant).
		Scan(&who.user, &at, &methods, &idle, &longest)
	if err != nil {
		return who, err
	}
	who.limits = s.limitsOf(idle, longest)
	who.signIn, err = scannedSignIn(at, methods)
	return who, err
}

func refreshError(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errBadRefresh()
	}
	return err
}

// refreshState reads a grant before its organization is known.
func (s *Service) refreshState(ctx context.Context, id string) (refreshState, error) {
	var l refreshState
	err := s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		l, err = scanRefreshState(tx.QueryRow(ctx, `SELECT `+refreshColumns+` FROM user_session_grants WHERE id = ?`, id))
		return err
	}, store.ReadOnly)
	return l, refreshError(err)
}

// rotate makes the successor the present token of a grant that is locked, and
// returns the nonce that it is made with.
func (s *Service) rotate(ctx context.Context, tx store.Queries, l refreshState, secret []byte, limits limits) ([]byte, error) {
	now, nonce := s.now(), randomBytes()
	_, err := tx.Exec(ctx, `UPDATE user_session_grants SET token_hash = ?, parent_hash = ?, nonce = ?, rotated_at = ?,
		last_used_at = ?, idle_until = ?, generation = generation + 1 WHERE id = ?`,
		hashSecret(mac(nonce, secret)), l.current, nonce, micros(now), micros(now), micros(now.Add(limits.idle)), l.id)
	if err != nil {
		return nil, fmt.Errorf("user: rotate: %w", err)
	}
	return nonce, nil
}

// endReused ends a session one of whose tokens was shown twice, in all
// organizations.
func (s *Service) endReused(ctx context.Context, tx writer, l refreshState, who refresher) error {
	if _, err := tx.Exec(ctx, `UPDATE user_sessions SET revoked_at = ? WHERE id = ?`, micros(s.now()), l.session); err != nil {
		return err
	}
	if err := s.record(ctx, tx, l.organization, auditActor{credential: l.session}, "session.refresh_reused", l.session, map[string]string{
		"user": who.user, "generation": strconv.FormatInt(l.generation, 10),
	}); err != nil {
		return err
	}
	return s.emitSession(ctx, tx, l.organization, "user.session.reused", l.session, byPerson(who.user))
}
