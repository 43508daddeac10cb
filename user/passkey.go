package user

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// maxPasskeys bounds the passkeys of a person.
const maxPasskeys = 20

// Names of RFC 8176 for a passkey: in hardware, or synchronized between devices.
const (
	methodHardwareKey = "hwk"
	methodSoftwareKey = "swk"
)

// Passkey is a passkey of a person.
type Passkey struct {
	ID   string
	Name string
	// Synchronized says that it is backed up, so that it outlives its device.
	Synchronized bool
	CreatedAt    time.Time
	// LastUsedAt is the last sign-in with it; zero is none.
	LastUsedAt time.Time
}

// passkeyRow is a passkey with its key and its owner.
type passkeyRow struct {
	Passkey
	user string
	key  PasskeyKey
}

const passkeyColumns = `id, user_id, name, credential, public_key, aaguid, sign_count, backup_eligible = 1, backed_up = 1, created_at, last_used_at` //nolint:gosec // no credential

func scanPasskey(row scanner) (passkeyRow, error) {
	var (
		k             passkeyRow
		created, used int64
	)
	err := row.Scan(&k.ID, &k.user, &k.Name, &k.key.ID, &k.key.PublicKey, &k.key.AAGUID, &k.key.SignCount, &k.key.BackupEligible, &k.key.BackedUp, &created, &used)
	k.CreatedAt, k.Synchronized = fromMicros(created), k.key.BackedUp
	if used != 0 {
		k.LastUsedAt = fromMicros(used)
	}
	return k, err
}

// passkeysOf returns the passkeys of a person, the oldest first.
func passkeysOf(ctx context.Context, tx store.Queries, user string) ([]passkeyRow, error) {
	return queryAll(ctx, tx, scanPasskey, `SELECT `+passkeyColumns+` FROM user_passkeys WHERE user_id = ? ORDER BY id`, user)
}

// ownerOf is a person as authenticators know them.
func (s *Service) ownerOf(ctx context.Context, user string) (owner PasskeyOwner, err error) {
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		u, err := userByID(ctx, tx, user)
		if err != nil {
			return err
		}
		keys, err := passkeysOf(ctx, tx, user)
		owner = PasskeyOwner{Handle: []byte(u.ID), Email: u.Email, Name: u.Name, Keys: mapped(keys, func(k passkeyRow) []byte { return k.key.ID })}
		return err
	}, store.ReadOnly)
	return owner, err
}

func (s *Service) needPasskeys() error {
	if s.cfg.Passkeys == nil {
		return platform.Errorf(platform.KindConflict, "passkeys_not_configured", "this installation has no passkeys")
	}
	return nil
}

// addPasskeyOptions begins a passkey that the holder may add for the person.
func (s *Service) addPasskeyOptions(ctx context.Context, user, holder string) (json.RawMessage, error) {
	if err := s.needPasskeys(); err != nil {
		return nil, err
	}
	owner, err := s.ownerOf(ctx, user)
	if err != nil {
		return nil, err
	}
	if len(owner.Keys) >= maxPasskeys {
		return nil, platform.Errorf(platform.KindConflict, "too_many_passkeys", "a person has at most %d passkeys; remove one first", maxPasskeys)
	}
	challenge, err := s.newChallenge(ctx, passkeyAdd, holder)
	if err != nil {
		return nil, err
	}
	return s.cfg.Passkeys.Create(challenge, owner)
}

// newPasskey is the answer of a browser with a new passkey, and its name.
type newPasskey struct {
	name   string
	answer json.RawMessage
}

// checkNewPasskey checks the answer to addPasskeyOptions. The factor's spend adds
// the passkey; made tells it where the person's first recovery codes go.
func (s *Service) checkNewPasskey(ctx context.Context, user, holder string, in newPasskey, out *Passkey, made *[]Secret) (shownFactor, error) {
	if err := s.needPasskeys(); err != nil {
		return shownFactor{}, err
	}
	name, ok := cleanName(in.name)
	if !ok {
		return shownFactor{}, platform.Invalid(nameField("/name"))
	}
	claim, err := s.cfg.Passkeys.Read(in.answer)
	if err != nil {
		return shownFactor{}, s.badPasskey(ctx, err)
	}
	if err := s.spendChallenge(ctx, claim.Challenge, passkeyAdd, holder); err != nil {
		return shownFactor{}, err
	}
	owner, err := s.ownerOf(ctx, user)
	if err != nil {
		return shownFactor{}, err
	}
	key, err := s.cfg.Passkeys.Created(claim.Challenge, owner, in.answer)
	if err != nil {
		return shownFactor{}, s.badPasskey(ctx, err)
	}
	tell := s.tellFactor(user, FactorPasskey, "added")
	return shownFactor{
		kind: FactorPasskey, methods: passkeyMethods(key), tell: tell,
		spend: func(ctx context.Context, tx store.Queries) error {
			now := fromMicros(micros(s.now()))
			*out = Passkey{ID: s.newID("pky"), Name: name, Synchronized: key.BackedUp, CreatedAt: now}
			if err := insertPasskey(ctx, tx, user, *out, key); err != nil {
				return err
			}
			*made, err = firstRecoveryCodes(ctx, tx, user, now)
			return err
		},
	}, nil
}

