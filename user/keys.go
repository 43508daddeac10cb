package user

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform/store"
)

// keyring holds the signing keys of the store. All processes of an
// installation share them.
type keyring struct {
	db         store.Relational
	cross      store.Crossing
	sealer     store.Sealer
	now        func() time.Time
	rotation   time.Duration
	tokenTTL   time.Duration
	algorithm  jose.SignatureAlgorithm // of the next key
	algorithms []jose.SignatureAlgorithm

	mu       sync.Mutex // one reload at a time
	loaded   atomic.Pointer[[]signingKey]
	outdated atomic.Bool  // another process has changed the keys
	looked   atomic.Int64 // when an unknown kid last made it reload, in µs
}

const (
	// clockSkew is how far the clocks of two processes may differ.
	clockSkew = 30 * time.Second
	// unknownKidPause keeps invented kids from becoming reads of the store.
	unknownKidPause = 5 * time.Second
	// leastLead is how long a key is published at least before it signs: longer
	// than verifiers keep the key set (jwksMaxAge), and than other processes take
	// to read it (maintainEvery).
	leastLead = 10 * time.Minute
)

var errNoSigningKey = errors.New("user: no signing key")

func newKeyring(cfg Config) *keyring {
	r := &keyring{
		db: cfg.DB, sealer: cfg.Sealer, now: cfg.Now, rotation: cfg.KeyRotation, tokenTTL: cfg.AccessTTL,
		algorithm: jose.SignatureAlgorithm(cfg.SigningAlgorithm), algorithms: signingAlgorithms(),
		cross: cfg.DB.Crossings().Grant("user.signing-keys", "reads and replaces the keys that sign for all tenants"),
	}
	r.loaded.Store(&[]signingKey{})
	return r
}

// lead is how long a key is published before it signs where nobody is in a hurry.
func (r *keyring) lead() time.Duration { return min(day, r.rotation/4) }

// start makes the first key, and the next one where the algorithm was changed:
// only a start does that, so that two processes of different settings do not
// replace each other's keys for ever.
func (r *keyring) start(ctx context.Context) error {
	if err := r.maintain(ctx); err != nil {
		return err
	}
	keys := *r.loaded.Load()
	if last := keys[len(keys)-1]; last.algorithm == r.algorithm || r.now().Before(last.activeAt) {
		return nil
	}
	return r.rotate(ctx, "", r.lead(), nil)
}

// signer returns the key that signs now, and makes sure that there is one and
// that its successor is published in time.
func (r *keyring) signer(ctx context.Context) (signingKey, error) {
	if k, ok := r.current(); ok {
		return k, nil
	}
	if err := r.maintain(ctx); err != nil {
		return signingKey{}, err
	}
	if k, _, ok := r.signing(); ok {
		return k, nil
	}
	return signingKey{}, errNoSigningKey
}

// current returns the signing key unless something is due.
func (r *keyring) current() (signingKey, bool) {
	k, successorDue, ok := r.signing()
	return k, ok && !successorDue && !r.outdated.Load()
}

// signing returns the key that signs now, and whether its successor is due.
func (r *keyring) signing() (k signingKey, successorDue, ok bool) {
	now := r.now()
	keys := *r.loaded.Load()
	for i := len(keys) - 1; i >= 0; i-- {
		k := keys[i]
		if now.Before(k.activeAt) || !now.Before(k.retireAt) {
			continue
		}
		return k, i == len(keys)-1 && !now.Before(k.retireAt.Add(-r.lead())), true
	}
	return signingKey{}, false, false
}

// maintain reads the keys, makes the one that is missing, if any, and seals those
// again that are not under the present key of the sealer.
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
		return r.reseal(ctx)
	}
	if err := r.insert(ctx, r.dated(next), nil); err != nil {
		return err
	}
	if err := r.reload(ctx); err != nil {
		return err
	}
	return r.reseal(ctx)
}

// dated fills in the times that follow from when a key becomes active.
func (r *keyring) dated(k signingKey) signingKey {
	k.createdAt = r.now()
	k.retireAt = k.activeAt.Add(r.rotation)
	k.expireAt = r.expiry(k.retireAt)
	return k
}

// expiry is when the last token of a key has ended.
func (r *keyring) expiry(retire time.Time) time.Time { return retire.Add(r.tokenTTL + 2*clockSkew) }

// verifier returns the key of a kid. One that is not known may be another
// process's newest, so the store is asked, but not often.
func (r *keyring) verifier(ctx context.Context, kid string) (*signingKey, error) {
	outdated := r.outdated.Load()
	if k := r.find(kid); k != nil && !outdated {
		return k, nil
	}
	if !outdated {
		now := r.now().UnixMicro()
		last := r.looked.Load()
		if now-last < int64(unknownKidPause/time.Microsecond) || !r.looked.CompareAndSwap(last, now) {
			return nil, nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if outdated && !r.outdated.Load() { // somebody else has read them meanwhile
		return r.find(kid), nil
	}
	if err := r.reload(ctx); err != nil {
		return nil, err
	}
	return r.find(kid), nil
}

// find returns nil for a key that is not known, or has ended.
func (r *keyring) find(kid string) *signingKey {
	now := r.now()
	keys := *r.loaded.Load()
	for i := range keys {
		if k := &keys[i]; k.kid == kid && now.Before(k.expireAt) {
			return k
		}
	}
	return nil
}

// published returns the keys that verify now or soon.
func (r *keyring) published(ctx context.Context) ([]signingKey, error) {
	if _, err := r.signer(ctx); err != nil {
		return nil, err
	}
	now := r.now()
	return slices.DeleteFunc(slices.Clone(*r.loaded.Load()), func(k signingKey) bool { return !now.Before(k.expireAt) }), nil
}
