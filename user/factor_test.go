package user_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

func ptr[T any](v T) *T { return &v }

// app is an authenticator app.
type app struct {
	b    *bundle
	seed string
}

// code is the code of now, moved by so many steps.
func (a app) code(tb testing.TB, steps int) user.Secret {
	tb.Helper()
	code, err := totp.GenerateCode(a.seed, a.b.clock.Now().Add(time.Duration(steps)*30*time.Second))
	noError(tb, err)
	return user.Secret(code)
}

// proof is a code that was not used yet: the clock goes on by a step.
func (a app) proof(tb testing.TB) user.FactorProof {
	tb.Helper()
	a.b.clock.Advance(30 * time.Second)
	return user.FactorProof{Code: a.code(tb, 0)}
}

// addTOTP gives a person an authenticator app; it is their first factor.
func (b *bundle) addTOTP(tb testing.TB, p platform.Principal) (app, []user.Secret) {
	tb.Helper()
	begun, err := b.BeginTOTP(tb.Context(), p)
	noError(tb, err)
	a := app{b, string(begun.Seed)}
	codes, err := b.ConfirmTOTP(tb.Context(), p, a.code(tb, 0))
	noError(tb, err)
	return a, codes
}

// half signs in as far as the password leads.
func (b *bundle) half(tb testing.TB, email string, organization platform.TenantID) user.PendingSignIn {
	tb.Helper()
	in, err := b.LogIn(tb.Context(), user.LogIn{Email: email, Password: goodPassword, Organization: organization})
	noError(tb, err)
	if in.Pending == nil || in.Tokens != (user.Tokens{}) {
		tb.Fatalf("the password alone gave %+v", in)
	}
	return *in.Pending
}

// strong signs in with two factors.
func (b *bundle) strong(tb testing.TB, email string, a app) platform.Principal {
	tb.Helper()
	in, err := b.VerifyFactor(tb.Context(), b.half(tb, email, "").Token, a.proof(tb))
	noError(tb, err)
	return b.verify(tb, in.Access)
}

// A code works once, one step early or late, and opens what the password alone
// does not.
func TestTOTPWorksOnce(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	phone, codes := b.addTOTP(t, ann.p)
	if len(codes) != 10 {
		t.Errorf("%d recovery codes", len(codes))
	}
	pending := b.half(t, "ann@example.com", "")
	if !slices.Equal(pending.Methods, []user.FactorKind{user.FactorTOTP, user.FactorRecoveryCode}) || pending.Enroll {
		t.Errorf("got %+v", pending)
	}
	_, err := b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Code: phone.code(t, 0)})
	want(t, err, platform.KindUnauthenticated, "invalid_factor") // it was used to confirm

	b.clock.Advance(5 * time.Minute)
	for _, steps := range []int{-2, 2} {
		_, err := b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Code: phone.code(t, steps)})
		want(t, err, platform.KindUnauthenticated, "invalid_factor")
	}
	proof := user.FactorProof{Code: phone.code(t, -1)}
	in, err := b.VerifyFactor(t.Context(), pending.Token, proof)
	noError(t, err)
	p := b.verify(t, in.Access)
	if !slices.Equal(p.Methods, []string{"mfa", "otp", "pwd"}) || !p.SignedInAt.Equal(b.clock.Now()) {
		t.Errorf("signed in by %v at %s", p.Methods, p.SignedInAt)
	}
	_, err = b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Code: phone.code(t, 0)})
	want(t, err, platform.KindUnauthenticated, "invalid_sign_in")
	_, err = b.VerifyFactor(t.Context(), b.half(t, "ann@example.com", "").Token, proof)
	want(t, err, platform.KindUnauthenticated, "invalid_factor")
	_, err = b.VerifyFactor(t.Context(), b.half(t, "ann@example.com", "").Token, user.FactorProof{Code: phone.code(t, 1)})
	noError(t, err)
	_, err = b.VerifyFactor(t.Context(), b.half(t, "ann@example.com", "").Token, user.FactorProof{Code: phone.code(t, 0)})
	want(t, err, platform.KindUnauthenticated, "invalid_factor") // an earlier step than the last
}

