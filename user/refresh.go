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

// A refresh token is "rt_<session>_<secret><tag>": a 256-bit secret and a tag
// that only this installation can have made for that session. The session's row
// holds the SHA-256 of the present secret and of its parent, so that a refresh
// is one row, however often it happens. A token with a good tag that is neither
// of the two was issued here and used before: somebody has a copy, and the
// whole session ends. One without a good tag is invented and changes nothing,
// or anybody who learns a session's id could end it.
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

// refreshState is the part of a session that only refreshing uses.
type refreshState struct {
	id, user     string
	organization platform.TenantID
	idle, ends   time.Time
	revoked      bool
	tagKey       []byte
	current      []byte
	parent       []byte
	nonce        []byte
	rotated      time.Time
	generation   int64
	signIn       signIn
}

const refreshColumns = `id, user_id, organization, idle_until, ends_at, revoked_at, tag_key, token_hash, parent_hash, nonce, rotated_at, generation, signed_in_at, methods`

func scanRefreshState(row scanner) (refreshState, error) {
	var (
		l                                refreshState
		idle, ends, revoked, rotated, at int64
		methods                          string
	)
	err := row.Scan(&l.id, &l.user, &l.organization, &idle, &ends, &revoked, &l.tagKey, &l.current, &l.parent, &l.nonce, &rotated, &l.generation, &at, &methods)
	if err != nil {
		return l, err
	}
	l.idle, l.ends, l.rotated, l.revoked = fromMicros(idle), fromMicros(ends), fromMicros(rotated), revoked != 0
	l.signIn, err = scannedSignIn(at, methods)
	return l, err
}

// Refresh changes a refresh token for new tokens. The error is of
// [platform.KindUnauthenticated] for one that is unknown, has ended or was used
// before, and does not tell which; the last also ends the session.
func (s *Service) Refresh(ctx context.Context, token Secret) (Tokens, error) {
	id, presented, ok := parseToken(refreshPrefix, "ses", secretSize+tagSize, token)
	if !ok {
		return Tokens{}, errBadRefresh()
	}
	secret, sentTag := presented[:secretSize], presented[secretSize:]
	l, err := s.refreshState(ctx, id)
	if err != nil {
		return Tokens{}, err
	}
	if !hmac.Equal(sentTag, tag(l.tagKey, secret)) {
		return Tokens{}, errBadRefresh()
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return Tokens{}, err
	}
	var (
		next   []byte
		reused bool
	)
	err = s.db.InTenant(ctx, l.organization, func(ctx context.Context, tx store.Tx) error {
		next, reused = nil, false
		l, err := lockSession(ctx, tx, id)
		if err != nil {
			return err
		}
		now := s.now()
		if l.revoked || !now.Before(l.idle) || !now.Before(l.ends) {
			return errBadRefresh()
		}
		hash := hashSecret(secret)
		switch {
		case subtle.ConstantTimeCompare(hash, l.current) == 1:
			if ok, err := activeIn(ctx, tx, l.organization, l.user); err != nil {
				return err
			} else if !ok {
				return errBadRefresh()
			}
			if err := keepsPolicy(ctx, tx, l.organization, l.signIn.methods); err != nil {
				return err
			}
			next, err = s.rotate(ctx, tx, l, secret)
			return err
		case subtle.ConstantTimeCompare(hash, l.parent) == 1 && now.Sub(l.rotated) <= s.cfg.RefreshGrace:
			next = mac(l.nonce, secret)
			return nil
		}
		reused = true
		return s.endReused(ctx, tx, l)
	}, store.Reserved)
	if err != nil {
		return Tokens{}, refreshError(err)
	}
	if reused {
		s.changed(ctx, credentialKey(id))
		s.log.WarnContext(ctx, "user: refresh token reused; session ended", slog.String("session", id),
			slog.String("tenant", string(l.organization)), slog.String("request_id", platform.RequestIDFrom(ctx)))
		return Tokens{}, errBadRefresh()
	}
	return s.tokens(key, l.user, id, l.organization, l.signIn, formatRefresh(id, next, l.tagKey))
}

func refreshError(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errBadRefresh()
	}
	return err
}

// refreshState reads a session before its organization is known.
func (s *Service) refreshState(ctx context.Context, id string) (refreshState, error) {
	var l refreshState
	err := s.db.AcrossTenants(ctx, s.cross.sessions, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		l, err = scanRefreshState(tx.QueryRow(ctx, `SELECT `+refreshColumns+` FROM user_sessions WHERE id = ?`, id))
		return err
	}, store.ReadOnly)
	return l, refreshError(err)
}

// rotate makes the successor the present token of a session that is held.
func (s *Service) rotate(ctx context.Context, tx store.Tx, l refreshState, secret []byte) ([]byte, error) {
	now, nonce := s.now(), randomBytes()
	next := mac(nonce, secret)
	_, err := tx.Exec(ctx, `UPDATE user_sessions SET token_hash = ?, parent_hash = ?, nonce = ?, rotated_at = ?,
		last_used_at = ?, idle_until = ?, generation = generation + 1 WHERE id = ?`,
		hashSecret(next), l.current, nonce, micros(now), micros(now), micros(now.Add(s.cfg.RefreshIdle)), l.id)
	if err != nil {
		return nil, fmt.Errorf("user: rotate: %w", err)
	}
	return next, nil
}

// endReused ends a session whose token was shown twice.
func (s *Service) endReused(ctx context.Context, tx store.Tx, l refreshState) error {
	if _, err := tx.Exec(ctx, `UPDATE user_sessions SET revoked_at = ? WHERE id = ?`, micros(s.now()), l.id); err != nil {
		return err
	}
	if err := s.record(ctx, tx, l.organization, auditActor{credential: l.id}, "session.refresh_reused", l.id, map[string]string{
		"user": l.user, "generation": strconv.FormatInt(l.generation, 10),
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, l.organization, "user.session.reused", l.id, byPerson(l.user), sessionEvent{SessionID: l.id, UserID: l.user})
}
