package user

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// PasskeyOptions begins a passkey of the signed-in user: it returns what the
// browser's navigator.credentials.create takes. It needs a recent sign-in.
func (s *Service) PasskeyOptions(ctx context.Context, p platform.Principal) (json.RawMessage, error) {
	if err := s.recent(p); err != nil {
		return nil, err
	}
	return s.addPasskeyOptions(ctx, p.Subject, p.Credential)
}

// AddPasskey adds the passkey that the browser has made for the same session's
// [Service.PasskeyOptions]. With the first factor of a person come ten recovery
// codes, which are shown this once.
func (s *Service) AddPasskey(ctx context.Context, p platform.Principal, name string, answer json.RawMessage) (added Passkey, codes []Secret, err error) {
	if err := s.recent(p); err != nil {
		return Passkey{}, nil, err
	}
	shown, err := s.checkNewPasskey(ctx, p.Subject, p.Credential, newPasskey{name, answer}, &added, &codes)
	if err != nil {
		return Passkey{}, nil, err
	}
	err = s.changeFactors(ctx, p, func(ctx context.Context, tx store.CrossTx, f factors) (tellFunc, error) {
		if f.passkeys >= maxPasskeys {
			return nil, errBadFactor()
		}
		return shown.tell, shown.spend(ctx, tx)
	})
	if err != nil {
		return Passkey{}, nil, err
	}
	return added, codes, nil
}

// Passkeys returns the passkeys of the signed-in user, the oldest first. They are
// at most 20.
func (s *Service) Passkeys(ctx context.Context, p platform.Principal) (all []Passkey, err error) {
	if p.Kind != platform.PrincipalUser {
		return nil, errUserNeeded()
	}
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		rows, err := passkeysOf(ctx, tx, p.Subject)
		all = mapped(rows, func(k passkeyRow) Passkey { return k.Passkey })
		return err
	}, store.ReadOnly)
	return all, err
}

// RenamePasskey gives a passkey of the signed-in user another name.
func (s *Service) RenamePasskey(ctx context.Context, p platform.Principal, id, name string) (out Passkey, err error) {
	if p.Kind != platform.PrincipalUser {
		return Passkey{}, errUserNeeded()
	}
	name, ok := cleanName(name)
	if !ok {
		return Passkey{}, platform.Invalid(nameField("/name"))
	}
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		row, err := scanPasskey(tx.QueryRow(ctx, `UPDATE user_passkeys SET name = ? WHERE id = ? AND user_id = ? RETURNING `+passkeyColumns, name, id, p.Subject))
		out = row.Passkey
		return notFound(err, "passkey")
	}, store.Reserved)
	return out, err
}

// RemovePasskey removes a passkey of the signed-in user. It needs a recent sign-in
// with a second factor. The last one stays where it is the only way in, and while
// an organization of the person requires a factor.
func (s *Service) RemovePasskey(ctx context.Context, p platform.Principal, id string) error {
	return s.changeFactors(ctx, p, func(ctx context.Context, tx store.CrossTx, _ factors) (tellFunc, error) {
		ok, err := changedOne(ctx, tx, `DELETE FROM user_passkeys WHERE id = ? AND user_id = ?`, id, p.Subject)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, platform.NotFound("passkey")
		}
		if err := keepsWayIn(ctx, tx, p.Subject); err != nil {
			return nil, err
		}
		return s.tellFactor(p.Subject, FactorPasskey, "removed"), s.withoutFactor(ctx, tx, p.Subject)
	})
}

// keepsWayIn refuses to leave a person with neither a password nor a passkey.
func keepsWayIn(ctx context.Context, tx store.Queries, user string) error {
	var ways int
	err := tx.QueryRow(ctx, `SELECT (SELECT count(*) FROM user_passwords WHERE user_id = ?) + (SELECT count(*) FROM user_passkeys WHERE user_id = ?)`, user, user).Scan(&ways)
	if err != nil {
		return fmt.Errorf("user: ways in: %w", err)
	}
	if ways == 0 {
		return platform.Errorf(platform.KindConflict, "last_way_in", "this is the only way to sign in; set a password or add another passkey first")
	}
	return nil
}

func removePasskeys(ctx context.Context, tx store.Queries, user string) error {
	_, err := tx.Exec(ctx, `DELETE FROM user_passkeys WHERE user_id = ?`, user)
	return err
}
