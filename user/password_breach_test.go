package user_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/user"
)

const breachedPassword = "orchid ladder 4 pelican"

// breachList is a list of breached passwords that notes what it is asked.
type breachList struct {
	mu    sync.Mutex
	asked []string
	count int64
	err   error
}

func (l *breachList) Range(_ context.Context, prefix string) ([]user.Breached, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, prefix)
	sum := fmt.Sprintf("%x", sha1.Sum([]byte(breachedPassword)))
	padding := fmt.Sprintf("%X", sha1.Sum([]byte(goodPassword)))[5:] // filled up with what is no password
	return []user.Breached{{Suffix: padding, Count: 0}, {Suffix: sum[5:], Count: l.count}}, l.err
}

func withBreaches(l *breachList, unavailable user.Unchecked, atSignIn bool) func(*user.Config) {
	return func(c *user.Config) {
		c.Breaches = &user.Breaches{Range: l.Range, Unavailable: unavailable, AtSignIn: atSignIn}
	}
}

// A breached password is refused wherever one is set, and the list learns five
// digits; a sign-in asks nobody.
func TestBreachedPasswordsAreRefused(t *testing.T) {
	list := &breachList{count: 3}
	b := open(t, withBreaches(list, user.RefuseUnchecked, false))
	ann := b.signUp(t, "ann@example.com") // whose password only fills the answer up
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "ben@example.com", Password: breachedPassword, Name: "Ben", Organization: "Ben"})
	wantField(t, err, "/password", "breached")
	password := user.Secret(breachedPassword)
	_, err = b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &password, CurrentPassword: goodPassword})
	wantField(t, err, "/password", "breached")
	asked := len(list.asked)
	if want := strings.ToUpper(fmt.Sprintf("%x", sha1.Sum([]byte(breachedPassword)))[:5]); asked != 3 || list.asked[2] != want {
		t.Errorf("the list was asked for %v", list.asked)
	}
	_, err = b.SignUp(t.Context(), user.SignUp{Email: "cem@example.com", Password: "password", Name: "Cem", Organization: "Cem"})
	wantField(t, err, "/password", "too_common")
	_, err = b.LogIn(t.Context(), annRight)
	noError(t, err)
	if len(list.asked) != asked {
		t.Errorf("the list was asked for %v", list.asked[asked:])
	}
}

func wantField(t *testing.T, err error, path, code string) {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.KindInvalid ||
		!slices.ContainsFunc(e.Fields, func(f platform.Field) bool { return f.Path == path && f.Code == code }) {
		t.Errorf("got %v, want the field %s %s", err, path, code)
	}
}

// While the list does not answer the host's choice holds, and a host without one
// is refused.
func TestBreachListUnavailable(t *testing.T) {
	list := &breachList{err: errors.New("down")}
	in := user.SignUp{Email: "ann@example.com", Password: goodPassword, Name: "Ann", Organization: "Ann"}
	_, err := open(t, withBreaches(list, user.RefuseUnchecked, false)).SignUp(t.Context(), in)
	want(t, err, platform.KindUnavailable, "breach_list_unavailable")
	_, err = open(t, withBreaches(list, user.AcceptUnchecked, false)).SignUp(t.Context(), in)
	noError(t, err)

	_, err = user.New(user.Config{Breaches: &user.Breaches{}})
	for _, line := range []string{"Breaches.Range", "AcceptUnchecked or RefuseUnchecked"} {
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%v does not say %s", err, line)
		}
	}
}

// A host can have the right password of a sign-in looked up; a wrong one tells
// nothing.
func TestBreachedAtSignIn(t *testing.T) {
	list := &breachList{}
	b := open(t, withBreaches(list, user.RefuseUnchecked, true))
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "ann@example.com", Password: breachedPassword, Name: "Ann", Organization: "Ann"})
	noError(t, err)
	in := user.LogIn{Email: "ann@example.com", Password: breachedPassword}
	_, err = b.LogIn(t.Context(), in)
	noError(t, err)
	list.count = 1
	_, err = b.LogIn(t.Context(), in)
	want(t, err, platform.KindForbidden, "password_breached")
	in.Email = "nobody@example.com"
	_, err = b.LogIn(t.Context(), in)
	want(t, err, platform.KindUnauthenticated, "invalid_credentials")
}

func TestPwnedPasswords(t *testing.T) {
	testdb.SQLiteOnly(t)
	const suffix = "1E4C9B93F3F0682250B6CF8331B7EE68FD8"
	var answer string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/range/5BAA6" || r.Header.Get("Add-Padding") != "true" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	p := user.PwnedPasswords{URL: server.URL + "/range/", Client: server.Client()}

	answer = suffix + ":12\r\n" + strings.ToLower(suffix[:34]) + "0:0\r\n"
	found, err := p.Range(t.Context(), "5BAA6")
	noError(t, err)
	if len(found) != 2 || found[0] != (user.Breached{Suffix: suffix, Count: 12}) || found[1].Count != 0 {
		t.Errorf("found %+v", found)
	}
	for name, bad := range map[string]string{
		"a page": "<html>", "no count": suffix, "no number": suffix + ":x", "a short suffix": suffix[1:] + ":1", "no digits": strings.Repeat("x", 35) + ":1",
		"without an end": strings.Repeat(suffix+":1\r\n", 20_000), "lines without an end": strings.Repeat("\n", 1<<20), "a line without an end": strings.Repeat("A", 1<<20),
	} {
		answer = bad
		if _, err := p.Range(t.Context(), "5BAA6"); err == nil || strings.Contains(err.Error(), "5BAA6") {
			t.Errorf("%s: %v", name, err)
		}
	}
	answer, status = suffix+":1", http.StatusTooManyRequests
	if _, err := p.Range(t.Context(), "5BAA6"); err == nil {
		t.Error("a refusal is taken for an answer")
	}
	server.Close()
	if _, err := p.Range(t.Context(), "5BAA6"); err == nil || strings.Contains(err.Error(), "5BAA6") {
		t.Errorf("no server: %v", err)
	}
}