func insertPasskey(ctx context.Context, tx store.Queries, user string, k Passkey, key PasskeyKey) error {
	isNew, err := changedOne(ctx, tx, `INSERT INTO user_passkeys (id, user_id, name, credential, public_key, aaguid, sign_count, backup_eligible, backed_up, created_at, last_used_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (credential) DO NOTHING`,
		k.ID, user, k.Name, key.ID, key.PublicKey, notNil(key.AAGUID), int64(key.SignCount), bit(key.BackupEligible), bit(key.BackedUp), micros(k.CreatedAt))
	if err == nil && !isNew {
		err = platform.Errorf(platform.KindConflict, "passkey_exists", "this passkey was added before")
	}
	return err
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// passkeyMethods are those of a sign-in with the key, whose user was verified:
// what one has, and what one knows or is.
func passkeyMethods(key PasskeyKey) []string {
	if key.BackupEligible {
		return []string{methodSoftwareKey, methodMFA}
	}
	return []string{methodHardwareKey, methodMFA}
}

// badPasskey logs why an answer is refused.
func (s *Service) badPasskey(ctx context.Context, cause error) error {
	s.log.InfoContext(ctx, "user: a passkey is refused", slog.Any("error", cause))
	return errBadFactor()
}

// passkeyOptions asks for a passkey: one of the person's, or anybody's where user
// is "".
func (s *Service) passkeyOptions(ctx context.Context, use passkeyUse, user, holder string) (json.RawMessage, error) {
	if err := s.needPasskeys(); err != nil {
		return nil, err
	}
	var allowed [][]byte
	if user != "" {
		owner, err := s.ownerOf(ctx, user)
		if err != nil {
			return nil, err
		}
		allowed = owner.Keys
	}
	challenge, err := s.newChallenge(ctx, use, holder)
	if err != nil {
		return nil, err
	}
	return s.cfg.Passkeys.Get(challenge, allowed)
}

// checkPasskey checks the answer to passkeyOptions, of the person, or of anybody
// where user is "", and returns whose passkey it is. The challenge is spent first.
func (s *Service) checkPasskey(ctx context.Context, use passkeyUse, user, holder string, answer json.RawMessage) (shownFactor, string, error) {
	if err := s.needPasskeys(); err != nil {
		return shownFactor{}, "", err
	}
	claim, err := s.cfg.Passkeys.Read(answer)
	if err != nil {
		return shownFactor{}, "", s.badPasskey(ctx, err)
	}
	if err := s.spendChallenge(ctx, claim.Challenge, use, holder); err != nil {
		return shownFactor{}, "", err
	}
	row, err := s.passkeyByKey(ctx, claim.ID)
	if err != nil {
		return shownFactor{}, "", err
	}
	if user != "" && row.user != user || len(claim.Handle) > 0 && !bytes.Equal(claim.Handle, []byte(row.user)) {
		return shownFactor{}, "", errBadFactor()
	}
	used, err := s.cfg.Passkeys.Got(claim.Challenge, PasskeyOwner{Handle: []byte(row.user)}, row.key, answer)
	if err != nil {
		return shownFactor{}, row.user, s.badPasskey(ctx, err)
	}
	return shownFactor{
		kind: FactorPasskey, methods: passkeyMethods(row.key),
		spend: func(ctx context.Context, tx store.Queries) error {
			// Of two uses at once one may have raised the counter.
			ok, err := changedOne(ctx, tx, `UPDATE user_passkeys SET sign_count = ?, backed_up = ?, last_used_at = ?
				WHERE id = ? AND user_id = ? AND (sign_count < ? OR sign_count = 0)`,
				int64(used.SignCount), bit(used.BackedUp), micros(s.now()), row.ID, row.user, int64(used.SignCount))
			if err == nil && !ok {
				err = errBadFactor()
			}
			return err
		},
	}, row.user, nil
}

// passkeyByKey finds a passkey by the id that its authenticator gave it.
func (s *Service) passkeyByKey(ctx context.Context, credential []byte) (row passkeyRow, err error) {
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		row, err = scanPasskey(tx.QueryRow(ctx, `SELECT `+passkeyColumns+` FROM user_passkeys WHERE credential = ?`, credential))
		return err
	}, store.ReadOnly)
	if errors.Is(err, sql.ErrNoRows) {
		err = errBadFactor()
	}
	return row, err
}
