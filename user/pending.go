package user

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A half-done sign-in is no session: a row of its own kind with a token of its own
// kind, which three operations take in their bodies and nothing takes as a
// credential. The proof of the first factor is used up when the row is made.

const (
	pendingPrefix = "si"
	// pendingFor is how long the second factor may take.
	pendingFor = 10 * time.Minute
	// pendingTries is how many second factors may be tried with one.
	pendingTries = 5
)

// PendingSignIn is a sign-in whose second factor is to come.
type PendingSignIn struct {
	// Token is for [Service.VerifyFactor], [Service.FactorOptions] and
	// [Service.EnrollFactor], and opens nothing else.
	Token Secret
	// Methods are what the person can show, or, with Enroll, can add.
	Methods []FactorKind
	// Enroll says that the organization requires a second factor and the person
	// has none: it is added with [Service.EnrollFactor].
	Enroll bool
	// Expires is when the person must begin again.
	Expires time.Time
	// Passkey is what the browser's navigator.credentials.get takes, where a passkey
	// is one of Methods; [Service.FactorOptions] alone sets it.
	Passkey json.RawMessage
}

// pendingRow is a half-done sign-in as it is stored.
type pendingRow struct {
	id      string
	user    string
	wanted  platform.TenantID
	kind    SessionKind
	methods []string
	enroll  bool
	expires time.Time
}