// What is right of another person is wrong.
func TestFactorsOfOthers(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	annPhone, _ := b.addTOTP(t, ann.p)
	benPhone, benCodes := b.addTOTP(t, ben.p)
	pending := b.half(t, "ann@example.com", "")
	for what, proof := range map[string]user.FactorProof{
		"code":          benPhone.proof(t),
		"recovery code": {RecoveryCode: benCodes[0]},
	} {
		_, err := b.VerifyFactor(t.Context(), pending.Token, proof)
		if err == nil {
			t.Errorf("%s of another person", what)
		}
		want(t, err, platform.KindUnauthenticated, "invalid_factor")
	}
	_, err := b.VerifyFactor(t.Context(), pending.Token, annPhone.proof(t))
	noError(t, err)
	if f, err := b.Factors(t.Context(), ben.p); err != nil || f.RecoveryCodes != 10 {
		t.Errorf("ben has %d codes left, %v", f.RecoveryCodes, err)
	}
}

// Guesses are few for each sign-in and for each account, and never keep the owner
// out who comes from a known device.
func TestGuessedCodes(t *testing.T) {
	b := open(t)
	home := from(t.Context(), "198.51.100.7")
	out, err := b.SignUp(home, user.SignUp{Email: "ann@example.com", Password: goodPassword, Name: "Ann", Organization: "Acme"})
	noError(t, err)
	phone, codes := b.addTOTP(t, b.verify(t, out.Access))
	logIn := func(ctx context.Context) user.Secret {
		in, err := b.LogIn(ctx, user.LogIn{Email: "ann@example.com", Password: goodPassword})
		noError(t, err)
		return in.Pending.Token
	}
	wrong := user.FactorProof{Code: "000000"}
	abroad := from(t.Context(), "203.0.113.9")
	token := logIn(abroad)
	for range 5 {
		_, err := b.VerifyFactor(abroad, token, wrong)
		want(t, err, platform.KindUnauthenticated, "invalid_factor")
	}
	_, err = b.VerifyFactor(abroad, token, phone.proof(t))
	want(t, err, platform.KindUnauthenticated, "invalid_sign_in") // its tries are used up
	refused := 0
	for i := range 20 { // other sign-ins from other networks
		elsewhere := from(t.Context(), fmt.Sprintf("203.0.113.%d", 20+i))
		if _, err := b.VerifyFactor(elsewhere, logIn(elsewhere), wrong); errors.Is(err, platform.ErrLimited) {
			refused++
		}
	}
	if refused < 18 {
		t.Errorf("%d of 20 further guesses were refused", refused)
	}
	_, err = b.VerifyFactor(home, logIn(home), phone.proof(t))
	noError(t, err)
	_, err = b.VerifyFactor(abroad, logIn(abroad), user.FactorProof{RecoveryCode: codes[3]})
	noError(t, err)
}

// Fifty uses at once of one sign-in, one recovery code or one code of the app open
// one session.
func TestFactorsAreUsedOnce(t *testing.T) {
	const uses = 50
	for what, c := range map[string]struct {
		shared bool // one half-done sign-in for all
		app    bool
	}{"one sign-in": {shared: true}, "one recovery code": {}, "one code of the app": {app: true}} {
		t.Run(what, func(t *testing.T) {
			b := open(t)
			ann := b.signUp(t, "ann@example.com")
			phone, codes := b.addTOTP(t, ann.p)
			proof := user.FactorProof{RecoveryCode: codes[0]}
			if c.app {
				proof = phone.proof(t)
			}
			tokens := make([]user.Secret, uses)
			for i := range tokens {
				if tokens[i] = tokens[0]; i == 0 || !c.shared {
					tokens[i] = b.half(t, "ann@example.com", "").Token
				}
			}
			before := b.count(t, "user_sessions")
			var (
				done    sync.WaitGroup
				entered atomic.Int64
			)
			for _, token := range tokens {
				done.Go(func() {
					if in, err := b.VerifyFactor(t.Context(), token, proof); err == nil && in.Access != "" {
						entered.Add(1)
					}
				})
			}
			done.Wait()
			if opened := b.count(t, "user_sessions") - before; entered.Load() != 1 || opened != 1 {
				t.Errorf("%d signed in, %d sessions were opened", entered.Load(), opened)
			}
		})
	}
}

