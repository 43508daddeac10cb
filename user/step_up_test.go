package user_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// A step-up makes the sign-in recent and replaces what the client holds; with a
// second factor the password alone is not enough.
func TestStepUp(t *testing.T) {
	b := open(t, withPasskeys)
	ann := b.signUp(t, "ann@example.com")
	b.clock.Advance(time.Hour)
	renewed, err := b.Refresh(t.Context(), ann.Refresh)
	noError(t, err)
	p := b.verify(t, renewed.Access)
	password := user.Secret("another tractor 9 umbrella")
	change := user.MeChange{Password: &password, CurrentPassword: goodPassword}
	_, err = b.UpdateMe(t.Context(), p, change)
	want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	for what, in := range map[string]user.StepUp{
		"invalid_credentials": {Password: "wrong one entirely"},
		"invalid_factor":      {FactorProof: user.FactorProof{Code: "123456"}},
	} {
		_, err := b.StepUp(t.Context(), p, in)
		want(t, err, platform.KindUnauthenticated, what)
	}
	_, err = b.StepUp(t.Context(), p, user.StepUp{})
	want(t, err, platform.KindInvalid, "")
	in, err := b.StepUp(t.Context(), p, user.StepUp{Password: goodPassword})
	noError(t, err)
	if _, err := b.Refresh(t.Context(), renewed.Refresh); err == nil {
		t.Error("the refresh token from before works on")
	}
	p = b.verify(t, in.Access)
	if !p.SignedInAt.Equal(b.clock.Now()) || !slices.Equal(p.Methods, []string{"pwd"}) || in.Organization != ann.p.Tenant {
		t.Errorf("signed in at %s by %v", p.SignedInAt, p.Methods)
	}
	_, err = b.UpdateMe(t.Context(), p, user.MeChange{Password: ptr(user.Secret(goodPassword)), CurrentPassword: goodPassword})
	noError(t, err)

	phone, codes := b.addTOTP(t, p)
	d := newDevice(ann.User.ID)
	in, err = b.StepUp(t.Context(), p, user.StepUp{FactorProof: phone.proof(t)})
	noError(t, err)
	p = b.verify(t, in.Access)
	if !slices.Equal(p.Methods, []string{"mfa", "otp", "pwd"}) {
		t.Errorf("signed in by %v", p.Methods)
	}
	b.addPasskey(t, p, d)
	b.clock.Advance(16 * time.Minute)
	in.Tokens, err = b.Refresh(t.Context(), in.Refresh)
	noError(t, err)
	p = b.verify(t, in.Access)
	_, err = b.StepUp(t.Context(), p, user.StepUp{Password: goodPassword})
	want(t, err, platform.KindUnauthenticated, "factor_required")
	options, err := b.StepUpOptions(t.Context(), p)
	noError(t, err)
	if !slices.Equal(options.Methods, []user.FactorKind{user.FactorPasskey, user.FactorTOTP, user.FactorRecoveryCode}) {
		t.Errorf("options %v", options.Methods)
	}
	in, err = b.StepUp(t.Context(), p, user.StepUp{FactorProof: user.FactorProof{Passkey: d.shown(t, page, options.Passkey)}})
	noError(t, err)
	if p = b.verify(t, in.Access); !slices.Equal(p.Methods, []string{"mfa", "otp", "pwd", "swk"}) {
		t.Errorf("signed in by %v", p.Methods)
	}
	in, err = b.StepUp(t.Context(), p, user.StepUp{Password: goodPassword, FactorProof: user.FactorProof{RecoveryCode: codes[0]}})
	noError(t, err)
	noError(t, b.RemoveTOTP(t.Context(), b.verify(t, in.Access)))
	_, key, err := b.CreateAPIKey(t.Context(), b.verify(t, in.Access), user.NewAPIKey{Name: "ci", Scopes: []string{"*"}})
	noError(t, err)
	_, err = b.StepUp(t.Context(), b.verify(t, key), user.StepUp{Password: goodPassword})
	want(t, err, platform.KindForbidden, "user_required")
}

// Fifty step-ups at once with one recovery code give one session its secrets.
func TestStepUpUsesAFactorOnce(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, codes := b.addTOTP(t, ann.p)
	var (
		done sync.WaitGroup
		good atomic.Int64
	)
	for range 50 {
		done.Go(func() {
			if _, err := b.StepUp(t.Context(), ann.p, user.StepUp{FactorProof: user.FactorProof{RecoveryCode: codes[0]}}); err == nil {
				good.Add(1)
			}
		})
	}
	done.Wait()
	if good.Load() != 1 {
		t.Errorf("%d step-ups", good.Load())
	}
}
