package user_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

const newPassword = user.Secret("another tractor 8 umbrella")

// reset asks for a new password and returns the token of the n-th mail.
func reset(t *testing.T, b *bundle, mail *letters, email string, n int) user.Secret {
	t.Helper()
	noError(t, b.RequestPasswordReset(t.Context(), user.MailAsk{Email: email}))
	return tokenOf(t, mail.wait(t, email, user.MailPasswordReset, n))
}

// A reset sets a password once, however often its token is used at once; it ends
// the sessions, tells the owner, verifies the address, and asks for the second
// factor all the same.
func TestPasswordReset(t *testing.T) {
	var mail letters
	b := open(t, mail.in, func(c *user.Config) { c.PasswordQueue = 100 })
	ann := b.signUp(t, "ann@example.com")
	token := reset(t, b, &mail, "ann@example.com", 1)
	err := b.ResetPassword(t.Context(), user.PasswordReset{Token: token, Password: "password"})
	want(t, err, platform.KindInvalid, "")
	var (
		wg   sync.WaitGroup
		done atomic.Int32
	)
	for i := range 50 {
		wg.Go(func() {
			err := b.ResetPassword(t.Context(), user.PasswordReset{Token: token, Password: newPassword + user.Secret(fmt.Sprint(i))})
			if err == nil {
				done.Add(1)
				return
			}
			want(t, err, platform.KindNotFound, "token_not_valid")
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Errorf("%d of 50 resets had an effect", done.Load())
	}
	_, err = b.Verify(t.Context(), string(ann.Tokens.Access))
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	want(t, err, platform.KindUnauthenticated, "")
	mail.wait(t, "ann@example.com", user.MailPasswordChanged, 1)
	if ok, err := b.EmailVerified(t.Context(), ann.User.ID); err != nil || !ok {
		t.Errorf("verified %v, %v", ok, err)
	}
	noError(t, b.ResetPassword(t.Context(), user.PasswordReset{Token: reset(t, b, &mail, "ann@example.com", 2), Password: newPassword}))
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: newPassword})
	noError(t, err)

	ann.p = b.verify(t, in.Access)
	_, _, err = auditedFactor(t.Context(), b, ann)
	noError(t, err)
	noError(t, b.ResetPassword(t.Context(), user.PasswordReset{Token: reset(t, b, &mail, "ann@example.com", 3), Password: goodPassword}))
	if in, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword}); err != nil || in.Pending == nil || in.Access != "" {
		t.Errorf("after a reset the factor is not asked: %+v, %v", in, err)
	}
	mail.wait(t, "ann@example.com", user.MailFactorChanged, 1)
}

// Older links die when one is used, when the password is changed, and when time
// passes; a token of one kind is none of another.
func TestLinksEnd(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	bad := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: it was taken", what)
		}
		want(t, err, platform.KindNotFound, "token_not_valid")
	}
	use := func(token user.Secret) error {
		return b.ResetPassword(t.Context(), user.PasswordReset{Token: token, Password: newPassword})
	}
	noError(t, b.RequestSignInLink(t.Context(), user.MailAsk{Email: "ann@example.com"}))
	link := tokenOf(t, mail.wait(t, "ann@example.com", user.MailSignInLink, 1))
	bad("a link as a reset", use(link))
	first, second := reset(t, b, &mail, "ann@example.com", 1), reset(t, b, &mail, "ann@example.com", 2)
	bad("another secret", use(first[:len(first)-2]+"AA"))
	noError(t, use(second))
	bad("an older one", use(first))
	_, err := b.SignInByLink(t.Context(), link, "")
	bad("a link from before the reset", err)

	third := reset(t, b, &mail, "ann@example.com", 3)
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: newPassword})
	noError(t, err)
	ann.p = b.verify(t, in.Access)
	password := user.Secret(goodPassword)
	_, err = b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &password, CurrentPassword: newPassword})
	noError(t, err)
	bad("one from before a change of the password", use(third))
	fourth := reset(t, b, &mail, "ann@example.com", 4)
	b.clock.Advance(31 * 60 * 1e9)
	bad("one that has ended", use(fourth))
}

