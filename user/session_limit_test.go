package user_test

import (
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// limited sets the limits of ann's organization.
func limited(t *testing.T, b *bundle, p platform.Principal, idle, longest time.Duration) {
	t.Helper()
	org, err := b.UpdateOrganization(t.Context(), p, user.OrganizationChange{SessionIdle: &idle, SessionMax: &longest})
	noError(t, err)
	if org.SessionIdle != idle || org.SessionMax != longest {
		t.Errorf("got %+v", org)
	}
}

// An organization's limits hold for tokens, however often they are refreshed.
func TestOrganizationsLimitsForTokens(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	limited(t, b, ann.p, 20*time.Minute, time.Hour)
	tokens := ann.Tokens
	for range 5 { // used within the idle limit, up to the absolute one
		b.clock.Advance(11 * time.Minute)
		var err error
		tokens, err = b.Refresh(t.Context(), tokens.Refresh)
		noError(t, err)
	}
	b.verify(t, tokens.Access)
	b.clock.Advance(5 * time.Minute) // the access token has five minutes more
	_, err := b.Refresh(t.Context(), tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
	_, err = b.Verify(t.Context(), string(tokens.Access))
	want(t, err, platform.KindUnauthenticated, "invalid_token")

	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	b.clock.Advance(20 * time.Minute)
	_, err = b.Refresh(t.Context(), in.Refresh)
	want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
}

// They hold for cookies: the last use is noted without a write for each request.
func TestOrganizationsLimitsForCookies(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	limited(t, b, ann.p, 20*time.Minute, time.Hour)
	var w browser
	p := w.logIn(t, b, "ann@example.com")
	began := b.clock.Now()
	for range 5 {
		b.clock.Advance(11 * time.Minute)
		w.who(t, b)
		noError(t, b.WriteBehind(t.Context()))
	}
	all, _, err := b.Sessions(t.Context(), p, 0, "")
	if err != nil || len(all) == 0 || !all[len(all)-1].LastUsedAt.Equal(b.clock.Now()) || !all[len(all)-1].ExpiresAt.Equal(began.Add(time.Hour)) {
		t.Errorf("%+v, %v", all, err)
	}
	b.clock.Advance(5*time.Minute - time.Second)
	w.who(t, b)
	b.clock.Advance(time.Second)
	isOut(t, b, w.cookie) // the absolute end
	if all, _, err = b.Sessions(t.Context(), p, 0, ""); err != nil || len(all) != 0 {
		t.Errorf("what has ended is listed: %+v, %v", all, err)
	}

	w.logIn(t, b, "ann@example.com")
	b.clock.Advance(20 * time.Minute)
	isOut(t, b, w.cookie) // idle
}

// What an organization sets acts at once on the sessions that there are, in other
// processes too, and on no other organization.
func TestLimitsActAtOnce(t *testing.T) {
	b := open(t)
	other := b.replica(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	var w, v browser
	w.logIn(t, b, "ann@example.com")
	v.logIn(t, b, "ben@example.com")
	b.clock.Advance(time.Hour)
	renewed, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	noError(t, err)
	b.verify(t, renewed.Access)
	_, err = b.UpdateOrganization(t.Context(), ann.p, user.OrganizationChange{SessionMax: ptr(time.Hour)})
	want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	again, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	fresh := b.verify(t, again.Access)
	limited(t, b, fresh, 0, 30*time.Minute)
	isOut(t, b, w.cookie)
	other.ForgetCredentials()
	isOut(t, other, w.cookie)
	_, err = b.Verify(t.Context(), string(renewed.Access))
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.Refresh(t.Context(), renewed.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	v.who(t, b)
	_, err = b.Refresh(t.Context(), ben.Tokens.Refresh)
	noError(t, err)
	limited(t, b, fresh, 0, 0) // the host's again
	w.who(t, b)
}

// Whoever was not in an organization for its idle limit, or has signed in too long
// ago for it, does not get there by a switch.
func TestSwitchKeepsTheLimits(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	strict, err := b.CreateOrganization(t.Context(), ann.p, "Strict")
	noError(t, err)
	in, err := b.Switch(t.Context(), ann.p, strict.ID)
	noError(t, err)
	limited(t, b, b.verify(t, in.Access), 30*time.Minute, 2*time.Hour)

	b.clock.Advance(29 * time.Minute)
	_, err = b.Switch(t.Context(), ann.p, strict.ID)
	noError(t, err)
	b.clock.Advance(30 * time.Minute)
	_, err = b.Switch(t.Context(), ann.p, strict.ID)
	want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	var w browser
	p := w.logIn(t, b, "ann@example.com", ann.p.Tenant)
	b.clock.Advance(31 * time.Minute) // it was never there
	_, err = b.Switch(w.ctx(t), p, strict.ID)
	want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	w.logIn(t, b, "ann@example.com", strict.ID)
	b.clock.Advance(25 * time.Minute)
	w.who(t, b)

	p = w.logIn(t, b, "ann@example.com", strict.ID)
	for range 5 {
		b.clock.Advance(25 * time.Minute)
		if in, err = b.Switch(w.ctx(t), p, strict.ID); err != nil {
			break
		}
		w.cookie = in.Cookie
	}
	want(t, err, platform.KindUnauthenticated, "") // after two hours
}

// The limits stay within what the host allows.
func TestLimitsOutOfBounds(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	for _, bad := range []time.Duration{-time.Second, time.Second, 5*time.Minute - 1, 10*time.Minute - 1, 91 * day} {
		_, err := b.UpdateOrganization(t.Context(), ann.p, user.OrganizationChange{SessionMax: &bad})
		want(t, err, platform.KindInvalid, "")
		_, err = b.UpdateOrganization(t.Context(), ann.p, user.OrganizationChange{SessionIdle: &bad})
		want(t, err, platform.KindInvalid, "")
	}
	ben, _ := b.join(t, ann.p, "ben@example.com", user.RoleMember)
	hour := time.Hour
	_, err := b.UpdateOrganization(t.Context(), ben, user.OrganizationChange{SessionMax: &hour})
	want(t, err, platform.KindForbidden, "")
}
