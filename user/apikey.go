package user

import (
	"context"
	"encoding/base64"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// An API key is "<prefix>_<id>_<secret><checksum>": the id of its row in 26
// characters, a 256-bit secret in 43 of base64url, and the CRC-32 of all before
// it in 7 of base 36. The checksum tells a mistyped key, and secret scanners a
// real one, without asking anybody. With the default prefix the expression is
//
//	\bak_[0-9a-hjkmnp-tv-z]{26}_[A-Za-z0-9_-]{43}[0-9a-z]{7}\b

// APIKey is a program's credential, without its secret.
type APIKey struct {
	ID string
	// UserID is the owner, whose roles limit what the key may do at any time.
	UserID string
	Name   string
	// Prefix is the beginning of the credential, to recognize it by.
	Prefix string
	// Scopes are permission patterns; the key may do what they and the
	// owner's roles both grant.
	Scopes    []string
	CreatedAt time.Time
	// ExpiresAt is zero for a key without an end.
	ExpiresAt time.Time
	// LastUsedAt is written in the background and may be half a minute old.
	LastUsedAt time.Time
}

// NewAPIKey is a key to be made.
type NewAPIKey struct {
	Name string
	// Scopes must be within the rights of the principal.
	Scopes []string
	// ExpiresAt is zero for a key without an end.
	ExpiresAt time.Time
}

const (
	checksumSize = 7 // base-36 digits of 32 bits
	// maxKeys bounds the living keys of an organization.
	maxKeys = 1000
	// maxScopes bounds the scopes of a key.
	maxScopes = 50
	// MaxKeyGrace is how long the old secret of a rotated key can stay valid.
	MaxKeyGrace = day
)

func (s *Service) keyStart(id string) string { return s.cfg.KeyPrefix + "_" + bareID(id) }

func (s *Service) formatKey(id string, secret []byte) Secret {
	body := s.keyStart(id) + "_" + base64.RawURLEncoding.EncodeToString(secret)
	return Secret(body + checksum(body))
}

func checksum(body string) string {
	sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(body))), 36)
	return strings.Repeat("0", checksumSize-len(sum)) + sum
}

// parseKey returns the id and the secret of a well-formed key.
func (s *Service) parseKey(credential string) (id string, secret []byte, ok bool) {
	end := len(credential) - checksumSize
	if end <= 0 || checksum(credential[:end]) != credential[end:] {
		return "", nil, false
	}
	return parseToken(s.cfg.KeyPrefix, "key", secretSize, Secret(credential[:end]))
}

