package user_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// addEmail adds an address of the person and confirms it.
func addEmail(t *testing.T, b *bundle, mail *letters, p platform.Principal, email string) {
	t.Helper()
	n := len(mail.sent(email, user.MailVerifyEmail))
	noError(t, b.AddEmail(t.Context(), p, email))
	noError(t, b.VerifyEmail(t.Context(), tokenOf(t, mail.wait(t, email, user.MailVerifyEmail, n+1))))
}

func signsIn(t *testing.T, b *bundle, email string, ok bool) {
	t.Helper()
	in, err := b.LogIn(t.Context(), user.LogIn{Email: email, Password: goodPassword})
	if (err == nil) != ok {
		t.Errorf("signing in with %s: %v", email, err)
	}
	_ = in
}

// A person has several addresses. Each that is verified signs in, the others do
// not; one of them is the primary one.
func TestSeveralAddresses(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	noError(t, b.AddEmail(t.Context(), ann.p, "Ann@Example.org"))
	token := tokenOf(t, mail.wait(t, "ann@example.org", user.MailVerifyEmail, 1))
	signsIn(t, b, "ann@example.org", false)
	want(t, b.SetPrimaryEmail(t.Context(), ann.p, "ann@example.org"), platform.KindConflict, "email_not_verified")
	var (
		wg   sync.WaitGroup
		done atomic.Int32
	)
	for range 50 {
		wg.Go(func() {
			if err := b.VerifyEmail(t.Context(), token); err == nil {
				done.Add(1)
			} else {
				want(t, err, platform.KindNotFound, "token_not_valid")
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Errorf("the token was taken %d times", done.Load())
	}
	mail.wait(t, "ann@example.com", user.MailEmailAdded, 1)
	signsIn(t, b, "ann@example.org", true)
	signsIn(t, b, "ann@example.com", true)
	all, err := b.Emails(t.Context(), ann.p)
	if err != nil || len(all) != 2 || all[0].Address != "ann@example.com" || !all[0].Primary || !all[0].VerifiedAt.IsZero() ||
		all[1].Address != "ann@example.org" || all[1].Primary || all[1].VerifiedAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	want(t, b.RemoveEmail(t.Context(), ann.p, "ann@example.com"), platform.KindConflict, "primary_email")
	noError(t, b.RemoveEmail(t.Context(), ann.p, "ann@example.org"))
	want(t, b.RemoveEmail(t.Context(), ann.p, "ann@example.org"), platform.KindNotFound, "")
	mail.wait(t, "ann@example.org", user.MailEmailRemoved, 1)
	signsIn(t, b, "ann@example.org", false)
	for i := range 9 {
		noError(t, b.AddEmail(t.Context(), ann.p, "a"+string(rune('a'+i))+"@example.net"))
	}
	want(t, b.AddEmail(t.Context(), ann.p, "tenth@example.net"), platform.KindConflict, "too_many_emails")
}

// An address that nobody has proved keeps nobody from it, and one that is proved
// is not taken away.
func TestAClaimYieldsToWhoProvesIt(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann, thief, third := b.signUp(t, "ann@example.com"), b.signUp(t, "work@example.com"), b.signUp(t, "third@example.com")
	noError(t, b.AddEmail(t.Context(), third.p, "work@example.com"))
	thirds := tokenOf(t, mail.wait(t, "work@example.com", user.MailVerifyEmail, 1))
	addEmail(t, b, &mail, ann.p, "work@example.com")
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "work@example.com", Password: goodPassword})
	if err != nil || in.UserID != ann.User.ID {
		t.Errorf("the address signs in %s, %v", in.UserID, err)
	}
	want(t, b.VerifyEmail(t.Context(), thirds), platform.KindNotFound, "token_not_valid")
	if me, err := b.Me(t.Context(), thief.p); err != nil || me.User.Email != "" {
		t.Errorf("the thief has %q, %v", me.User.Email, err)
	}
	if all, err := b.Emails(t.Context(), third.p); err != nil || len(all) != 1 {
		t.Errorf("the third has %+v, %v", all, err)
	}
	// Nobody is asked to give an address away that they have proved.
	noError(t, b.AddEmail(t.Context(), third.p, "work@example.com"))
	eventually(t, func() bool { return b.count(t, "jobs") == 0 })
	if n := len(mail.sent("work@example.com", user.MailVerifyEmail)); n != 2 {
		t.Errorf("%d mails asked to confirm", n)
	}
	want(t, b.VerifyEmail(t.Context(), thirds), platform.KindNotFound, "token_not_valid") // with a claim again
	addEmail(t, b, &mail, thief.p, "thief@example.com")
	noError(t, b.SetPrimaryEmail(t.Context(), thief.p, "thief@example.com"))
	if me, err := b.Me(t.Context(), thief.p); err != nil || me.User.Email != "thief@example.com" {
		t.Errorf("the thief has %q, %v", me.User.Email, err)
	}
}

// A change of the primary address tells the old one, whose link undoes it: the
// thief's sessions, password, keys and address are gone, and a reset by the old
// address gives the account back. The undo of a later change does not undo that.
func TestAChangeOfAddressCanBeUndone(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	noError(t, b.ResetPassword(t.Context(), user.PasswordReset{Token: reset(t, b, &mail, "ann@example.com", 1), Password: goodPassword}))
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	thief := b.verify(t, in.Access)
	b.clock.Advance(1e9)
	old := reset(t, b, &mail, "ann@example.com", 2)
	addEmail(t, b, &mail, thief, "thief@example.com")
	noError(t, b.SetPrimaryEmail(t.Context(), thief, "thief@example.com"))
	if me, err := b.Me(t.Context(), thief); err != nil || me.User.Email != "thief@example.com" || me.User.EmailVerifiedAt.IsZero() {
		t.Errorf("%+v, %v", me.User, err)
	}
	err = b.ResetPassword(t.Context(), user.PasswordReset{Token: old, Password: newPassword})
	want(t, err, platform.KindNotFound, "token_not_valid") // it was for the old address
	noError(t, b.RemoveEmail(t.Context(), thief, "ann@example.com"))
	addEmail(t, b, &mail, thief, "second@example.com")
	noError(t, b.SetPrimaryEmail(t.Context(), thief, "second@example.com"))
	_, key, err := b.CreateAPIKey(t.Context(), thief, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)

	undo := mail.wait(t, "ann@example.com", user.MailEmailChanged, 1)
	later := tokenOf(t, mail.wait(t, "thief@example.com", user.MailEmailChanged, 1))
	if undo.Expires.Sub(undo.CreatedAt) != 7*day {
		t.Errorf("the undo is good until %v", undo.Expires)
	}
	noError(t, b.RestoreEmail(t.Context(), tokenOf(t, undo)))
	want(t, b.RestoreEmail(t.Context(), tokenOf(t, undo)), platform.KindNotFound, "token_not_valid")
	want(t, b.RestoreEmail(t.Context(), later), platform.KindNotFound, "token_not_valid")
	for what, credential := range map[string]user.Secret{"session": in.Access, "key": key} {
		if _, err := b.Verify(t.Context(), string(credential)); err == nil {
			t.Errorf("the %s of the thief is good", what)
		}
	}
	for _, email := range []string{"ann@example.com", "thief@example.com", "second@example.com"} {
		signsIn(t, b, email, false)
	}
	noError(t, b.ResetPassword(t.Context(), user.PasswordReset{Token: reset(t, b, &mail, "ann@example.com", 3), Password: goodPassword}))
	signsIn(t, b, "ann@example.com", true)
	if all, err := b.Emails(t.Context(), ann.p); err != nil || len(all) != 1 || all[0].Address != "ann@example.com" || all[0].VerifiedAt.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
}

// An address is changed by who has signed in lately.
func TestChangingAddressesNeedsAFreshSignIn(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	b.clock.Advance(16 * 60 * 1e9)
	for what, err := range map[string]error{
		"add": b.AddEmail(t.Context(), ann.p, "a@example.org"), "primary": b.SetPrimaryEmail(t.Context(), ann.p, "a@example.org"),
		"remove": b.RemoveEmail(t.Context(), ann.p, "a@example.org"),
	} {
		if err == nil {
			t.Error(what)
		}
		want(t, err, platform.KindUnauthenticated, "reauthentication_required")
	}
}