// A recovery code works once in place of the app, its set is replaced as a whole,
// and nothing of it can be read in the store.
func TestRecoveryCodes(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	phone, codes := b.addTOTP(t, ann.p)
	typed := user.Secret(strings.ToLower(strings.ReplaceAll(string(codes[4]), "-", " ")))
	in, err := b.VerifyFactor(t.Context(), b.half(t, "ann@example.com", "").Token, user.FactorProof{RecoveryCode: typed})
	noError(t, err)
	p := b.verify(t, in.Access)
	if f, err := b.Factors(t.Context(), p); err != nil || f.RecoveryCodes != 9 || f.TOTPSince.IsZero() {
		t.Errorf("got %+v, %v", f, err)
	}
	_, err = b.VerifyFactor(t.Context(), b.half(t, "ann@example.com", "").Token, user.FactorProof{RecoveryCode: codes[4]})
	want(t, err, platform.KindUnauthenticated, "invalid_factor")
	records, _, err := b.Audit(t.Context(), p, user.AuditFilter{Action: "recovery_code.used"}, 10, "")
	noError(t, err)
	if len(records) != 1 || records[0].Detail["left"] != "9" {
		t.Errorf("audit %+v", records)
	}

	fresh, err := b.MakeRecoveryCodes(t.Context(), p)
	noError(t, err)
	if n := b.count(t, "user_recovery_codes"); len(fresh) != 10 || n != 10 {
		t.Errorf("%d new codes, %d rows", len(fresh), n)
	}
	pending := b.half(t, "ann@example.com", "")
	_, err = b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{RecoveryCode: codes[5]})
	want(t, err, platform.KindUnauthenticated, "invalid_factor")
	_, err = b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{RecoveryCode: fresh[5]})
	noError(t, err)

	dump := b.dump(t, "user_totp", "user_recovery_codes", "user_pending_sign_ins", "user_audit", "outbox")
	for what, secret := range map[string]string{
		"seed": phone.seed, "recovery code": string(fresh[0]), "plain recovery code": strings.ReplaceAll(string(fresh[0]), "-", ""),
		"sign-in": string(pending.Token),
	} {
		if strings.Contains(dump, secret) {
			t.Errorf("the store holds the %s", what)
		}
	}
}

// dump is everything that tables hold, as text.
func (b *bundle) dump(tb testing.TB, tables ...string) string {
	tb.Helper()
	var all strings.Builder
	noError(tb, b.db.AcrossTenants(tb.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		all.Reset()
		for _, table := range tables {
			if err := dumpTable(ctx, tx, table, &all); err != nil {
				return err
			}
		}
		return nil
	}))
	return all.String()
}

func dumpTable(ctx context.Context, tx store.CrossTx, table string, all *strings.Builder) error {
	rows, err := tx.Query(ctx, `SELECT * FROM `+table)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		for _, v := range values {
			if raw, ok := (*v.(*any)).([]byte); ok {
				fmt.Fprintf(all, "%s ", raw)
			} else {
				fmt.Fprintf(all, "%v ", *v.(*any))
			}
		}
	}
	return rows.Err()
}