// A link and a code sign in once; a code only with the secret of its request, and
// five can be tried.
func TestSignInByMail(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	ann := b.signUp(t, "ann@example.com")
	noError(t, b.ResetPassword(t.Context(), user.PasswordReset{Token: reset(t, b, &mail, "ann@example.com", 1), Password: newPassword}))
	noError(t, b.RequestSignInLink(t.Context(), user.MailAsk{Email: "ann@example.com", Locale: "de-AT,de;q=0.9"}))
	m := mail.wait(t, "ann@example.com", user.MailSignInLink, 1)
	if m.Locale != "de-AT" || m.Name != "Ann" || m.UserID != ann.User.ID || m.Code != "" {
		t.Errorf("the mail is %+v", m)
	}
	var done atomic.Int32
	once := func(signIn func() (user.SignedIn, error)) {
		t.Helper()
		done.Store(0)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if in, err := signIn(); err == nil && in.UserID == ann.User.ID && in.Access != "" {
					done.Add(1)
				} else {
					want(t, err, platform.KindNotFound, "token_not_valid")
				}
			})
		}
		wg.Wait()
	}
	once(func() (user.SignedIn, error) { return b.SignInByLink(t.Context(), tokenOf(t, m), "") })
	if done.Load() != 1 {
		t.Errorf("a link signed in %d times", done.Load())
	}
	ask := func(n int) (flow, code user.Secret) {
		flow, err := b.RequestSignInCode(t.Context(), user.MailAsk{Email: "ann@example.com"})
		noError(t, err)
		m := mail.wait(t, "ann@example.com", user.MailSignInCode, n)
		if len(m.Code) != 8 || m.Link != "" {
			t.Fatalf("the mail has the code %q and the link %q", string(m.Code), string(m.Link))
		}
		return flow, m.Code
	}
	flow, code := ask(1)
	other, _ := ask(2)
	_, err := b.SignInByCode(t.Context(), other, code, "")
	want(t, err, platform.KindNotFound, "token_not_valid")
	// The id of the mail is not enough: the secret of its request is needed.
	_, err = b.SignInByCode(t.Context(), flow[:len(flow)-2]+"AA", code, "")
	want(t, err, platform.KindNotFound, "token_not_valid")
	in, err := b.SignInByCode(t.Context(), flow, code, "")
	noError(t, err)
	if p := b.verify(t, in.Access); fmt.Sprint(p.Methods) != "[email]" {
		t.Errorf("signed in by %v", p.Methods)
	}
	_, err = b.SignInByCode(t.Context(), flow, code, "")
	want(t, err, platform.KindNotFound, "token_not_valid")

	flow, code = ask(3)
	for range 5 {
		_, err := b.SignInByCode(t.Context(), flow, "00000000", "")
		want(t, err, platform.KindNotFound, "token_not_valid")
	}
	_, err = b.SignInByCode(t.Context(), flow, code, "")
	want(t, err, platform.KindNotFound, "token_not_valid")

	ann.p = b.verify(t, in.Access)
	_, _, err = auditedFactor(t.Context(), b, ann)
	noError(t, err)
	flow, code = ask(4)
	if in, err := b.SignInByCode(t.Context(), flow, code, ""); err != nil || in.Pending == nil || in.Access != "" {
		t.Errorf("a code stands in for the second factor: %+v, %v", in, err)
	}
}

