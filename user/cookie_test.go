package user_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

// browser keeps the session cookie of one platform.
type browser struct{ cookie *user.Cookie }

// ctx is the context of a request of the browser, over TLS.
func (w *browser) ctx(tb testing.TB) context.Context {
	tb.Helper()
	return w.with(tb, "https://app.example.com/")
}

// with is the context of a request to a URL.
func (w *browser) with(tb testing.TB, url string) context.Context {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, url, nil)
	r.Header.Set("User-Agent", firefox)
	if w.cookie != nil {
		r.AddCookie(&http.Cookie{Name: w.cookie.Name, Value: string(w.cookie.Value)})
	}
	return user.WithRequest(platform.WithClient(tb.Context(), netip.MustParseAddr("203.0.113.7")), r)
}

// logIn signs ann in, in a cookie.
func (w *browser) logIn(tb testing.TB, b *bundle, email string, organization ...platform.TenantID) platform.Principal {
	tb.Helper()
	in := user.LogIn{Email: email, Password: goodPassword, Session: user.CookieSession}
	if organization != nil {
		in.Organization = organization[0]
	}
	out, err := b.LogIn(w.ctx(tb), in)
	noError(tb, err)
	if out.Cookie == nil || out.Access != "" || out.Refresh != "" {
		tb.Fatalf("a session in a cookie has %+v", out)
	}
	w.cookie = out.Cookie
	return w.who(tb, b)
}

// who is the principal of the browser's cookie.
func (w *browser) who(tb testing.TB, b *bundle) platform.Principal {
	tb.Helper()
	p, err := b.Cookie().Verify(tb.Context(), string(w.cookie.Value))
	noError(tb, err)
	return p
}

// isOut fails unless the value of a cookie is refused.
func isOut(tb testing.TB, b *bundle, c *user.Cookie) {
	tb.Helper()
	_, err := b.Cookie().Verify(tb.Context(), string(c.Value))
	want(tb, err, platform.KindUnauthenticated, "invalid_token")
}

func TestCookie(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	var w browser
	p := w.logIn(t, b, "ann@example.com")
	if p.Subject != ann.User.ID || p.Tenant != ann.p.Tenant || p.Kind != platform.PrincipalUser || !p.SignedInAt.Equal(b.clock.Now()) ||
		!slices.Equal(p.Methods, []string{"pwd"}) || !slices.Equal(p.Roles, []string{user.RoleOwner}) || p.Credential == ann.p.Credential {
		t.Errorf("got %+v", p)
	}
	set := w.cookie.HTTP().String()
	for _, part := range []string{"__Host-session-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax", "; Expires="} {
		if !strings.Contains(set, part) {
			t.Errorf("%s is not in %s", part, set)
		}
	}
	if strings.Contains(set, "Domain") || w.cookie.Name != b.Cookie().CookieName() {
		t.Errorf("the cookie is %s", set)
	}
	if stored := b.place.Contents(t); strings.Contains(stored, tail(w.cookie.Value)) {
		t.Error("the cookie is stored in the clear")
	}

	// What is sent as a cookie is no token, and the other way round.
	_, err := b.Verify(t.Context(), string(w.cookie.Value))
	want(t, err, platform.KindUnauthenticated, "invalid_token")
	for _, value := range []string{string(ann.Tokens.Access), string(ann.Tokens.Refresh), "", "cs_", string(w.cookie.Value) + "A", "cs_0_" + tail(w.cookie.Value)} {
		isOut(t, b, &user.Cookie{Value: user.Secret(value)})
	}
	_, err = b.Refresh(t.Context(), "rt"+w.cookie.Value[2:])
	want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")

	noError(t, b.LogOut(w.ctx(t), p))
	isOut(t, b, w.cookie)
	isOut(t, b.replica(t), w.cookie)
}

// A sign-in has a session and a cookie of its own, whatever the browser had
// before, and the session that it had ends: one laptop is one row.
func TestCookieIsNewAtSignIn(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.signUp(t, "ben@example.com")
	var w browser
	w.logIn(t, b, "ann@example.com")
	first := *w.cookie
	for range 3 {
		before := *w.cookie
		w.logIn(t, b, "ann@example.com")
		if before.Value == w.cookie.Value {
			t.Error("the value did not change")
		}
		isOut(t, b, &before)
	}
	all, _, err := b.Sessions(t.Context(), w.who(t, b), 0, "")
	if err != nil || len(all) != 2 || all[1].Name != "Firefox on Linux" || all[1].Address != "203.0.113.7" || !all[1].Current {
		t.Errorf("one session of tokens and one of the browser: %+v, %v", all, err)
	}
	// Who knows only the id of a session ends none with it.
	forged := w
	forged.cookie = &user.Cookie{Name: w.cookie.Name, Value: w.cookie.Value[:len(w.cookie.Value)-4] + "AAAA"}
	forged.logIn(t, b, "ann@example.com")
	w.who(t, b)

	mine := *w.cookie
	w.logIn(t, b, "ben@example.com") // another person at the same browser
	isOut(t, b, &mine)
	isOut(t, b, &first)
	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "login.succeeded"}, 0, "")
	if err != nil || len(records) == 0 || !slices.ContainsFunc(records, func(r user.AuditRecord) bool { return r.Detail["replaced"] != "" }) {
		t.Errorf("the audit does not say what was replaced: %+v, %v", records, err)
	}
}

