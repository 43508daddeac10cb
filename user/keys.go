package user

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform/store"
)

// signingKey is one Ed25519 key. It is published from createdAt, signs from
// activeAt to retireAt, and verifies until expireAt, when the last token that
// it signed has ended.
type signingKey struct {
	generation int64
	kid        string
	private    ed25519.PrivateKey
	createdAt  time.Time
	activeAt   time.Time
	retireAt   time.Time
	expireAt   time.Time
}

func (k signingKey) public() ed25519.PublicKey {
	pub, _ := k.private.Public().(ed25519.PublicKey) // the only type it has
	return pub
}

// keyring holds the signing keys of the store. All processes of an
// installation share them.
type keyring struct {
	db       store.Relational
	cross    store.Crossing
	now      func() time.Time
	rotation time.Duration
	tokenTTL time.Duration

	mu     sync.Mutex // one reload at a time
	loaded atomic.Pointer[[]signingKey]
	looked atomic.Int64 // when an unknown kid last made it reload, in µs
}

// clockSkew is how far the clocks of two processes may differ.
const clockSkew = 30 * time.Second

// unknownKidPause keeps invented kids from becoming reads of the store.
const unknownKidPause = 5 * time.Second

func newKeyring(cfg Config) *keyring {
	r := &keyring{
		db: cfg.DB, now: cfg.Now, rotation: cfg.KeyRotation, tokenTTL: cfg.AccessTTL,
		cross: cfg.DB.Crossings().Grant("user.signing-keys", "reads and replaces the keys that sign for all tenants"),
	}
	r.loaded.Store(&[]signingKey{})
	return r
}

// lead is how long a key is published before it signs: longer than verifiers
// keep the key set (jwksMaxAge).
func (r *keyring) lead() time.Duration { return min(day, r.rotation/4) }

// signer returns the key that signs now, and makes sure that there is one and
// that its successor is published in time.
func (r *keyring) signer(ctx context.Context) (signingKey, error) {
	if k, ok := r.current(); ok {
		return k, nil
	}
	if err := r.maintain(ctx); err != nil {
		return signingKey{}, err
	}
	if k, ok := r.current(); ok {
		return k, nil
	}
	return signingKey{}, fmt.Errorf("user: no signing key")
}

// current returns the signing key unless something is due.
func (r *keyring) current() (signingKey, bool) {
	now := r.now()
	keys := *r.loaded.Load()
	for i := len(keys) - 1; i >= 0; i-- {
		k := keys[i]
		if now.Before(k.activeAt) || !now.Before(k.retireAt) {
			continue
		}
		successorDue := i == len(keys)-1 && !now.Before(k.retireAt.Add(-r.lead()))
		return k, !successorDue
	}
	return signingKey{}, false
}

// maintain makes the key that is missing, if any, removes those that have
// ended, and reads them all.
func (r *keyring) maintain(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.reload(ctx); err != nil {
		return err
	}
	now := r.now()
	keys := *r.loaded.Load()
	var next signingKey
	switch {
	case len(keys) == 0:
		next = signingKey{generation: 1, activeAt: now}
	case !now.Before(keys[len(keys)-1].retireAt): // nobody was here to rotate
		next = signingKey{generation: keys[len(keys)-1].generation + 1, activeAt: now}
	case !now.Before(keys[len(keys)-1].retireAt.Add(-r.lead())) && !now.Before(keys[len(keys)-1].activeAt):
		next = signingKey{generation: keys[len(keys)-1].generation + 1, activeAt: keys[len(keys)-1].retireAt}
	default:
		return nil
	}
	next.createdAt = now
	next.retireAt = next.activeAt.Add(r.rotation)
	next.expireAt = next.retireAt.Add(r.tokenTTL + 2*clockSkew)
	if err := r.insert(ctx, next); err != nil {
		return err
	}
	return r.reload(ctx)
}

// insert adds a key unless another process was quicker with that generation.
func (r *keyring) insert(ctx context.Context, k signingKey) error {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	k.private = private
	return r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM user_signing_keys WHERE expire_at <= ?`, micros(r.now())); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO user_signing_keys (generation, kid, seed, created_at, active_at, retire_at, expire_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (generation) DO NOTHING`,
			k.generation, thumbprint(k.public()), k.private.Seed(),
			micros(k.createdAt), micros(k.activeAt), micros(k.retireAt), micros(k.expireAt))
		return err
	}, store.Reserved)
}

// reload reads the keys in the order of their generations.
func (r *keyring) reload(ctx context.Context) error {
	var keys []signingKey
	err := r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		keys, err = queryAll(ctx, tx, scanSigningKey, `SELECT generation, kid, seed, created_at, active_at, retire_at, expire_at
			FROM user_signing_keys WHERE expire_at > ? ORDER BY generation`, micros(r.now()))
		return err
	}, store.ReadOnly)
	if err != nil {
		return fmt.Errorf("user: read signing keys: %w", err)
	}
	r.loaded.Store(&keys)
	return nil
}

func scanSigningKey(row scanner) (signingKey, error) {
	var (
		k                                signingKey
		seed                             []byte
		created, active, retired, expire int64
	)
	if err := row.Scan(&k.generation, &k.kid, &seed, &created, &active, &retired, &expire); err != nil {
		return k, err
	}
	if len(seed) != ed25519.SeedSize {
		return k, fmt.Errorf("user: signing key %d has the wrong size", k.generation)
	}
	k.private = ed25519.NewKeyFromSeed(seed)
	k.createdAt, k.activeAt, k.retireAt, k.expireAt = fromMicros(created), fromMicros(active), fromMicros(retired), fromMicros(expire)
	return k, nil
}

// verifier returns the public key of a kid. One that is not known may be
// another process's newest, so the store is asked, but not often.
func (r *keyring) verifier(ctx context.Context, kid string) (ed25519.PublicKey, bool, error) {
	if k, ok := r.find(kid); ok {
		return k, true, nil
	}
	now := r.now().UnixMicro()
	last := r.looked.Load()
	if now-last < int64(unknownKidPause/time.Microsecond) || !r.looked.CompareAndSwap(last, now) {
		return nil, false, nil
	}
	r.mu.Lock()
	err := r.reload(ctx)
	r.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	k, ok := r.find(kid)
	return k, ok, nil
}

func (r *keyring) find(kid string) (ed25519.PublicKey, bool) {
	now := r.now()
	for _, k := range *r.loaded.Load() {
		if k.kid == kid && now.Before(k.expireAt) {
			return k.public(), true
		}
	}
	return nil, false
}

// published returns the keys that verify now or soon.
func (r *keyring) published(ctx context.Context) ([]signingKey, error) {
	if _, err := r.signer(ctx); err != nil {
		return nil, err
	}
	now := r.now()
	return slices.DeleteFunc(slices.Clone(*r.loaded.Load()), func(k signingKey) bool { return !now.Before(k.expireAt) }), nil
}

// thumbprint names a key by its JWK thumbprint (RFC 7638, RFC 8037).
func thumbprint(pub ed25519.PublicKey) string {
	b64 := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + b64(pub) + `"}`))
	return b64(sum[:])
}