// factorAsked makes a half-done sign-in where the person has a second factor, or
// the organization requires one, and the arrival has not shown it. Nil is where
// nothing more is needed. The account is locked, or made by the same transaction.
func (s *Service) factorAsked(ctx context.Context, tx store.Queries, tenant platform.TenantID, a arrival) (*PendingSignIn, error) {
	if strong(a.signIn.methods) {
		return nil, nil
	}
	f, err := factorsOf(ctx, tx, a.user)
	if err != nil {
		return nil, err
	}
	pending := &PendingSignIn{Methods: f.kinds(), Expires: fromMicros(micros(s.now().Add(pendingFor)))}
	if !f.any() {
		required, err := requiresFactor(ctx, tx, tenant)
		if err != nil || !required {
			return nil, err
		}
		pending.Enroll, pending.Methods = true, s.enrollable()
	}
	id, secret := s.newID("sin"), randomBytes()
	pending.Token = formatToken(pendingPrefix, id, secret)
	enroll := 0
	if pending.Enroll {
		enroll = 1
	}
	_, err = tx.Exec(ctx, `INSERT INTO user_pending_sign_ins (id, token_hash, user_id, organization, session_kind, methods, enroll, tries, created_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, id, hashSecret(secret), a.user, string(a.wanted), string(a.kind), encodeList(a.signIn.methods), enroll, pendingTries,
		micros(s.now()), micros(pending.Expires))
	return pending, err
}

// enrollable are the factors that can be added.
func (s *Service) enrollable() []FactorKind {
	if s.cfg.Passkeys == nil {
		return []FactorKind{FactorTOTP}
	}
	return []FactorKind{FactorPasskey, FactorTOTP}
}

const pendingColumns = `id, user_id, organization, session_kind, methods, enroll, expires_at`

func scanPending(row scanner) (p pendingRow, err error) {
	var (
		methods string
		enroll  int
		expires int64
	)
	if err = row.Scan(&p.id, &p.user, &p.wanted, &p.kind, &methods, &enroll, &expires); err != nil {
		return p, err
	}
	p.enroll, p.expires = enroll != 0, fromMicros(expires)
	p.methods, err = decodeList(methods)
	return p, err
}

func errBadPending() error {
	return platform.Errorf(platform.KindUnauthenticated, "invalid_sign_in", "the sign-in is not valid or has ended; begin again")
}

// pending reads a half-done sign-in.
func (s *Service) pending(ctx context.Context, token Secret) (pendingRow, error) {
	return s.onPending(ctx, token, `SELECT `+pendingColumns+` FROM user_pending_sign_ins WHERE id = ? AND token_hash = ? AND expires_at > ? AND tries > 0`, store.ReadOnly)
}

// takeTry reads a half-done sign-in and takes one of its tries, whatever comes of
// it: parallel ones count too.
func (s *Service) takeTry(ctx context.Context, token Secret) (pendingRow, error) {
	return s.onPending(ctx, token, `UPDATE user_pending_sign_ins SET tries = tries - 1 WHERE id = ? AND token_hash = ? AND expires_at > ? AND tries > 0
		RETURNING `+pendingColumns, store.Reserved)
}

func (s *Service) onPending(ctx context.Context, token Secret, statement string, mode store.TxOption) (row pendingRow, err error) {
	id, secret, ok := parseToken(pendingPrefix, "sin", secretSize, token)
	if !ok {
		return pendingRow{}, errBadPending()
	}
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		row, err = scanPending(tx.QueryRow(ctx, statement, id, hashSecret(secret), micros(s.now())))
		return err
	}, mode)
	if errors.Is(err, sql.ErrNoRows) {
		err = errBadPending()
	}
	return row, err
}

// FactorOptions tells what a half-done sign-in waits for, and asks for a passkey
// where the person has one. The error is of [platform.KindUnauthenticated] for one
// that has ended.
func (s *Service) FactorOptions(ctx context.Context, token Secret) (PendingSignIn, error) {
	row, err := s.pending(ctx, token)
	if err != nil {
		return PendingSignIn{}, err
	}
	out := PendingSignIn{Token: token, Enroll: row.enroll, Expires: row.expires, Methods: s.enrollable()}
	if row.enroll {
		return out, nil
	}
	var f factors
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		f, err = factorsOf(ctx, tx, row.user)
		return err
	}, store.ReadOnly)
	out.Methods = f.kinds()
	if err == nil && f.passkeys > 0 && s.cfg.Passkeys != nil {
		out.Passkey, err = s.passkeyOptions(ctx, passkeyShow, row.user, row.id)
	}
	return out, err
}

// FactorEnrollment is a factor that was begun: one of them.
type FactorEnrollment struct {
	TOTP *TOTPEnrollment
	// Passkey is what the browser's navigator.credentials.create takes.
	Passkey json.RawMessage
}

// EnrollFactor begins a second factor for a person who has none and needs one,
// in the midst of a sign-in: [Service.VerifyFactor] then confirms it.
func (s *Service) EnrollFactor(ctx context.Context, token Secret, kind FactorKind) (out FactorEnrollment, err error) {
	row, err := s.pending(ctx, token)
	if err != nil {
		return FactorEnrollment{}, err
	}
	if !row.enroll {
		return FactorEnrollment{}, platform.Errorf(platform.KindConflict, "factor_exists", "show the second factor that you have")
	}
	switch kind {
	case FactorPasskey:
		out.Passkey, err = s.addPasskeyOptions(ctx, row.user, row.id)
		return out, err
	case FactorTOTP:
	default:
		return FactorEnrollment{}, field("/method", "unknown", "passkey or totp")
	}
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		begun, err := s.beginTOTP(ctx, tx, row.user, row.id)
		out.TOTP = &begun
		return err
	}, store.Reserved)
	return out, err
}

// VerifyFactor finishes a sign-in with a second factor, or with the first code of
// one that was just enrolled. Each call takes one of five tries; the error is of
// [platform.KindUnauthenticated] for a wrong factor ("invalid_factor") and for a
// sign-in that has ended ("invalid_sign_in"), and of [platform.KindLimited] after
// too many wrong codes for the account.
func (s *Service) VerifyFactor(ctx context.Context, token Secret, proof FactorProof) (SignedIn, error) {
	if err := proof.validate(); err != nil {
		return SignedIn{}, err
	}
	row, err := s.takeTry(ctx, token)
	if err != nil {
		return SignedIn{}, err
	}
	var (
		shown shownFactor
		codes []Secret
	)
	switch {
	case !row.enroll:
		shown, err = s.checkFactor(ctx, row.user, row.id, proof)
	case proof.Passkey != nil:
		shown, err = s.checkNewPasskey(ctx, row.user, row.id, newPasskey{proof.PasskeyName, proof.Passkey}, &Passkey{}, &codes)
	default:
		shown, err = s.checkNewTOTP(ctx, row.user, row.id, proof.Code, &codes)
	}
	if err != nil {
		s.noteBadFactor(ctx, row, err)
		return SignedIn{}, err
	}
	a := arrival{user: row.user, wanted: row.wanted, kind: row.kind, signIn: signIn{methods: row.methods}.with(s.now(), shown.methods...), tell: shown.tell}
	out, err := s.admit(ctx, a, func(ctx context.Context, tx writer) error {
		// The sign-in ends first: of calls at once one goes on.
		if ok, err := changedOne(ctx, tx, `DELETE FROM user_pending_sign_ins WHERE id = ?`, row.id); err != nil {
			return err
		} else if !ok {
			return errBadPending()
		}
		if row.enroll { // another sign-in may have added one meanwhile
			if f, err := factorsOf(ctx, tx, row.user); err != nil {
				return err
			} else if f.any() {
				return errBadPending()
			}
		}
		if err := shown.spend(ctx, tx); err != nil || !row.enroll && shown.kind != FactorRecoveryCode {
			return err
		}
		return s.sendMail(ctx, tx, mailRequest{kind: MailFactorChanged, user: row.user})
	})
	if err != nil {
		s.noteBadFactor(ctx, row, err)
		return SignedIn{}, err
	}
	out.RecoveryCodes = codes
	return out, nil
}

// noteBadFactor records a failed sign-in where the factor was wrong.
func (s *Service) noteBadFactor(ctx context.Context, row pendingRow, err error) {
	var e *platform.Error
	if errors.As(err, &e) && e.Code == "invalid_factor" {
		s.noteFailure(ctx, row.user, row.wanted)
	}
}

// purgePending removes half-done sign-ins that were left, and forgets spent
// challenges that have expired.
func (s *Service) purgePending(ctx context.Context) error {
	err := s.db.AcrossTenants(ctx, s.cross.purge, func(ctx context.Context, tx store.CrossTx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM user_pending_sign_ins WHERE expires_at < ?`, micros(s.now())); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM user_challenges WHERE expires_at < ?`, micros(s.now()))
		return err
	}, store.Reserved)
	if err != nil {
		return fmt.Errorf("user: purge half-done sign-ins: %w", err)
	}
	return nil
}
