package user_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/user"
)

// A confirmed sign-up tells nobody whether an address is known, and makes one
// account with a verified address, however often its token is used at once.
func TestConfirmedSignUp(t *testing.T) {
	var mail letters
	b := open(t, mail.in, func(c *user.Config) { c.SignUp, c.PasswordQueue = user.SignUpConfirmed, 100 })
	h := b.server()
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "eve@example.com", Password: goodPassword, Name: "Eve", Organization: "Eve's"})
	want(t, err, platform.KindForbidden, "confirmation_required")
	send[object](t, h, "", "POST", "/v1/auth/signup/request", `{"email":"ann@example.com"}`, 202)
	token := tokenOf(t, mail.wait(t, "ann@example.com", user.MailFinishSignUp, 1))
	in := user.ConfirmSignUp{Token: token, Password: "password", Name: "Ann", Organization: "Acme"}
	_, err = b.ConfirmSignUp(t.Context(), in)
	want(t, err, platform.KindInvalid, "")
	in.Password = goodPassword
	var (
		wg   sync.WaitGroup
		done atomic.Int32
	)
	for range 50 {
		wg.Go(func() {
			out, err := b.ConfirmSignUp(t.Context(), in)
			if err == nil && !out.User.EmailVerifiedAt.IsZero() && out.Access != "" {
				done.Add(1)
				return
			}
			want(t, err, platform.KindNotFound, "token_not_valid")
		})
	}
	wg.Wait()
	if n := b.count(t, "user_accounts"); done.Load() != 1 || n != 1 {
		t.Errorf("%d sign-ups, %d accounts", done.Load(), n)
	}
	first, _ := call(t, h, "", "POST", "/v1/auth/signup/request", `{"email":"ann@example.com"}`)
	mail.wait(t, "ann@example.com", user.MailAlreadySignedUp, 1)
	if again := mail.sent("ann@example.com", user.MailFinishSignUp); first != 202 || len(again) != 1 {
		t.Errorf("%d, %d mails finish the sign-up of a known address", first, len(again))
	}
	signsIn(t, b, "ann@example.com", true)
}

// Where sign-up is closed nobody makes an account without an invitation.
func TestClosedSignUp(t *testing.T) {
	var mail letters
	b := open(t, mail.in, func(c *user.Config) { c.SignUp = user.SignUpClosed })
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "eve@example.com", Password: goodPassword, Name: "Eve", Organization: "Eve's"})
	want(t, err, platform.KindForbidden, "sign_up_closed")
	want(t, b.RequestSignUp(t.Context(), user.MailAsk{Email: "eve@example.com"}), platform.KindForbidden, "sign_up_closed")
	_, err = b.ConfirmSignUp(t.Context(), user.ConfirmSignUp{})
	want(t, err, platform.KindForbidden, "sign_up_closed")
	db := testdb.NewPlace(t).Open(t)
	_, err = user.New(user.Config{DB: db, Issuer: issuer, Cache: newClockCache(newClock()), SignUp: user.SignUpConfirmed})
	if err == nil || !strings.Contains(err.Error(), "SignUpConfirmed") {
		t.Errorf("got %v", err)
	}
}

// A further address of somebody is taken, too.
func TestSignUpWithAFurtherAddress(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	addEmail(t, b, &mail, ann.p, "ann@example.org")
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "ann@example.org", Password: goodPassword, Name: "Eve", Organization: "Eve's"})
	want(t, err, platform.KindConflict, "email_taken")
}
