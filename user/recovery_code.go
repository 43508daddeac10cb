package user

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A recovery code is 24 characters of base 32, which is 120 bits: more than can be
// guessed, so that a fast hash keeps it and no throttle needs to guard it.
const (
	recoveryCodes      = 10
	recoveryCodeLength = 24
)

// newRecoveryCode returns a code as it is shown, in groups of four.
func newRecoveryCode() Secret {
	text := rand.Text()[:recoveryCodeLength]
	var groups []string
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return Secret(strings.Join(groups, "-"))
}

// hashRecoveryCode returns the SHA-256 of a code as it may be typed: in either
// case, with or without hyphens and spaces.
func hashRecoveryCode(code Secret) (hash []byte, ok bool) {
	plain := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(string(code)))
	return hashSecret([]byte(plain)), len(plain) == recoveryCodeLength
}

// makeRecoveryCodes replaces all codes of a person with new ones.
func makeRecoveryCodes(ctx context.Context, tx store.Queries, user string, now time.Time) ([]Secret, error) {
	if err := removeRecoveryCodes(ctx, tx, user); err != nil {
		return nil, err
	}
	codes := make([]Secret, recoveryCodes)
	for i := range codes {
		codes[i] = newRecoveryCode()
		hash, _ := hashRecoveryCode(codes[i])
		if _, err := tx.Exec(ctx, `INSERT INTO user_recovery_codes (user_id, hash, created_at) VALUES (?, ?, ?)`, user, hash, micros(now)); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

func removeRecoveryCodes(ctx context.Context, tx store.Queries, user string) error {
	_, err := tx.Exec(ctx, `DELETE FROM user_recovery_codes WHERE user_id = ?`, user)
	return err
}

// checkRecoveryCode reads nothing: the code is looked for when it is used up, after
// the proof of the first factor is.
func (s *Service) checkRecoveryCode(user string, code Secret) (shownFactor, error) {
	hash, ok := hashRecoveryCode(code)
	if !ok {
		return shownFactor{}, errBadFactor()
	}
	left := 0
	return shownFactor{
		kind: FactorRecoveryCode, methods: []string{methodOTP, methodMFA},
		spend: func(ctx context.Context, tx store.Queries) error {
			found, err := changedOne(ctx, tx, `DELETE FROM user_recovery_codes WHERE user_id = ? AND hash = ?`, user, hash)
			if err != nil {
				return err
			}
			f, err := factorsOf(ctx, tx, user)
			if err != nil {
				return err
			}
			if !found || !f.any() {
				return errBadFactor()
			}
			left = f.recoveryCodes
			return nil
		},
		tell: func(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor) error {
			if err := s.record(ctx, tx, tenant, by, "recovery_code.used", user, map[string]string{"left": strconv.Itoa(left)}); err != nil {
				return err
			}
			return s.emit(ctx, tx, tenant, "user.recovery_code.used", user, by.principal(), recoveryCodeEvent{UserID: user, Left: left})
		},
	}, nil
}

// MakeRecoveryCodes replaces the recovery codes of the signed-in user with ten new
// ones, which are shown this once: their hashes are kept. It needs a second factor
// and a sign-in with it that is recent.
func (s *Service) MakeRecoveryCodes(ctx context.Context, p platform.Principal) (codes []Secret, err error) {
	err = s.changeFactors(ctx, p, func(ctx context.Context, tx store.CrossTx, f factors) (tellFunc, error) {
		if !f.any() {
			return nil, errNoFactor()
		}
		if codes, err = makeRecoveryCodes(ctx, tx, p.Subject, s.now()); err != nil {
			return nil, err
		}
		return func(ctx context.Context, tx writer, tenant platform.TenantID, by auditActor) error {
			return s.record(ctx, tx, tenant, by, "recovery_codes.created", p.Subject, nil)
		}, nil
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func errNoFactor() error {
	return platform.Errorf(platform.KindConflict, "no_factor", "add a second factor first")
}