// A change of organization gives the cookie a new value. The one before leads
// where it led for a moment, gets no further value, and is refused then.
func TestCookieSwitch(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	second, err := b.CreateOrganization(t.Context(), ann.p, "Second")
	noError(t, err)
	var w browser
	p := w.logIn(t, b, "ann@example.com", ann.p.Tenant)
	old := *w.cookie
	ctx := w.ctx(t)
	in, err := b.Switch(ctx, p, second.ID)
	noError(t, err)
	w.cookie = in.Cookie
	if got := w.who(t, b); got.Tenant != second.ID || got.Credential != p.Credential || in.Access != "" || in.Refresh != "" {
		t.Errorf("got %+v, %+v", got, in)
	}
	if got, err := b.Cookie().Verify(t.Context(), string(old.Value)); err != nil || got.Tenant != ann.p.Tenant {
		t.Errorf("what was under way: %+v, %v", got, err)
	}
	_, err = b.Switch(ctx, p, ann.p.Tenant)
	want(t, err, platform.KindUnauthenticated, "invalid_token")
	_, err = b.Switch(t.Context(), p, ann.p.Tenant) // without the cookie
	want(t, err, platform.KindUnauthenticated, "invalid_token")
	all, _, err := b.Sessions(t.Context(), p, 0, "")
	if err != nil || len(all) != 2 || len(all[1].Organizations) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	b.clock.Advance(10*time.Second + 1)
	isOut(t, b, &old)
	w.who(t, b)

	// Of several changes at once one counts, and the browser is in.
	ctx, now := w.ctx(t), w.who(t, b)
	values := make(chan *user.Cookie, 20)
	ok := atOnce(t, 20, "invalid_token", func(int) error {
		in, err := b.Switch(ctx, now, ann.p.Tenant)
		if err == nil {
			values <- in.Cookie
		}
		return err
	})
	if ok != 1 {
		t.Fatalf("%d changes", ok)
	}
	w.cookie = <-values
	if got := w.who(t, b); got.Tenant != ann.p.Tenant {
		t.Errorf("got %+v", got)
	}
}

// A further proof gives new secrets, and the old ones are refused at once.
func TestSecretsAreNewAfterAProof(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	var w browser
	p := w.logIn(t, b, "ann@example.com")
	b.clock.Advance(time.Hour)
	old := *w.cookie
	in, err := b.Prove(w.ctx(t), p, "pwd", "otp")
	noError(t, err)
	w.cookie = in.Cookie
	b.ForgetCredentials()
	isOut(t, b, &old)
	if got := w.who(t, b); !got.SignedInAt.Equal(b.clock.Now()) || !slices.Equal(got.Methods, []string{"pwd", "otp"}) || got.Credential != p.Credential {
		t.Errorf("got %+v", got)
	}

	proved, err := b.Prove(t.Context(), ann.p, "pwd", "otp")
	noError(t, err)
	if got := b.verify(t, proved.Access); !got.SignedInAt.Equal(b.clock.Now()) || got.Credential != ann.p.Credential {
		t.Errorf("got %+v", got)
	}
	_, err = b.Refresh(t.Context(), ann.Tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
	_, err = b.Refresh(t.Context(), proved.Refresh)
	noError(t, err)
}

// Whoever is taken out of an organization stays signed in, to none.
func TestCookieOfAMemberWhoIsRemoved(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, m := b.join(t, ann.p, "ben@example.com", user.RoleMember)
	var w browser
	p := w.logIn(t, b, "ben@example.com", ann.p.Tenant)
	noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Suspended))
	if got := w.who(t, b); got.Tenant != platform.NoTenant || got.Roles != nil {
		t.Errorf("in a suspended organization: %+v", got)
	}
	noError(t, b.SetOrganizationStatus(t.Context(), ann.p.Tenant, user.Active))
	b.ForgetCredentials()
	if got := w.who(t, b); got.Tenant != ann.p.Tenant {
		t.Errorf("resumed: %+v", got)
	}
	noError(t, b.RemoveMember(t.Context(), ann.p, m.ID))
	got := w.who(t, b)
	if got.Tenant != platform.NoTenant || got.Credential != p.Credential {
		t.Errorf("removed: %+v", got)
	}
	orgs, _, err := b.Organizations(t.Context(), got, 0, "")
	noError(t, err)
	in, err := b.Switch(w.ctx(t), got, orgs[0].ID)
	noError(t, err)
	w.cookie = in.Cookie
	if got := w.who(t, b); got.Tenant != orgs[0].ID {
		t.Errorf("switched: %+v", got)
	}
	noError(t, b.SetUserStatus(t.Context(), p.Subject, user.Suspended))
	isOut(t, b, w.cookie)
}

