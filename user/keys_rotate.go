package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// SigningKey is a key pair that signs access tokens, without its private part.
type SigningKey struct {
	// ID is the kid of its tokens: the thumbprint of the key (RFC 7638).
	ID        string
	Algorithm string
	// The key is published from CreatedAt, signs from ActiveAt to RetireAt and
	// verifies until ExpireAt.
	CreatedAt, ActiveAt, RetireAt, ExpireAt time.Time
	// CreatedBy is the operator who asked for it, "" where it was due.
	CreatedBy string
}

// SigningKeys returns the keys that verify, the oldest first. The principal must be
// an operator or the system.
func (s *Service) SigningKeys(ctx context.Context, p platform.Principal) ([]SigningKey, error) {
	if err := operates(p); err != nil {
		return nil, err
	}
	keys, err := s.keys.published(ctx)
	if err != nil {
		return nil, err
	}
	return mapped(keys, func(k signingKey) SigningKey {
		return SigningKey{
			ID: k.kid, Algorithm: string(k.algorithm), CreatedBy: k.createdBy,
			CreatedAt: k.createdAt, ActiveAt: k.activeAt, RetireAt: k.retireAt, ExpireAt: k.expireAt,
		}
	}), nil
}

// RotateSigningKey publishes a new key, which signs in 10 minutes: by then all who
// verify have it, so that no token is refused. The old key verifies until its last
// token has ended. While a new key waits for its time a further call makes none. The
// principal must be an operator or the system. A key that somebody else may have is
// ended at once by [Service.RevokeSigningKey].
func (s *Service) RotateSigningKey(ctx context.Context, p platform.Principal) ([]SigningKey, error) {
	if err := operates(p); err != nil {
		return nil, err
	}
	if err := s.keys.rotate(ctx, p.Subject, leastLead, s.noteKey(p, "signing_key.rotated")); err != nil {
		return nil, err
	}
	s.changed(ctx, signingKeysKey)
	return s.SigningKeys(ctx, p)
}

// RevokeSigningKey ends a key at once, and with it the access tokens that it has
// signed: their clients refresh. If it was the key that signs, the next one takes
// its place at once. Other processes and who else verifies learn of it by the
// PubSub, or else within 30 s and the five minutes for which a key set is kept. The
// principal must be an operator or the system. Error: KindNotFound.
func (s *Service) RevokeSigningKey(ctx context.Context, p platform.Principal, id string) error {
	if err := operates(p); err != nil {
		return err
	}
	if err := s.keys.revoke(ctx, id, s.noteKey(p, "signing_key.revoked")); err != nil {
		return err
	}
	s.changed(ctx, signingKeysKey)
	_, err := s.keys.signer(ctx)
	return err
}

// noteKey records an act in the installation's audit.
func (s *Service) noteKey(p platform.Principal, action string) keyNote {
	return func(ctx context.Context, tx store.CrossTx, kid string) error {
		return s.record(ctx, tx, platform.NoTenant, byPrincipal(p), action, kid, nil)
	}
}

// signingKeysKey is the key of a change of the signing keys.
const signingKeysKey = "k:"

// rotate publishes a key that signs after the time, or brings forward one that
// waits already.
func (r *keyring) rotate(ctx context.Context, by string, after time.Duration, note keyNote) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reload(ctx); err != nil {
		return err
	}
	now := r.now()
	next := signingKey{generation: 1, activeAt: now, createdBy: by}
	if keys := *r.loaded.Load(); len(keys) > 0 {
		last := keys[len(keys)-1]
		if now.Before(last.activeAt) {
			if err := r.bringForward(ctx, last, later(now, last.createdAt.Add(after)), note); err != nil {
				return err
			}
			return r.reload(ctx)
		}
		next.generation, next.activeAt = last.generation+1, now.Add(after)
	}
	if err := r.insert(ctx, r.dated(next), note); err != nil {
		return err
	}
	return r.reload(ctx)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bringForward has a key that waits sign from a time on, if that is earlier.
func (r *keyring) bringForward(ctx context.Context, k signingKey, from time.Time, note keyNote) error {
	return r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		earlier, err := r.activate(ctx, tx, k.generation, from)
		if err != nil || !earlier || note == nil {
			return err
		}
		return note(ctx, tx, k.kid)
	}, store.Reserved)
}

func (r *keyring) activate(ctx context.Context, tx store.CrossTx, generation int64, from time.Time) (earlier bool, err error) {
	earlier, err = changedOne(ctx, tx, `UPDATE user_signing_keys SET active_at = ? WHERE generation = ? AND active_at > ?`,
		micros(from), generation, micros(from))
	if err != nil || !earlier {
		return false, err
	}
	_, err = tx.Exec(ctx, `UPDATE user_signing_keys SET retire_at = ?, expire_at = ? WHERE generation < ? AND retire_at > ?`,
		micros(from), micros(r.expiry(from)), generation, micros(from))
	return true, err
}

// revoke removes a key. Where no other signs now, the one that waits begins.
func (r *keyring) revoke(ctx context.Context, kid string, note keyNote) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	err := r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		ok, err := changedOne(ctx, tx, `DELETE FROM user_signing_keys WHERE kid = ?`, kid)
		if err != nil {
			return err
		}
		if !ok {
			return platform.NotFound("signing key")
		}
		if err := note(ctx, tx, kid); err != nil {
			return err
		}
		var signing, waiting int64
		err = tx.QueryRow(ctx, `SELECT coalesce(max(CASE WHEN active_at <= ? AND retire_at > ? THEN generation END), 0),
			coalesce(max(CASE WHEN active_at > ? THEN generation END), 0) FROM user_signing_keys`,
			micros(now), micros(now), micros(now)).Scan(&signing, &waiting)
		if err != nil || signing != 0 || waiting == 0 {
			return err
		}
		_, err = r.activate(ctx, tx, waiting, now)
		return err
	}, store.Reserved)
	if err != nil {
		return err
	}
	return r.reload(ctx)
}
