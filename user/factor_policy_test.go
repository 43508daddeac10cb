package user_test

import (
	"slices"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// requireFactor turns the policy of ann's organization on.
func (b *bundle) requireFactor(tb testing.TB, p platform.Principal) {
	tb.Helper()
	org, err := b.UpdateOrganization(tb.Context(), p, user.OrganizationChange{RequireFactor: ptr(true)})
	noError(tb, err)
	if !org.RequireFactor {
		tb.Fatal("the policy is off")
	}
}

// An organization's policy holds for new sessions and old ones, at sign-in, switch,
// refresh and with each request; not for API keys.
func TestPolicyHoldsOnEveryWayIn(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, _ := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	bens, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	old := b.verify(t, bens.Access)
	_, key, err := b.CreateAPIKey(t.Context(), old, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	orgs, _, err := b.Organizations(t.Context(), old, 0, "")
	noError(t, err)
	own, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: orgs[slices.IndexFunc(orgs, func(o user.Organization) bool {
		return o.ID != ann.p.Tenant
	})].ID})
	noError(t, err)
	elsewhere := b.verify(t, own.Access)

	_, err = b.UpdateOrganization(t.Context(), ann.p, user.OrganizationChange{RequireFactor: ptr(true)})
	want(t, err, platform.KindForbidden, "factor_required") // ann would be the first to be refused
	phone, _ := b.addTOTP(t, ann.p)
	p := b.strong(t, "ann@example.com", phone)
	b.clock.Advance(16 * time.Minute)
	_, err = b.UpdateOrganization(t.Context(), p, user.OrganizationChange{RequireFactor: ptr(true)})
	want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	p = b.strong(t, "ann@example.com", phone)
	replica := b.replica(t)
	if _, err := replica.Verify(t.Context(), string(bens.Access)); err == nil {
		t.Error("the token should have ended by now") // so that what follows is about the policy
	}
	bens.Tokens, err = b.Refresh(t.Context(), bens.Refresh)
	noError(t, err)
	b.verify(t, bens.Access)
	b.requireFactor(t, p)

	for what, err := range map[string]error{
		"a request with an old session": failure(b.Verify(t.Context(), string(bens.Access))),
		"one at another process":        failure(replica.Verify(t.Context(), string(bens.Access))),
		"a refresh":                     failure(b.Refresh(t.Context(), bens.Refresh)),
		"a switch":                      failure(b.Switch(t.Context(), elsewhere, ann.p.Tenant)),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		want(t, err, platform.KindUnauthenticated, "factor_required")
	}
	b.verify(t, key)
	_ = ben

	pending := b.half(t, "ben@example.com", ann.p.Tenant)
	if !pending.Enroll || len(pending.Methods) == 0 || !slices.Contains(pending.Methods, user.FactorTOTP) {
		t.Errorf("got %+v", pending)
	}
	if _, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword}); err != nil {
		t.Errorf("an organization without the policy: %v", err)
	}

	// Ben adds one on the way in.
	_, err = b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Code: "000000"})
	want(t, err, platform.KindConflict, "totp_not_begun")
	begun, err := b.EnrollFactor(t.Context(), pending.Token, user.FactorTOTP)
	noError(t, err)
	bensPhone := app{b, string(begun.TOTP.Seed)}
	in, err := b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Code: bensPhone.code(t, 0)})
	noError(t, err)
	if len(in.RecoveryCodes) != 10 || in.Organization != ann.p.Tenant {
		t.Errorf("got %+v", in)
	}
	strong := b.verify(t, in.Access)
	_, err = b.Refresh(t.Context(), in.Refresh)
	noError(t, err)
	want(t, b.RemoveTOTP(t.Context(), strong), platform.KindConflict, "factor_required")
	tokens, err := b.Switch(t.Context(), strong, elsewhere.Tenant)
	noError(t, err)
	back := b.verify(t, tokens.Access)
	_, err = b.Switch(t.Context(), back, ann.p.Tenant)
	noError(t, err)

	_, err = b.UpdateOrganization(t.Context(), strong, user.OrganizationChange{RequireFactor: ptr(false)})
	noError(t, err)
	bens.Tokens, err = b.Refresh(t.Context(), bens.Refresh) // the refused session was not ended
	noError(t, err)
	b.verify(t, bens.Access)
}

// Of two sign-ins that add a first factor at once, one goes on; the other must show
// what the person has by then.
func TestOneFirstFactor(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.join(t, ann.p, "ben@example.com", user.RoleMember)
	phone, _ := b.addTOTP(t, ann.p)
	b.requireFactor(t, b.strong(t, "ann@example.com", phone))

	first, other := b.half(t, "ben@example.com", ann.p.Tenant), b.half(t, "ben@example.com", ann.p.Tenant)
	begun, err := b.EnrollFactor(t.Context(), first.Token, user.FactorTOTP)
	noError(t, err)
	bens := app{b, string(begun.TOTP.Seed)}
	_, err = b.VerifyFactor(t.Context(), other.Token, user.FactorProof{Code: bens.code(t, 0)})
	want(t, err, platform.KindConflict, "totp_not_begun")
	_, err = b.VerifyFactor(t.Context(), first.Token, user.FactorProof{Code: bens.code(t, 0)})
	noError(t, err)
	_, err = b.EnrollFactor(t.Context(), other.Token, user.FactorTOTP)
	want(t, err, platform.KindConflict, "totp_exists")
	b.clock.Advance(time.Minute)
	_, err = b.VerifyFactor(t.Context(), other.Token, user.FactorProof{Code: bens.code(t, 0)})
	if err == nil {
		t.Error("a second first factor")
	}
}