// Who signed up with an address of somebody else has no way in any more once that
// one has proved it.
func TestTheOwnerOfAnAddressTakesItBack(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	thief := b.signUp(t, "ann@example.com")
	key, secret, err := b.CreateAPIKey(t.Context(), thief.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	noError(t, b.RequestSignInLink(t.Context(), user.MailAsk{Email: "ann@example.com"}))
	in, err := b.SignInByLink(t.Context(), tokenOf(t, mail.wait(t, "ann@example.com", user.MailSignInLink, 1)), "")
	noError(t, err)
	b.verify(t, in.Access)
	for what, credential := range map[string]user.Secret{"session": thief.Tokens.Access, "API key " + key.ID: secret} {
		if _, err := b.Verify(t.Context(), string(credential)); err == nil {
			t.Errorf("the %s of the thief is good", what)
		}
	}
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	want(t, err, platform.KindUnauthenticated, "invalid_credentials")
}

// What a request for a mail answers, and what it does, does not depend on whether
// the address is known: the work is the same statements.
func TestNobodyLearnsWhetherAnAddressIsKnown(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	h := b.server()
	b.signUp(t, "ann@example.com")
	for _, path := range []string{"/v1/auth/password-reset", "/v1/auth/email-link", "/v1/auth/email-code"} {
		var answers []string
		for _, email := range []string{"ann@example.com", "nobody@example.com"} {
			rows := b.count(t, "user_mail_tokens")
			req := httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(fmt.Sprintf(`{"email":%q}`, email)))
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			body := w.Body.String()
			if i := strings.Index(body, `"flow":"`); i >= 0 {
				body = fmt.Sprint("flow of ", len(body))
			}
			answers = append(answers, fmt.Sprint(w.Code, w.Header(), body))
			if n := b.count(t, "user_mail_tokens"); w.Code != http.StatusAccepted || n != rows+1 {
				t.Errorf("%s for %s: %d, %d rows", path, email, w.Code, n-rows)
			}
		}
		if answers[0] != answers[1] {
			t.Errorf("%s: a known address gets %s, another one %s", path, answers[0], answers[1])
		}
	}
	eventually(t, func() bool { return b.count(t, "jobs") == 0 })
	if n := len(mail.sent("nobody@example.com")); n != 0 {
		t.Errorf("%d mails went to nobody", n)
	}
	// A wrong code of nobody's is refused as one of somebody's is.
	flow, err := b.RequestSignInCode(t.Context(), user.MailAsk{Email: "nobody@example.com"})
	noError(t, err)
	eventually(t, func() bool { return b.count(t, "jobs") == 0 })
	_, err = b.SignInByCode(t.Context(), flow, "12345678", "")
	want(t, err, platform.KindNotFound, "token_not_valid")
	if n := b.count(t, "user_mail_tokens WHERE tries = 1 AND length(codes) > 0"); n != 1 {
		t.Errorf("the try was counted in %d rows", n)
	}
}

// A mailbox is not flooded: beyond the limits the answer is the same and no mail
// goes.
func TestMailsAreLimited(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	b.signUp(t, "ann@example.com")
	for range 15 {
		noError(t, b.RequestPasswordReset(t.Context(), user.MailAsk{Email: "ann@example.com"}))
	}
	eventually(t, func() bool { return b.count(t, "jobs") == 0 })
	if n := len(mail.sent("ann@example.com", user.MailPasswordReset)); n != 10 {
		t.Errorf("%d mails went, want 10", n)
	}
	b.clock.Advance(3601 * 1e9)
	reset(t, b, &mail, "ann@example.com", 11)
}

// Links lead to the configured origin whatever a request says, and redirects only
// to what the host allows.
func TestLinksLeadToTheConfiguredOrigin(t *testing.T) {
	var mail letters
	b := open(t, mail.in, func(c *user.Config) {
		c.Links.Paths = map[user.MailKind]string{user.MailPasswordReset: "/account/reset?x=1"}
		c.Links.Redirects = []string{"https://app.example.com/home"}
	})
	b.signUp(t, "ann@example.com")
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/auth/password-reset",
		strings.NewReader(`{"email":"ann@example.com","redirect":"https://app.example.com/home"}`))
	req.Host = "evil.example"
	for _, header := range []string{"X-Forwarded-Host", "Forwarded", "Origin", "Referer"} {
		req.Header.Set(header, "host=evil.example")
	}
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.server().ServeHTTP(w, req)
	m := mail.wait(t, "ann@example.com", user.MailPasswordReset, 1)
	link := string(m.Link)
	if w.Code != http.StatusAccepted || !strings.HasPrefix(link, origin+"/account/reset?x=1#token=mt_") ||
		!strings.HasSuffix(link, "&redirect=https%3A%2F%2Fapp.example.com%2Fhome") {
		t.Errorf("%d %s", w.Code, link)
	}
	for _, bad := range []string{"https://app.example.com/home/", "https://app.example.com/home?x", "https://evil.example", "//evil.example", "HTTPS://app.example.com/home", "https://app.example.com/home#x"} {
		want(t, b.RequestSignInLink(t.Context(), user.MailAsk{Email: "ann@example.com", Redirect: bad}), platform.KindInvalid, "")
	}
}

// Without a way for mail what needs one says so.
func TestWithoutMail(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	want(t, b.RequestPasswordReset(t.Context(), user.MailAsk{Email: "ann@example.com"}), platform.KindConflict, "email_not_configured")
	want(t, b.AddEmail(t.Context(), ann.p, "ann@example.org"), platform.KindConflict, "email_not_configured")
	password := newPassword
	_, err := b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &password, CurrentPassword: goodPassword})
	noError(t, err) // a notice goes nowhere
}