// CreateAPIKey makes a key for the principal's user and returns it with the
// credential, which is not kept: only the SHA-256 of its secret is. A second call
// with the same idempotency key returns the same credential.
func (s *Service) CreateAPIKey(ctx context.Context, p platform.Principal, in NewAPIKey, keys ...*platform.IdempotencyKey) (APIKey, Secret, error) {
	if err := s.Authorize(ctx, p, permAPIKeysWrite); err != nil {
		return APIKey{}, "", err
	}
	if p.Kind == platform.PrincipalSystem {
		return APIKey{}, "", errUserNeeded()
	}
	name, err := s.checkNewKey(in)
	if err != nil {
		return APIKey{}, "", err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "apiKeys.create", in)
	if err != nil {
		return APIKey{}, "", err
	}
	var out keptKey
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		replayed, err := call.Begin(ctx, tx, &out)
		if err != nil {
			return err
		}
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if !rights.cover(in.Scopes) {
			return errAboveOwn()
		}
		if err := s.endsWithin(ctx, tx, p, in.ExpiresAt); err != nil {
			return err
		}
		if replayed {
			return nil
		}
		var living int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM user_api_keys WHERE tenant = ? AND revoked_at = 0`, string(p.Tenant)).Scan(&living); err != nil {
			return err
		}
		if living >= maxKeys {
			return platform.Errorf(platform.KindConflict, "too_many_keys", "an organization has at most %d API keys; revoke some", maxKeys)
		}
		secret, now := randomBytes(), fromMicros(micros(s.now()))
		key := APIKey{ID: s.newID("key"), UserID: p.Subject, Name: name, Scopes: tidy(in.Scopes), CreatedAt: now, ExpiresAt: fromMicros(micros(in.ExpiresAt))}
		key.Prefix = s.keyStart(key.ID)
		out = keptKey{key, string(s.formatKey(key.ID, secret))}
		if _, err := tx.Exec(ctx, `INSERT INTO user_api_keys (tenant, id, user_id, name, scopes, hash, previous_hash, previous_until,
			created_at, expires_at, last_used_at, revoked_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0, 0)`,
			string(p.Tenant), key.ID, key.UserID, key.Name, encodeList(key.Scopes), hashSecret(secret), []byte{},
			micros(now), micros(in.ExpiresAt)); err != nil {
			return err
		}
		if err := s.keyChanged(ctx, tx, p, "created", key, map[string]string{"scopes": strings.Join(key.Scopes, " ")}); err != nil {
			return err
		}
		return call.Keep(ctx, tx, out)
	})
	if err != nil {
		return APIKey{}, "", err
	}
	return out.Key, Secret(out.Credential), nil
}

// endsWithin refuses a credential that would outlive the key that asks for it:
// who holds one with an end must not get one without.
func (s *Service) endsWithin(ctx context.Context, tx store.Tx, p platform.Principal, end time.Time) error {
	if p.Kind != platform.PrincipalAPIKey {
		return nil
	}
	maker, err := s.livingKey(ctx, tx, p.Tenant, p.Credential)
	if err != nil {
		return err
	}
	if !maker.ExpiresAt.IsZero() && (end.IsZero() || end.After(maker.ExpiresAt)) {
		return errAboveOwn()
	}
	return nil
}

func (s *Service) checkNewKey(in NewAPIKey) (name string, err error) {
	var fields []platform.Field
	name, ok := cleanName(in.Name)
	if !ok {
		fields = append(fields, nameField("/name"))
	}
	if len(in.Scopes) > maxScopes {
		fields = append(fields, platform.Field{Path: "/scopes", Code: "too_many", Detail: "at most 50 scopes"})
	} else if f := checkPatterns("/scopes", in.Scopes); f != nil {
		fields = append(fields, *f)
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(s.now()) {
		fields = append(fields, platform.Field{Path: "/expires_at", Code: "past", Detail: "a time to come"})
	}
	if fields != nil {
		return "", platform.Invalid(fields...)
	}
	return name, nil
}

// keyChanged writes the audit record and the event.
func (s *Service) keyChanged(ctx context.Context, tx store.Tx, p platform.Principal, verb string, key APIKey, detail map[string]string) error {
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), "api_key."+verb, key.ID, detail); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.api_key."+verb, key.ID, p, keyEvent{KeyID: key.ID, Name: key.Name, UserID: key.UserID})
}

const keyColumns = `id, user_id, name, scopes, created_at, expires_at, last_used_at`

func (s *Service) scanKey(row scanner) (APIKey, error) {
	var (
		k                      APIKey
		scopes                 string
		created, expires, used int64
	)
	if err := row.Scan(&k.ID, &k.UserID, &k.Name, &scopes, &created, &expires, &used); err != nil {
		return k, err
	}
	k.Prefix = s.keyStart(k.ID)
	k.CreatedAt, k.ExpiresAt, k.LastUsedAt = fromMicros(created), fromMicros(expires), fromMicros(used)
	var err error
	k.Scopes, err = decodeList(scopes)
	return k, err
}

// APIKeys returns up to limit living keys of the organization, the oldest
// first, and the cursor for more.
func (s *Service) APIKeys(ctx context.Context, p platform.Principal, limit int, cursor string) ([]APIKey, string, error) {
	if err := s.Authorize(ctx, p, permAPIKeysRead); err != nil {
		return nil, "", err
	}
	const list = "apiKeys.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var all []APIKey
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		all, err = queryAll(ctx, tx, s.scanKey, `SELECT `+keyColumns+` FROM user_api_keys WHERE tenant = ? AND id > ? AND revoked_at = 0 ORDER BY id LIMIT ?`,
			string(p.Tenant), after, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	all, next := page.Cut(list, all, pageLimit(limit), func(k APIKey) []string { return []string{k.ID} })
	return all, next, nil
}

// APIKey returns one living key of the organization.
func (s *Service) APIKey(ctx context.Context, p platform.Principal, id string) (k APIKey, err error) {
	if err = s.Authorize(ctx, p, permAPIKeysRead); err != nil {
		return APIKey{}, err
	}
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		k, err = s.livingKey(ctx, tx, p.Tenant, id)
		return err
	}, store.ReadOnly)
	return k, err
}

// RotateAPIKey gives a key a new secret and returns it with the credential.
// The old one stays valid for grace, at most [MaxKeyGrace]; zero ends it now.
// Only the owner can: whoever has the credential acts as the owner.
func (s *Service) RotateAPIKey(ctx context.Context, p platform.Principal, id string, grace time.Duration, keys ...*platform.IdempotencyKey) (APIKey, Secret, error) {
	if err := s.Authorize(ctx, p, permAPIKeysWrite); err != nil {
		return APIKey{}, "", err
	}
	if grace < 0 || grace > MaxKeyGrace {
		return APIKey{}, "", field("/grace_seconds", "range", "from 0 to 86400 seconds")
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "apiKeys.rotate", []any{id, grace})
	if err != nil {
		return APIKey{}, "", err
	}
	var out keptKey
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		replayed, err := call.Begin(ctx, tx, &out)
		if err != nil {
			return err
		}
		key, err := s.livingKey(ctx, tx, p.Tenant, id)
		if err != nil {
			return err
		}
		if key.UserID != p.Subject {
			return platform.Errorf(platform.KindForbidden, "not_owner", "only the owner of a key can rotate it; others can revoke it")
		}
		rights, err := s.rightsOf(ctx, tx, p)
		if err != nil {
			return err
		}
		// A key that may rotate must not make itself a wider one's credential.
		if rights.isScoped && !covers(rights.scopes, key.Scopes) {
			return errAboveOwn()
		}
		if err := s.endsWithin(ctx, tx, p, key.ExpiresAt); err != nil {
			return err
		}
		if replayed {
			return nil
		}
		secret, now := randomBytes(), s.now()
		out = keptKey{key, string(s.formatKey(id, secret))}
		living, err := changedOne(ctx, tx, `UPDATE user_api_keys SET previous_hash = hash, previous_until = ?, hash = ?
			WHERE tenant = ? AND id = ? AND revoked_at = 0`, micros(now.Add(grace)), hashSecret(secret), string(p.Tenant), id)
		if err != nil {
			return err
		}
		if !living { // revoked since it was read
			return errNoKey()
		}
		if err := s.keyChanged(ctx, tx, p, "rotated", key, map[string]string{"grace": grace.String()}); err != nil {
			return err
		}
		return call.Keep(ctx, tx, out)
	})
	if err != nil {
		return APIKey{}, "", err
	}
	s.changed(ctx, credentialKey(id))
	return out.Key, Secret(out.Credential), nil
}

// RevokeAPIKey ends a key at once, and the open invitations that it made.
func (s *Service) RevokeAPIKey(ctx context.Context, p platform.Principal, id string) error {
	if err := s.Authorize(ctx, p, permAPIKeysWrite); err != nil {
		return err
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		// No invitation is made with the key while its invitations end.
		if err := lockOrganization(ctx, tx, p.Tenant); err != nil {
			return err
		}
		key, err := s.livingKey(ctx, tx, p.Tenant, id)
		if err != nil {
			return err
		}
		living, err := changedOne(ctx, tx, `UPDATE user_api_keys SET revoked_at = ? WHERE tenant = ? AND id = ? AND revoked_at = 0`,
			micros(s.now()), string(p.Tenant), id)
		if err != nil {
			return err
		}
		if !living { // revoked since it was read
			return errNoKey()
		}
		if err := s.revokeOffers(ctx, tx, p.Tenant, byPrincipal(p), offers{user: key.UserID, key: id}); err != nil {
			return err
		}
		return s.keyChanged(ctx, tx, p, "revoked", key, nil)
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, credentialKey(id))
	return nil
}

func (s *Service) livingKey(ctx context.Context, tx store.Tx, tenant platform.TenantID, id string) (APIKey, error) {
	k, err := s.scanKey(tx.QueryRow(ctx, `SELECT `+keyColumns+` FROM user_api_keys WHERE tenant = ? AND id = ? AND revoked_at = 0`, string(tenant), id))
	return k, notFound(err, nounKey)
}

const nounKey = "API key"

func errNoKey() error { return platform.NotFound(nounKey) }
