package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestNoMailRelay has those try to send e-mail to strangers, under the host's
// name, who may not, and whoever may beyond the limits of a day.
func TestNoMailRelay(t *testing.T) {
	for _, set := range setups[:2] { // with and without PostgreSQL
		t.Run(set.name, func(t *testing.T) { noMailRelay(t, set.place(t)) })
	}
}

// spam is raw HTML for 100 strangers; no two n name the same.
func spam(n int) map[string]any {
	to := make([]string, 100)
	for i := range to {
		to[i] = fmt.Sprintf("victim%d@foreign%d.example", i, n)
	}
	return map[string]any{"to": map[string]any{"emails": to}, "channels": []string{"email"}, "title": "Win", "body": "now", "html": "<a href='https://evil.example'>Win</a>"}
}

func noMailRelay(t *testing.T, at place) {
	s := start(t, at, "--limit", "notify.emails=350")
	refused := func(c *client, body map[string]any, status int, says string) {
		t.Helper()
		a := c.do("POST", "/v1/notify/messages", body)
		if a.status != status || !strings.Contains(string(a.body), says) {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	// A fresh sign-up owns an organization and has proved nothing.
	fresh := s.signUp("fresh@evil.example", "Evil")
	for n := range 20 {
		refused(fresh, spam(n), http.StatusForbidden, "sender_not_verified")
	}
	fresh.want(http.StatusCreated, "POST", "/v1/roles", map[string]any{"name": "herald", "permissions": []string{"notify.messages.write"}}, nil)

	// A member who accepted an invitation has; the role decides.
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logged())
		}
	})
	join := func(email, role string) *client {
		c := s.signUp(email, "Of "+email)
		fresh.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": email, "roles": []string{role}}, nil)
		token, ok := at.invited(t.Context(), email)
		if !ok {
			t.Fatalf("no mail to %s", email)
		}
		c.accept(token)
		return c
	}
	admin, herald := join("adam@corp.example", "admin"), join("hera@corp.example", "herald")
	refused(herald, spam(20), http.StatusForbidden, "notify.emails.external")
	var key struct{ Key string }
	admin.want(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "k", "scopes": []string{"notify.messages.write"}}, &key)
	refused(s.client(key.Key), spam(20), http.StatusForbidden, "notify.emails.external")

	admin.want(http.StatusCreated, "POST", "/v1/notify/messages", spam(21), nil)
	admin.want(http.StatusCreated, "POST", "/v1/notify/messages", spam(22), nil)
	refused(admin, spam(23), http.StatusTooManyRequests, "notify.emails_per_sender of 200")
	second := join("bea@corp.example", "admin")
	second.want(http.StatusCreated, "POST", "/v1/notify/messages", spam(24), nil)
	refused(second, spam(25), http.StatusTooManyRequests, "notify.emails of 350") // three invitations are among them
	one := map[string]any{"to": map[string]any{"emails": []string{"victim1@foreign24.example"}}, "channels": []string{"email"}, "title": "Win"}
	for range 19 {
		second.want(http.StatusCreated, "POST", "/v1/notify/messages", one, nil)
	}
	refused(second, one, http.StatusTooManyRequests, "notify.emails_per_recipient of 20")

	const allowed = 3 + 300 + 19
	var sent []letter
	eventually(t, "the mails that are allowed", func() bool {
		var err error
		if sent, err = at.letters(); err != nil {
			t.Fatal(err)
		}
		return len(sent) >= allowed
	})
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if sent, _ = at.letters(); len(sent) != allowed {
		t.Errorf("%d mails, want %d", len(sent), allowed)
	}
}