// A half-done sign-in is no credential, ends after ten minutes, and ends when the
// password changes or the person is suspended.
func TestHalfDoneSignInsEnd(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	phone, _ := b.addTOTP(t, ann.p)
	b.strong(t, "ann@example.com", phone)

	pending := b.half(t, "ann@example.com", "")
	_, err := b.Verify(t.Context(), string(pending.Token))
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.Refresh(t.Context(), pending.Token)
	want(t, err, platform.KindUnauthenticated, "")
	b.clock.Advance(10 * time.Minute)
	for what, err := range map[string]error{
		"options": failure(b.FactorOptions(t.Context(), pending.Token)),
		"verify":  failure(b.VerifyFactor(t.Context(), pending.Token, phone.proof(t))),
		"enroll":  failure(b.EnrollFactor(t.Context(), pending.Token, user.FactorTOTP)),
		"forged":  failure(b.FactorOptions(t.Context(), "si_1_AAAA")),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		want(t, err, platform.KindUnauthenticated, "invalid_sign_in")
	}

	p := b.strong(t, "ann@example.com", phone)
	pending = b.half(t, "ann@example.com", "")
	password := user.Secret("another tractor 9 umbrella")
	_, err = b.UpdateMe(t.Context(), p, user.MeChange{Password: &password, CurrentPassword: goodPassword})
	noError(t, err)
	_, err = b.VerifyFactor(t.Context(), pending.Token, phone.proof(t))
	want(t, err, platform.KindUnauthenticated, "invalid_sign_in")
}

func failure[T any](_ T, err error) error { return err }

// Only the session that began an app confirms it, a session from before the factor
// changes none, and one that signed in long ago neither.
func TestWhoChangesFactors(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	other, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	stranger := b.verify(t, other.Access)

	begun, err := b.BeginTOTP(t.Context(), ann.p)
	noError(t, err)
	phone := app{b, string(begun.Seed)}
	_, err = b.ConfirmTOTP(t.Context(), stranger, phone.code(t, 0))
	want(t, err, platform.KindConflict, "totp_not_begun")
	_, err = b.ConfirmTOTP(t.Context(), ann.p, "000000")
	want(t, err, platform.KindUnauthenticated, "invalid_factor")
	_, err = b.MakeRecoveryCodes(t.Context(), ann.p)
	want(t, err, platform.KindConflict, "no_factor")
	_, err = b.ConfirmTOTP(t.Context(), ann.p, phone.code(t, 0))
	noError(t, err)

	for what, err := range map[string]error{
		"remove": b.RemoveTOTP(t.Context(), stranger),
		"codes":  failure(b.MakeRecoveryCodes(t.Context(), stranger)),
		"begin":  failure(b.BeginTOTP(t.Context(), stranger)),
	} {
		if err == nil {
			t.Errorf("%s by a session from before the factor", what)
		}
		want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	}
	p := b.strong(t, "ann@example.com", phone)
	_, err = b.BeginTOTP(t.Context(), p)
	want(t, err, platform.KindConflict, "totp_exists")
	b.clock.Advance(16 * time.Minute)
	want(t, b.RemoveTOTP(t.Context(), p), platform.KindUnauthenticated, "reauthentication_required")
	_, key, err := b.CreateAPIKey(t.Context(), p, user.NewAPIKey{Name: "ci", Scopes: []string{"*"}})
	noError(t, err)
	want(t, b.RemoveTOTP(t.Context(), b.verify(t, key)), platform.KindForbidden, "user_required")

	p = b.strong(t, "ann@example.com", phone)
	noError(t, b.RemoveTOTP(t.Context(), p))
	if n := b.count(t, "user_totp") + b.count(t, "user_recovery_codes"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	if in.Pending != nil {
		t.Error("a factor is asked for that is gone")
	}
	for _, action := range []string{"factor.added", "factor.removed"} {
		records, _, err := b.Audit(t.Context(), p, user.AuditFilter{Action: action}, 10, "")
		noError(t, err)
		if len(records) != 1 || records[0].Detail["factor"] != "totp" || records[0].Actor != ann.User.ID {
			t.Errorf("%s: %+v", action, records)
		}
	}
	if events := b.events(t); !slices.Contains(events, "user.factor.added") || !slices.Contains(events, "user.factor.removed") {
		t.Errorf("events %v", events)
	}
}

// The host takes the factors of somebody who has lost them.
func TestFactorsAreReset(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.addTOTP(t, ann.p)
	noError(t, b.ResetFactors(t.Context(), ann.User.ID))
	_, err := b.Verify(t.Context(), string(ann.Access))
	want(t, err, platform.KindUnauthenticated, "")
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	if in.Pending != nil {
		t.Errorf("got %+v", in)
	}
	want(t, b.ResetFactors(t.Context(), "usr_nobody"), platform.KindNotFound, "")
}
