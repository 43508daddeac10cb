package user

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Codes are what every authenticator app makes: SHA-1, six digits, 30 seconds (RFC
// 6238), and one step early or late is good, for clocks that differ. The library
// knows no replay: the step of the last code that was used is in the store.
const (
	totpPeriod = 30 * time.Second
	totpSkew   = 1
	totpDigits = otp.DigitsSix
	// totpSeed is what RFC 4226 (section 4) recommends, in bytes.
	totpSeed = 20
)

// TOTPEnrollment is an authenticator app that is to be confirmed with its first
// code. It is shown once.
type TOTPEnrollment struct {
	// Seed is the shared secret in base 32, for who cannot scan a QR code.
	Seed Secret
	// URI is the otpauth URI that a QR code holds.
	URI Secret
}

// totpRow is the app of a person. begunBy and createdAt tell it from another one of
// the same person; sealed does not, since it is sealed again from time to time.
type totpRow struct {
	sealed    []byte
	begunBy   string
	createdAt int64
	confirmed bool
	lastStep  int64
	device    int64 // when the caller's network was last used, in µs; 0 is never
}

func (s *Service) totpOf(ctx context.Context, user string) (row totpRow, err error) {
	var confirmed int64
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT t.seed, t.begun_by, t.created_at, t.confirmed_at, t.last_step, coalesce(d.last_used_at, 0) FROM user_totp t
			LEFT JOIN user_devices d ON d.user_id = t.user_id AND d.network = ? WHERE t.user_id = ?`, network(clientOf(ctx)), user).
			Scan(&row.sealed, &row.begunBy, &row.createdAt, &confirmed, &row.lastStep, &row.device)
	}, store.ReadOnly)
	row.confirmed = confirmed != 0
	return row, err
}

// seedCell is where a person's seed is.
func seedCell(user string) store.Cell {
	return store.Cell{Tenant: platform.NoTenant, Table: "user_totp", Column: "seed", Row: user}
}

// stepOf returns the time step whose code it is.
func stepOf(seed []byte, code Secret, now time.Time) (step int64, ok bool) {
	plain := strings.ReplaceAll(string(code), " ", "")
	text := base32.StdEncoding.EncodeToString(seed)
	at := now.Unix() / int64(totpPeriod/time.Second)
	for _, candidate := range []int64{at, at - totpSkew, at + totpSkew} {
		want, err := hotp.GenerateCodeCustom(text, uint64(candidate), hotp.ValidateOpts{Digits: totpDigits, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(plain)) == 1 {
			return candidate, true
		}
	}
	return 0, false
}

// checkTOTP checks a code of the app that the person has, under a throttle.
func (s *Service) checkTOTP(ctx context.Context, user string, code Secret) (shownFactor, error) {
	row, err := s.totpOf(ctx, user)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !row.confirmed {
		return shownFactor{}, errBadFactor()
	}
	if err != nil {
		return shownFactor{}, err
	}
	step, err := s.tryCode(ctx, user, row, code)
	if err != nil {
		return shownFactor{}, err
	}
	return shownFactor{
		kind: FactorTOTP, methods: []string{methodOTP, methodMFA},
		spend: func(ctx context.Context, tx store.Queries) error {
			ok, err := changedOne(ctx, tx, `UPDATE user_totp SET last_step = ? WHERE user_id = ? AND last_step < ? AND confirmed_at > 0 AND begun_by = ? AND created_at = ?`,
				step, user, step, row.begunBy, row.createdAt)
			if err == nil && !ok {
				err = errBadFactor()
			}
			return err
		},
	}, nil
}

// tryCode returns the step of a right code that was not used yet. Guesses are
// counted for each account, see [throttle.beginCode].
func (s *Service) tryCode(ctx context.Context, user string, row totpRow, code Secret) (step int64, err error) {
	attempt, err := s.throttle.beginCode(ctx, user, clientOf(ctx), s.knownAt(row.device))
	if err != nil {
		return 0, err
	}
	seed, err := s.cfg.Sealer.Open(ctx, seedCell(user), row.sealed)
	if err != nil {
		attempt.undo(ctx)
		return 0, err
	}
	step, ok := stepOf(seed, code, s.now())
	if !ok || step <= row.lastStep {
		return 0, errBadFactor()
	}
	return step, attempt.succeeded(ctx)
}

// beginTOTP makes a seed that by, a session or a half-done sign-in, may confirm.
func (s *Service) beginTOTP(ctx context.Context, tx store.Queries, user, by string) (TOTPEnrollment, error) {
	seed := randomBytes()[:totpSeed]
	sealed, err := s.cfg.Sealer.Seal(ctx, seedCell(user), seed)
	if err != nil {
		return TOTPEnrollment{}, err
	}
	u, err := userByID(ctx, tx, user)
	if err != nil {
		return TOTPEnrollment{}, err
	}
	begun, err := changedOne(ctx, tx, `INSERT INTO user_totp (user_id, seed, begun_by, created_at, confirmed_at, last_step) VALUES (?, ?, ?, ?, 0, 0)
		ON CONFLICT (user_id) DO UPDATE SET seed = excluded.seed, begun_by = excluded.begun_by, created_at = excluded.created_at
		WHERE user_totp.confirmed_at = 0`, user, sealed, by, micros(s.now()))
	if err != nil {
		return TOTPEnrollment{}, err
	}
	if !begun {
		return TOTPEnrollment{}, errHasTOTP()
	}
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: s.product(), AccountName: u.Email, Secret: seed, Period: uint(totpPeriod / time.Second), Digits: totpDigits, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil { // only an issuer or a name that is empty fails
		return TOTPEnrollment{}, err
	}
	return TOTPEnrollment{Seed: Secret(key.Secret()), URI: Secret(key.URL())}, nil
}

// product names the installation in authenticator apps.
func (s *Service) product() string {
	if u, err := url.Parse(s.cfg.Issuer); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return s.cfg.Issuer
}

func errHasTOTP() error {
	return platform.Errorf(platform.KindConflict, "totp_exists", "there is an authenticator app already; remove it first")
}

// checkNewTOTP checks the first code of an app that by has begun. The factor's
// spend adds the app; makes tells it where the person's first recovery codes go.
func (s *Service) checkNewTOTP(ctx context.Context, user, by string, code Secret, made *[]Secret) (shownFactor, error) {
	row, err := s.totpOf(ctx, user)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (row.confirmed || row.begunBy != by) {
		return shownFactor{}, platform.Errorf(platform.KindConflict, "totp_not_begun", "begin with a new authenticator app first")
	}
	if err != nil {
		return shownFactor{}, err
	}
	step, err := s.tryCode(ctx, user, row, code)
	if err != nil {
		return shownFactor{}, err
	}
	return shownFactor{
		kind: FactorTOTP, methods: []string{methodOTP, methodMFA},
		spend: func(ctx context.Context, tx store.Queries) error {
			ok, err := changedOne(ctx, tx, `UPDATE user_totp SET confirmed_at = ?, last_step = ? WHERE user_id = ? AND confirmed_at = 0 AND begun_by = ? AND created_at = ?`,
				micros(s.now()), step, user, row.begunBy, row.createdAt)
			if err != nil {
				return err
			}
			if !ok {
				return errBadFactor()
			}
			*made, err = firstRecoveryCodes(ctx, tx, user, s.now())
			return err
		},
		tell: s.tellFactor(user, FactorTOTP, "added"),
	}, nil
}

// firstRecoveryCodes makes the codes that come with the first factor.
func firstRecoveryCodes(ctx context.Context, tx store.Queries, user string, now time.Time) ([]Secret, error) {
	f, err := factorsOf(ctx, tx, user)
	if err != nil || f.recoveryCodes > 0 {
		return nil, err
	}
	return makeRecoveryCodes(ctx, tx, user, now)
}

// BeginTOTP makes the seed of an authenticator app for the signed-in user, which
// counts once [Service.ConfirmTOTP] has had a code of it. Calling it again begins
// with another seed. It needs a recent sign-in.
func (s *Service) BeginTOTP(ctx context.Context, p platform.Principal) (out TOTPEnrollment, err error) {
	err = s.changeFactors(ctx, p, func(ctx context.Context, tx store.CrossTx, _ factors) (tellFunc, error) {
		out, err = s.beginTOTP(ctx, tx, p.Subject, p.Credential)
		return nil, err
	})
	return out, err
}

// ConfirmTOTP adds the app that the same session has begun. With the first factor
// of a person come ten recovery codes, which are shown this once; with a further
// one there are none. The present session counts as one with two factors after
// the next step-up.
func (s *Service) ConfirmTOTP(ctx context.Context, p platform.Principal, code Secret) (codes []Secret, err error) {
	if err := s.recent(p); err != nil {
		return nil, err
	}
	shown, err := s.checkNewTOTP(ctx, p.Subject, p.Credential, code, &codes)
	if err != nil {
		return nil, err
	}
	err = s.changeFactors(ctx, p, func(ctx context.Context, tx store.CrossTx, _ factors) (tellFunc, error) {
		return shown.tell, shown.spend(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// RemoveTOTP removes the authenticator app of the signed-in user. It needs a
// recent sign-in with a second factor. The last factor stays while an organization
// of the person requires one; the recovery codes go with it.
func (s *Service) RemoveTOTP(ctx context.Context, p platform.Principal) error {
	return s.changeFactors(ctx, p, func(ctx context.Context, tx store.CrossTx, f factors) (tellFunc, error) {
		if f.totpSince.IsZero() {
			return nil, platform.NotFound("authenticator app")
		}
		if err := removeTOTP(ctx, tx, p.Subject); err != nil {
			return nil, err
		}
		return s.tellFactor(p.Subject, FactorTOTP, "removed"), s.withoutFactor(ctx, tx, p.Subject)
	})
}

func removeTOTP(ctx context.Context, tx store.Queries, user string) error {
	_, err := tx.Exec(ctx, `DELETE FROM user_totp WHERE user_id = ?`, user)
	return err
}

// withoutFactor sees to what the last factor leaves behind, after one was removed.
func (s *Service) withoutFactor(ctx context.Context, tx store.CrossTx, user string) error {
	f, err := factorsOf(ctx, tx, user)
	if err != nil || f.any() {
		return err
	}
	if required, err := factorRequiredOf(ctx, tx, user); err != nil {
		return err
	} else if required {
		return platform.Errorf(platform.KindConflict, "factor_required", "an organization that you are in requires a second factor; add another one first")
	}
	return removeRecoveryCodes(ctx, tx, user)
}