// A cookie that the browser would drop is refused, and says why.
func TestInsecureOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		issuer, url, origin, scheme, client string
		tls, ok                             bool
	}{
		"https is configured":             {issuer: "https://api.example.com", url: "http://api.example.com/", ok: true},
		"http is configured":              {issuer: "http://api.example.com", url: "http://api.example.com/"},
		"TLS":                             {issuer: "http://api.example.com", url: "https://api.example.com/", tls: true, ok: true},
		"a proxy says http":               {issuer: "https://api.example.com", url: "http://api.example.com/", scheme: "http"},
		"a proxy says https":              {issuer: "http://api.example.com", url: "http://api.example.com/", scheme: "https", ok: true},
		"the page is of http":             {issuer: "https://api.example.com", url: "http://10.0.0.5:8080/", origin: "http://10.0.0.5:8080"},
		"the page is of https":            {issuer: "http://api.example.com", url: "http://api.example.com/", origin: "https://api.example.com", ok: true},
		"a page of elsewhere":             {issuer: "http://api.example.com", url: "http://api.example.com/", origin: "https://evil.example"},
		"localhost":                       {issuer: "http://localhost:8080", url: "http://localhost:8080/", client: "127.0.0.1", ok: true},
		"loopback, version 6":             {issuer: "http://localhost:8080", url: "http://[::1]:8080/", client: "::1", ok: true},
		"the network":                     {issuer: "http://localhost:8080", url: "http://192.168.1.5:8080/", client: "192.168.1.9"},
		"a proxy that hides the host":     {issuer: "http://localhost:8080", url: "http://127.0.0.1:8080/", client: "203.0.113.9"},
		"a name that begins as localhost": {issuer: "http://localhost:8080", url: "http://localhost.example.com/", client: "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, func(cfg *user.Config) { cfg.Issuer = c.issuer })
			b.signUp(t, "ann@example.com")
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, c.url, nil)
			if r.TLS = nil; c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			ctx := t.Context()
			if c.scheme != "" {
				ctx = platform.WithScheme(ctx, c.scheme)
			}
			if c.client != "" {
				ctx = platform.WithClient(ctx, netip.MustParseAddr(c.client))
			}
			before := b.count(t, "user_sessions")
			_, err := b.LogIn(user.WithRequest(ctx, r), user.LogIn{Email: "ann@example.com", Password: goodPassword, Session: user.CookieSession})
			if c.ok {
				noError(t, err)
				return
			}
			want(t, err, platform.KindInvalid, "insecure_origin")
			if n := b.count(t, "user_sessions"); n != before {
				t.Errorf("%d sessions became %d", before, n)
			}
		})
	}
	b := open(t)
	b.signUp(t, "ann@example.com")
	_, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Session: "jar"})
	want(t, err, platform.KindInvalid, "")
}

// Two platforms on one host have cookies of different names.
func TestCookieName(t *testing.T) {
	name := func(change func(*user.Config)) string { return open(t, change).Cookie().CookieName() }
	a := name(func(c *user.Config) { c.Issuer = "https://example.com/a" })
	if other := name(func(c *user.Config) { c.Issuer = "https://example.com/b" }); a == other || !strings.HasPrefix(a, "__Host-session-") {
		t.Errorf("%s and %s", a, other)
	}
	if again := name(func(c *user.Config) { c.Issuer = "https://example.com/a" }); again != a {
		t.Errorf("%s became %s", a, again)
	}
	if own := name(func(c *user.Config) { c.CookieName = "acme" }); own != "__Host-acme" {
		t.Errorf("got %s", own)
	}
	for _, bad := range []string{"a b", "a;b", "a=b", "ä", strings.Repeat("a", 65)} {
		_, err := user.New(user.Config{CookieName: bad})
		if err == nil || !strings.Contains(err.Error(), "CookieName") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDeviceName(t *testing.T) {
	for agent, want := range map[string]string{
		"":      "",
		firefox: "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":           "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":                   "Chrome on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/120.0.0.0":     "Opera on macOS",
		"curl/8.14.1":                          "curl",
		"acme-app/1.2 (+https://example.com)":  "acme-app",
		"<script>alert(1)</script>":            "",
		"\x00\x1b[31mred":                      "",
		"Mozilla/5.0":                          "",
		strings.Repeat("a", 1000):              strings.Repeat("a", 40),
		"Ünïcode/1":                            "",
		"Mozilla/5.0 <img src=x> Windows evil": "Windows",
	} {
		if got := user.NameOfAgent(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}
