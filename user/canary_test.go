package user_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/acme/platform/user"
)

// No secret is in a log, an error, an answer that does not hand it out, or in
// the clear in the store.
func TestCanary(t *testing.T) {
	var log bytes.Buffer
	var mail letters
	b := open(t, func(c *user.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		mail.in(c)
	})
	h := b.server()
	const password = "canary-hunter-7731"
	out := send[object](t, h, "", "POST", "/v1/auth/signup", `{"email":"ann@example.com","password":"`+password+`","name":"Ann","organization":"Acme"}`, 201)
	tokens := out["tokens"].(object)
	access, refresh := user.Secret(fmt.Sprint(tokens["access_token"])), user.Secret(fmt.Sprint(tokens["refresh_token"]))
	key := user.Secret(fmt.Sprint(send[object](t, h, access, "POST", "/v1/api-keys", `{"name":"ci","scopes":["data.*"]}`, 201)["key"]))
	var seen strings.Builder
	_, invited := call(t, h, access, "POST", "/v1/invitations", `{"email":"ben@example.com","roles":["viewer"]}`)
	seen.WriteString(invited)
	invitation := mail.to(t, "ben@example.com")

	note := func(credential user.Secret, method, path, body string) {
		_, answer := call(t, h, credential, method, path, body)
		seen.WriteString(answer)
	}
	quoted := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	for _, path := range []string{"/v1/me", "/v1/me/sessions", "/v1/api-keys", "/v1/invitations", "/v1/audit", "/v1/members"} {
		note(access, "GET", path, "")
	}
	note("", "POST", "/v1/auth/login", quoted(`{"email":"ann@example.com","password":%q,"x":1}`, password))
	note("", "POST", "/v1/auth/login", quoted(`{"email":%q,"password":"x"}`, password))
	note("", "POST", "/v1/auth/login", quoted(`{"password":%s`, password))
	note("", "POST", "/v1/auth/refresh", quoted(`{"refresh_token":["%s"]}`, refresh))
	note(access, "POST", "/v1/invitations/accept", quoted(`{"token":"%sx"}`, string(invitation)))
	note(access, "PATCH", "/v1/me", quoted(`{"password":%q,"current_password":"%s-wrong"}`, password+"2", password))
	b.place.Alter(t, b.db, `DROP TABLE user_session_grants`) // faults of ours
	note("", "POST", "/v1/auth/login", quoted(`{"email":"ann@example.com","password":%q}`, password))
	note("", "POST", "/v1/auth/refresh", quoted(`{"refresh_token":%q}`, string(refresh)))
	fmt.Fprintf(&seen, "%v %+v %#v %s %q", refresh, user.LogIn{Password: password}, user.SignUp{Password: password}, key, user.Tokens{Access: access, Refresh: refresh})
	inJSON, err := json.Marshal(user.Tokens{Access: access, Refresh: refresh})
	noError(t, err)
	seen.Write(inJSON)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("tokens", user.Tokens{Access: access, Refresh: refresh}), slog.Any("key", key))

	stored := b.place.Contents(t)
	if !strings.Contains(stored, "ann@example.com") {
		t.Error("the store was not read")
	}
	if !strings.Contains(log.String(), "request failed") {
		t.Error("the log was not written")
	}
	for name, secret := range map[string]string{
		"password": password, "access token": string(access), "refresh token": tail(refresh), "API key": tail(key), "invitation": tail(invitation),
	} {
		for where, text := range map[string]string{"log": log.String(), "answers": seen.String(), "store": stored} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s in the %s: …%s", name, where, text[max(0, i-80):i])
			}
		}
	}
}

// tail is the secret part of a token.
func tail(s user.Secret) string { return string(s[strings.LastIndexByte(string(s[:40]), '_')+1:]) }
