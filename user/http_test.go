package user_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// server mounts the routes behind nothing but the verification of a
// credential: what a gateway adds is left out, so what is refused here is
// refused by the service.
func (b *bundle) server() http.Handler {
	mux := http.NewServeMux()
	for _, r := range b.Routes() {
		mux.HandleFunc(r.Method+" "+r.Path, func(w http.ResponseWriter, req *http.Request) {
			if credential, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok {
				p, err := b.Verify(req.Context(), credential)
				if err != nil {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				req = req.WithContext(platform.WithPrincipal(req.Context(), p))
			}
			r.Handler.ServeHTTP(w, req)
		})
	}
	return mux
}

// call sends a request and returns the status and the body.
func call(t testing.TB, h http.Handler, credential user.Secret, method, path, body string) (int, string) {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, path, content)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if credential != "" {
		req.Header.Set("Authorization", "Bearer "+string(credential))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

// send sends JSON and decodes the answer, which must have the status.
func send[T any](t testing.TB, h http.Handler, credential user.Secret, method, path, body string, status int) (out T) {
	t.Helper()
	got, answer := call(t, h, credential, method, path, body)
	if got != status {
		t.Fatalf("%s %s: %d %s", method, path, got, answer)
	}
	if answer == "" {
		return out
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
	return out
}

type object = map[string]any

// The whole way of two people through the API.
func TestHTTP(t *testing.T) {
	b := open(t)
	h := b.server()
	in := `{"email":"ann@example.com","password":"` + goodPassword + `","name":"Ann","organization":"Acme"}`
	ann := send[struct{ User, Organization, Tokens object }](t, h, "", "POST", "/v1/auth/signup", in, 201)
	access := user.Secret(fmt.Sprint(ann.Tokens["access_token"]))
	if ann.Tokens["token_type"] != "Bearer" || ann.Tokens["expires_in"] != 600.0 {
		t.Errorf("tokens %v", ann.Tokens)
	}
	status, answer := call(t, h, "", "POST", "/v1/auth/signup", in)
	if status != http.StatusConflict || !strings.Contains(answer, "email_taken") {
		t.Errorf("%d %s", status, answer)
	}
	me := send[object](t, h, access, "GET", "/v1/me", "", 200)
	if me["email"] != "ann@example.com" || me["organization"] != ann.Organization["id"] || me["scopes"] != nil {
		t.Errorf("me %v", me)
	}
	send[object](t, h, access, "PATCH", "/v1/organization", `{"name":"Acme 2"}`, 200)
	if org := send[object](t, h, access, "GET", "/v1/organization", "", 200); org["name"] != "Acme 2" {
		t.Errorf("organization %v", org)
	}
	role := send[object](t, h, access, "POST", "/v1/roles", `{"name":"curator","permissions":["data.*"]}`, 201)
	role = send[object](t, h, access, "PATCH", fmt.Sprint("/v1/roles/", role["id"]), `{"description":"keeps the data"}`, 200)
	if got := send[object](t, h, access, "GET", fmt.Sprint("/v1/roles/", role["id"]), "", 200); got["description"] != "keeps the data" {
		t.Errorf("role %v", got)
	}

	inv := send[object](t, h, access, "POST", "/v1/invitations", `{"email":"ben@example.com","roles":["curator"]}`, 201)
	if list := send[object](t, h, access, "GET", "/v1/invitations", "", 200); strings.Contains(fmt.Sprint(list), fmt.Sprint(inv["token"])) || len(list["data"].([]any)) != 1 {
		t.Errorf("invitations %v", list)
	}
	ben := send[object](t, h, "", "POST", "/v1/auth/signup", strings.ReplaceAll(in, "ann@", "ben@"), 201)
	benToken := user.Secret(fmt.Sprint(ben["tokens"].(object)["access_token"]))
	accepted := send[object](t, h, benToken, "POST", "/v1/invitations/accept", fmt.Sprintf(`{"token":%q}`, inv["token"]), 200)
	switched := send[object](t, h, benToken, "POST", "/v1/auth/switch", fmt.Sprintf(`{"organization":%q}`, accepted["organization"]), 200)
	guest := user.Secret(fmt.Sprint(switched["access_token"]))
	if list := send[object](t, h, access, "GET", "/v1/members", "", 200); len(list["data"].([]any)) != 2 {
		t.Errorf("members %v", list)
	}

	key := send[object](t, h, access, "POST", "/v1/api-keys", `{"name":"ci","scopes":["data.*"]}`, 201)
	if !keyPattern.MatchString(fmt.Sprint(key["key"])) {
		t.Errorf("key %v", key)
	}
	rotated := send[object](t, h, access, "POST", fmt.Sprintf("/v1/api-keys/%s/rotate", key["id"]), "", 200)
	if list := fmt.Sprint(send[object](t, h, access, "GET", "/v1/api-keys", "", 200)); strings.Contains(list, fmt.Sprint(rotated["key"])) || !strings.Contains(list, fmt.Sprint(key["prefix"])) {
		t.Errorf("keys %v", list)
	}
	if me := send[object](t, h, user.Secret(fmt.Sprint(rotated["key"])), "GET", "/v1/me", "", 200); fmt.Sprint(me["scopes"]) != "[data.*]" {
		t.Errorf("me %v", me)
	}
	send[object](t, h, access, "DELETE", fmt.Sprintf("/v1/api-keys/%s", key["id"]), "", 204)

	refreshed := send[object](t, h, "", "POST", "/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, ann.Tokens["refresh_token"]), 200)
	if refreshed["refresh_token"] == ann.Tokens["refresh_token"] {
		t.Error("the refresh token stays")
	}
	member := accepted["member"].(object)
	send[object](t, h, access, "PATCH", fmt.Sprintf("/v1/members/%s", member["id"]), `{"roles":["viewer"]}`, 200)
	send[object](t, h, access, "DELETE", fmt.Sprintf("/v1/roles/%s", role["id"]), "", 204)
	send[object](t, h, access, "DELETE", fmt.Sprintf("/v1/members/%s", member["id"]), "", 204)
	if status, _ := call(t, h, guest, "GET", "/v1/me", ""); status != 401 {
		t.Errorf("a removed member: %d", status)
	}
	audit := fmt.Sprint(send[object](t, h, access, "GET", "/v1/audit?limit=3&action=member.removed", "", 200))
	if !strings.Contains(audit, fmt.Sprint(member["id"])) {
		t.Errorf("audit %s", audit)
	}
	second := send[object](t, h, "", "POST", "/v1/auth/login", `{"email":"ann@example.com","password":"`+goodPassword+`"}`, 200)
	for _, one := range send[object](t, h, access, "GET", "/v1/me/sessions", "", 200)["data"].([]any) {
		if session := one.(object); session["current"] == false {
			send[object](t, h, access, "DELETE", fmt.Sprintf("/v1/me/sessions/%s", session["id"]), "", 204)
		}
	}
	if status, _ := call(t, h, user.Secret(fmt.Sprint(second["access_token"])), "GET", "/v1/me", ""); status != 401 {
		t.Errorf("a revoked session: %d", status)
	}
	send[object](t, h, access, "POST", "/v1/auth/logout", "", 204)
	if status, _ := call(t, h, access, "GET", "/v1/me", ""); status != 401 {
		t.Errorf("after the logout: %d", status)
	}
	if status, answer := call(t, h, "", "POST", "/v1/auth/login", `{"email":"ann@example.com","password":"wrong password"}`); status != 401 || !strings.Contains(answer, "invalid_credentials") {
		t.Errorf("%d %s", status, answer)
	}
}

// The routes are those of the API's table, each declares its access, and
// without a principal none but the public ones answers.
func TestRoutes(t *testing.T) {
	b := open(t)
	h := b.server()
	public := []string{"auth.signup", "auth.login", "auth.refresh", "jwks"}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	raw, err := b.OpenAPI()
	noError(t, err)
	noError(t, json.Unmarshal(raw, &doc))
	for _, r := range b.Routes() {
		if !r.Access.Declared() || r.Access.Public() != slices.Contains(public, r.Operation) {
			t.Errorf("%s: access %+v", r.Operation, r.Access)
		}
		if doc.Paths[r.Path][strings.ToLower(r.Method)].OperationID != r.Operation {
			t.Errorf("%s is not described", r.Operation)
		}
		if r.Access.Public() {
			continue
		}
		body := ""
		if r.Method == "POST" || r.Method == "PATCH" {
			body = bodies[r.Operation]
		}
		if status, answer := call(t, h, "", r.Method, strings.ReplaceAll(r.Path, "{id}", "x"), body); status != 401 {
			t.Errorf("%s without a principal: %d %s", r.Operation, status, answer)
		}
	}
}

// What is answered is what is described: no field more.
func TestSchemas(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	type schema struct {
		Ref        string                     `json:"$ref"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Responses   map[string]struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	raw, err := b.OpenAPI()
	noError(t, err)
	noError(t, json.Unmarshal(raw, &doc))
	resolve := func(s schema) schema {
		if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
			return doc.Components.Schemas[name]
		}
		return s
	}
	checked := 0
	for _, r := range b.Routes() {
		if strings.Contains(r.Path, "{id}") || strings.HasPrefix(r.Operation, "auth.") || r.Operation == "invitations.accept" {
			continue
		}
		status, answer := call(t, h, ann.Tokens.Access, r.Method, r.Path, bodies[r.Operation])
		var got object
		noError(t, json.Unmarshal([]byte(answer), &got))
		s := resolve(doc.Paths[r.Path][strings.ToLower(r.Method)].Responses[fmt.Sprint(status)].Content["application/json"].Schema)
		for k := range got {
			if _, ok := s.Properties[k]; !ok {
				t.Errorf("%s answers %s, which is not described", r.Operation, k)
			}
		}
		checked++
	}
	if checked < 10 {
		t.Errorf("%d operations checked", checked)
	}
}

// bodies are well-formed ones, so that a refusal is not for the form.
var bodies = map[string]string{
	"auth.switch":          `{"organization":"ORG"}`,
	"me.update":            `{"name":"X"}`,
	"organizations.create": `{"name":"X"}`,
	"organizations.update": `{"name":"X"}`,
	"members.update":       `{"roles":["viewer"]}`,
	"invitations.create":   `{"email":"zoe@example.com","roles":["viewer"]}`,
	"invitations.accept":   `{"token":"TOKEN"}`,
	"roles.create":         `{"name":"x","permissions":["data.records.read"]}`,
	"roles.update":         `{"description":"x"}`,
	"apiKeys.create":       `{"name":"x","scopes":["data.records.read"]}`,
	"apiKeys.rotate":       `{}`,
}

// A viewer who runs every route gets 403 where the role does not reach.
func TestViewerIsRefused(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	b.join(t, ann.p, "ben@example.com", user.RoleViewer)
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword, Organization: ann.p.Tenant})
	noError(t, err)
	allowed := []string{"user.organization.read", "user.members.read"}
	for _, r := range b.Routes() {
		permission := r.Access.Permission()
		if permission == "" || slices.Contains(allowed, permission) {
			continue
		}
		status, answer := call(t, h, tokens.Access, r.Method, strings.ReplaceAll(r.Path, "{id}", "x"), bodies[r.Operation])
		if status != 403 || !strings.Contains(answer, permission) {
			t.Errorf("%s: %d %s", r.Operation, status, answer)
		}
	}
}

// Every route, called with one organization's credential and another's ids,
// answers as for an id that never was, and changes nothing.
func TestIsolation(t *testing.T) {
	b := open(t)
	h := b.server()
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	ctx := t.Context()
	benMember, err := b.Member(ctx, ben.p.Tenant, ben.p.Subject)
	noError(t, err)
	role, err := b.CreateRole(ctx, ben.p, user.NewRole{Name: "bens-role", Permissions: []string{"data.*"}})
	noError(t, err)
	key, _, err := b.CreateAPIKey(ctx, ben.p, user.NewAPIKey{Name: "bens-key", Scopes: []string{"data.*"}})
	noError(t, err)
	inv, _, err := b.Invite(ctx, ben.p, user.NewInvitation{Email: "cyd@example.com", Roles: []string{"viewer"}})
	noError(t, err)
	b.clock.Advance(1) // so that what a route makes comes after

	theirs := map[string]string{
		"me.sessions.revoke": ben.p.Credential, "members.update": benMember.ID, "members.remove": benMember.ID,
		"invitations.revoke": inv.ID, "roles.get": role.ID, "roles.update": role.ID, "roles.delete": role.ID,
		"apiKeys.rotate": key.ID, "apiKeys.revoke": key.ID, "auth.switch": string(ben.p.Tenant),
	}
	reads := []string{"me.get", "me.sessions.list", "organizations.get", "organizations.list", "members.list", "invitations.list", "roles.list", "apiKeys.list", "audit.list"}
	writes := []string{"me.update", "organizations.create", "organizations.update", "invitations.create", "roles.create", "apiKeys.create"}
	// The token of an invitation is a credential of its own, not an id.
	other := []string{"invitations.accept", "auth.signup", "auth.login", "auth.refresh", "jwks", "auth.logout"}

	bens := []string{ben.User.ID, "ben@example.com", string(ben.p.Tenant), ben.p.Credential, benMember.ID, role.ID, "bens-role", key.ID, "bens-key", inv.ID, "cyd@example.com"}
	snapshot := func() (all string) {
		for _, path := range []string{"/v1/me", "/v1/me/sessions", "/v1/organization", "/v1/organizations", "/v1/members", "/v1/invitations", "/v1/roles", "/v1/api-keys", "/v1/audit"} {
			status, answer := call(t, h, ben.Tokens.Access, "GET", path, "")
			if status != 200 {
				t.Fatalf("%s: %d %s", path, status, answer)
			}
			all += answer
		}
		return all
	}
	before := snapshot()
	for _, r := range b.Routes() {
		id, hasID := theirs[r.Operation]
		switch {
		case hasID:
			random := strings.SplitN(id, "_", 2)[0] + "_00000000000000000000000000"
			ask := func(id string) (int, string) {
				return call(t, h, ann.Tokens.Access, r.Method, strings.ReplaceAll(r.Path, "{id}", id), strings.ReplaceAll(bodies[r.Operation], "ORG", id))
			}
			status, answer := ask(id)
			status2, answer2 := ask(random)
			if status != status2 || answer != answer2 || status != 404 && r.Operation != "auth.switch" || status < 400 {
				t.Errorf("%s: %d %s, but %d %s for a random id", r.Operation, status, answer, status2, answer2)
			}
		case slices.Contains(reads, r.Operation), slices.Contains(writes, r.Operation):
			status, answer := call(t, h, ann.Tokens.Access, r.Method, r.Path, bodies[r.Operation])
			if status >= 300 {
				t.Errorf("%s: %d %s", r.Operation, status, answer)
			}
			for _, s := range bens {
				if strings.Contains(answer, s) {
					t.Errorf("%s shows %s", r.Operation, s)
				}
			}
		case !slices.Contains(other, r.Operation):
			t.Errorf("%s has no case of isolation", r.Operation)
		}
	}
	if after := snapshot(); after != before {
		t.Errorf("something of the other's changed:\n%s\n%s", before, after)
	}
	// The same calls are good ones when the owner of the ids makes them.
	for _, r := range b.Routes() {
		id, ok := theirs[r.Operation]
		if !ok || slices.Contains([]string{"me.sessions.revoke", "members.update", "members.remove", "apiKeys.revoke", "roles.delete"}, r.Operation) {
			continue // they would end what the others need; TestHTTP makes them
		}
		status, answer := call(t, h, ben.Tokens.Access, r.Method, strings.ReplaceAll(r.Path, "{id}", id), strings.ReplaceAll(bodies[r.Operation], "ORG", id))
		if status >= 300 {
			t.Errorf("%s: %d %s for the owner", r.Operation, status, answer)
		}
	}
}

// What a body has beyond the documented fields is refused, not bound.
func TestMassAssignment(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/auth/signup", `{"email":"x@example.com","password":"` + goodPassword + `","name":"X","organization":"X","roles":["owner"]}`},
		{"PATCH", "/v1/me", `{"name":"X","email":"other@example.com"}`},
		{"PATCH", "/v1/me", `{"name":"X","status":"suspended"}`},
		{"PATCH", "/v1/organization", `{"name":"X","id":"org_x"}`},
		{"PATCH", "/v1/organization", `{"name":"X","status":"suspended"}`},
		{"POST", "/v1/api-keys", `{"name":"X","scopes":["data.*"],"user_id":"usr_x"}`},
		{"POST", "/v1/api-keys", `{"name":"X","scopes":["data.*"],"tenant":"org_x"}`},
		{"POST", "/v1/invitations", `{"email":"x@example.com","roles":["viewer"],"organization":"org_x"}`},
		{"POST", "/v1/roles", `{"name":"x","permissions":["data.*"],"built_in":true}`},
	} {
		status, answer := call(t, h, ann.Tokens.Access, c.method, c.path, c.body)
		if status != 422 || !strings.Contains(answer, `"unknown"`) {
			t.Errorf("%s %s: %d %s", c.method, c.body, status, answer)
		}
	}
}

// No secret is in a log, an error, an answer that does not hand it out, or in
// the clear in the store.
func TestCanary(t *testing.T) {
	var log bytes.Buffer
	b := open(t, func(c *user.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	h := b.server()
	const password = "canary-hunter-7731"
	out := send[object](t, h, "", "POST", "/v1/auth/signup", `{"email":"ann@example.com","password":"`+password+`","name":"Ann","organization":"Acme"}`, 201)
	tokens := out["tokens"].(object)
	access, refresh := user.Secret(fmt.Sprint(tokens["access_token"])), user.Secret(fmt.Sprint(tokens["refresh_token"]))
	key := user.Secret(fmt.Sprint(send[object](t, h, access, "POST", "/v1/api-keys", `{"name":"ci","scopes":["data.*"]}`, 201)["key"]))
	invitation := user.Secret(fmt.Sprint(send[object](t, h, access, "POST", "/v1/invitations", `{"email":"ben@example.com","roles":["viewer"]}`, 201)["token"]))

	var seen strings.Builder
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
	b.exec(t, `DROP TABLE user_sessions`) // faults of ours
	note("", "POST", "/v1/auth/login", quoted(`{"email":"ann@example.com","password":%q}`, password))
	note("", "POST", "/v1/auth/refresh", quoted(`{"refresh_token":%q}`, string(refresh)))
	fmt.Fprintf(&seen, "%v %+v %#v %s %q", refresh, user.LogIn{Password: password}, user.SignUp{Password: password}, key, user.Tokens{Access: access, Refresh: refresh})
	inJSON, err := json.Marshal(user.Tokens{Access: access, Refresh: refresh})
	noError(t, err)
	seen.Write(inJSON)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("tokens", user.Tokens{Access: access, Refresh: refresh}), slog.Any("key", key))

	var stored bytes.Buffer
	files, err := filepath.Glob(b.path + "*")
	noError(t, err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		noError(t, err)
		stored.Write(raw)
	}
	if !strings.Contains(stored.String(), "ann@example.com") {
		t.Error("the store was not read")
	}
	if !strings.Contains(log.String(), "request failed") {
		t.Error("the log was not written")
	}
	for name, secret := range map[string]string{
		"password": password, "access token": string(access), "refresh token": tail(refresh), "API key": tail(key), "invitation": tail(invitation),
	} {
		for where, text := range map[string]string{"log": log.String(), "answers": seen.String(), "store": stored.String()} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s in the %s: …%s", name, where, text[max(0, i-80):i])
			}
		}
	}
}

// tail is the secret part of a token.
func tail(s user.Secret) string { return string(s[strings.LastIndexByte(string(s[:40]), '_')+1:]) }
