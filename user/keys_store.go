package user

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// keyCell is where the private part of a key is stored. Who can write the table and
// has not the sealer's key can plant no key there: it would not open.
func keyCell(kid string) store.Cell {
	return store.Cell{Tenant: platform.NoTenant, Table: "user_signing_keys", Column: "private_key", Row: kid}
}

// seal returns the private part as it is stored: a JWK, sealed.
func (r *keyring) seal(ctx context.Context, k signingKey) ([]byte, error) {
	raw, err := jose.JSONWebKey{Key: k.private, KeyID: k.kid, Algorithm: string(k.algorithm), Use: "sig"}.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("user: signing key: %w", err)
	}
	return r.sealer.Seal(ctx, keyCell(k.kid), raw)
}

// keyRow is a row of user_signing_keys.
type keyRow struct {
	key  signingKey // without the key pair
	seed []byte
}

func scanKeyRow(row scanner) (keyRow, error) {
	var (
		r                                keyRow
		created, active, retired, expire int64
	)
	k := &r.key
	err := row.Scan(&k.generation, &k.kid, &r.seed, &k.sealed, &created, &k.createdBy, &active, &retired, &expire)
	k.createdAt, k.activeAt, k.retireAt, k.expireAt = fromMicros(created), fromMicros(active), fromMicros(retired), fromMicros(expire)
	return r, err
}

const signingKeyColumns = `generation, kid, seed, private_key, created_at, created_by, active_at, retire_at, expire_at`

// reload reads the keys in the order of their generations. The caller holds mu.
func (r *keyring) reload(ctx context.Context) error {
	r.outdated.Store(false) // what is changed from here on sets it again
	var rows []keyRow
	err := r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		rows, err = queryAll(ctx, tx, scanKeyRow, `SELECT `+signingKeyColumns+` FROM user_signing_keys WHERE expire_at > ? ORDER BY generation`, micros(r.now()))
		return err
	}, store.ReadOnly)
	if err != nil {
		r.outdated.Store(true)
		return fmt.Errorf("user: read signing keys: %w", err)
	}
	keys := make([]signingKey, len(rows))
	for i, row := range rows {
		if keys[i], err = r.open(ctx, row); err != nil {
			r.outdated.Store(true)
			return err
		}
	}
	r.loaded.Store(&keys)
	return nil
}

// open returns a key with its pair, which is not opened again where it is known.
func (r *keyring) open(ctx context.Context, row keyRow) (signingKey, error) {
	for _, known := range *r.loaded.Load() {
		if known.kid == row.key.kid && known.sealed != nil && bytes.Equal(known.sealed, row.key.sealed) {
			k := row.key
			k.algorithm, k.private, k.public, k.signer = known.algorithm, known.private, known.public, known.signer
			return k, nil
		}
	}
	private, err := r.private(ctx, row)
	if err != nil {
		return signingKey{}, fmt.Errorf("user: signing key %d: %w", row.key.generation, err)
	}
	k, err := row.key.with(private)
	if err == nil && k.kid != row.key.kid {
		err = fmt.Errorf("user: signing key %d is not the one of its kid", row.key.generation)
	}
	return k, err
}

// noSeed is the seed of a key that is sealed.
func noSeed() []byte { return []byte{} }

var errKeyForm = errors.New("it has the wrong form")

func (r *keyring) private(ctx context.Context, row keyRow) (crypto.Signer, error) {
	if row.key.sealed == nil {
		if len(row.seed) != ed25519.SeedSize {
			return nil, errKeyForm
		}
		return ed25519.NewKeyFromSeed(row.seed), nil
	}
	raw, err := r.sealer.Open(ctx, keyCell(row.key.kid), row.key.sealed)
	if err != nil {
		return nil, err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil { // whose text might show some of it
		return nil, errKeyForm
	}
	private, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return nil, errKeyForm
	}
	return private, nil
}

// keyNote records what an operator did to a key, in the transaction of the effect.
type keyNote func(ctx context.Context, tx store.CrossTx, kid string) error

// insert adds a key unless another process was quicker with that generation, and
// removes those that have ended. A key before it that would sign for longer retires
// when this one begins.
func (r *keyring) insert(ctx context.Context, k signingKey, note keyNote) error {
	private, err := generate(r.algorithm)
	if err != nil {
		return err
	}
	if k, err = k.with(private); err != nil {
		return err
	}
	if k.sealed, err = r.seal(ctx, k); err != nil {
		return err
	}
	return r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM user_signing_keys WHERE expire_at <= ?`, micros(r.now())); err != nil {
			return err
		}
		added, err := changedOne(ctx, tx, `INSERT INTO user_signing_keys (generation, kid, seed, private_key, created_at, created_by, active_at, retire_at, expire_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (generation) DO NOTHING`,
			k.generation, k.kid, noSeed(), k.sealed, micros(k.createdAt), k.createdBy, micros(k.activeAt), micros(k.retireAt), micros(k.expireAt))
		if err != nil || !added {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE user_signing_keys SET retire_at = ?, expire_at = ? WHERE generation < ? AND retire_at > ?`,
			micros(k.activeAt), micros(r.expiry(k.activeAt)), k.generation, micros(k.activeAt))
		if err != nil || note == nil {
			return err
		}
		return note(ctx, tx, k.kid)
	}, store.Reserved)
}

// reseal seals the keys that stand in the clear or under an old key of the sealer.
// The caller holds mu.
func (r *keyring) reseal(ctx context.Context) error {
	changed := false
	for _, k := range *r.loaded.Load() {
		if k.sealed != nil && r.sealer.Current(k.sealed) {
			continue
		}
		sealed, err := r.seal(ctx, k)
		if err != nil {
			return err
		}
		err = r.db.AcrossTenants(ctx, r.cross, func(ctx context.Context, tx store.CrossTx) error {
			_, err := tx.Exec(ctx, `UPDATE user_signing_keys SET private_key = ?, seed = ? WHERE generation = ? AND kid = ?`, sealed, noSeed(), k.generation, k.kid)
			return err
		}, store.Reserved)
		if err != nil {
			return fmt.Errorf("user: seal signing key %d: %w", k.generation, err)
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return r.reload(ctx)
}
