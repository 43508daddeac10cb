package user_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// The token of an invitation is in no answer and no record, only in the mail;
// so whoever has it has proved their address, and nobody else has.
func TestAcceptingProvesTheAddress(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	h := b.server()
	ann, ben, cyd := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com"), b.signUp(t, "cyd@example.com")
	verified := func(p person) bool {
		t.Helper()
		ok, err := b.EmailVerified(t.Context(), p.User.ID)
		noError(t, err)
		_, shown := send[object](t, h, p.Tokens.Access, "GET", "/v1/me", "", 200)["email_verified_at"]
		if shown != ok {
			t.Errorf("%s: verified %v, shown %v", p.User.Email, ok, shown)
		}
		return ok
	}
	_, answer := call(t, h, ann.Tokens.Access, "POST", "/v1/invitations", `{"email":"ben@example.com","roles":["owner"]}`)
	token := mail.to(t, "ben@example.com")
	if token == "" || strings.Contains(answer, tail(token)) || strings.Contains(answer, "token") {
		t.Fatalf("the answer is %s", answer)
	}
	if verified(ann) || verified(ben) {
		t.Error("a sign-up verified an address")
	}
	accept := func(p person, token user.Secret) int {
		status, _ := call(t, h, p.Tokens.Access, "POST", "/v1/invitations/accept", fmt.Sprintf(`{"token":%q}`, string(token)))
		return status
	}
	if got := accept(cyd, token); got != 403 || verified(cyd) {
		t.Errorf("another's token: %d, verified %v", got, verified(cyd))
	}
	if got := accept(ben, token[:len(token)-2]+"AA"); got != 404 || verified(ben) {
		t.Errorf("a wrong token: %d, verified %v", got, verified(ben))
	}
	if got := accept(ben, token); got != 200 || !verified(ben) || verified(ann) || verified(cyd) {
		t.Errorf("the token: %d, verified %v", got, verified(ben))
	}
	_, err := b.EmailVerified(t.Context(), "usr_nobody")
	want(t, err, platform.KindNotFound, "")
}

// Without a mail there is no way for the token: over HTTP nobody is invited.
func TestNoMailNoInvitation(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	status, answer := call(t, b.server(), ann.Tokens.Access, "POST", "/v1/invitations", `{"email":"ben@example.com","roles":["viewer"]}`)
	if status != 409 || !strings.Contains(answer, "email_not_configured") || b.count(t, "user_invitations") != 0 {
		t.Errorf("%d %s", status, answer)
	}
	_, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"viewer"}})
	if err != nil || token == "" {
		t.Errorf("in Go: %v", err)
	}
}
