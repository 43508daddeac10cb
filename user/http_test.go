package user_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/routes"
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
			routes.Checked(r).ServeHTTP(w, req)
		})
	}
	return mux
}

// call sends a request and returns the status and the body.
func call(tb testing.TB, h http.Handler, credential user.Secret, method, path, body string) (int, string) {
	tb.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req := httptest.NewRequestWithContext(tb.Context(), method, path, content)
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
func send[T any](tb testing.TB, h http.Handler, credential user.Secret, method, path, body string, status int) (out T) {
	tb.Helper()
	got, answer := call(tb, h, credential, method, path, body)
	if got != status {
		tb.Fatalf("%s %s: %d %s", method, path, got, answer)
	}
	if answer == "" {
		return out
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		tb.Fatalf("%s %s: %v in %s", method, path, err, answer)
	}
	return out
}

type object = map[string]any

// The whole way of two people through the API.
func TestHTTP(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
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
	if list := send[object](t, h, access, "GET", "/v1/invitations", "", 200); fmt.Sprint(list["data"].([]any)[0]) != fmt.Sprint(inv) || len(list["data"].([]any)) != 1 {
		t.Errorf("invitations %v", list)
	}
	ben := send[object](t, h, "", "POST", "/v1/auth/signup", strings.ReplaceAll(in, "ann@", "ben@"), 201)
	benToken := user.Secret(fmt.Sprint(ben["tokens"].(object)["access_token"]))
	accepted := send[object](t, h, benToken, "POST", "/v1/invitations/accept", fmt.Sprintf(`{"token":%q}`, string(mail.to(t, "ben@example.com"))), 200)
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
	public := []string{"auth.signup", "auth.login", "auth.refresh", "auth.factor.options", "auth.factor.enroll", "auth.factor.verify", "auth.passkey.options", "auth.passkey.verify", "jwks"}
	public = append(public, "auth.passwordReset.request", "auth.passwordReset.confirm", "auth.emailLink.request", "auth.emailLink.confirm",
		"auth.emailCode.request", "auth.emailCode.confirm", "auth.emails.verify", "auth.emails.restore", "auth.signup.request", "auth.signup.confirm")
	public = append(public, "invitations.preview", "auth.invitation")
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
	b := open(t, new(letters).in)
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
	_, operator := b.operator(t, "root")
	refused := []string{"me.totp.confirm", "me.totp.remove", "me.recoveryCodes.create", "me.passkeys.options", "me.passkeys.create"} // to who has no factor
	checked := 0
	for _, r := range b.Routes() {
		if strings.Contains(r.Path, "{id}") || strings.HasPrefix(r.Operation, "auth.") || r.Stream || strings.Contains(bodies[r.Operation], "TOKEN") || strings.Contains(bodies[r.Operation], "MEM") || slices.Contains(refused, r.Operation) {
			continue
		}
		credential := ann.Tokens.Access
		if r.Access.Level() == "operator" {
			credential = operator
		}
		status, answer := call(t, h, credential, r.Method, r.Path, bodies[r.Operation])
		if answer == "" && (status == 202 || status == 204) {
			continue
		}
		var got object
		if status != http.StatusNoContent {
			noError(t, json.Unmarshal([]byte(answer), &got))
		}
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
