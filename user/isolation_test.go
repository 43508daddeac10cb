package user_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform/user"
)

// bodies are well-formed ones, so that a refusal is not for the form.
var bodies = map[string]string{
	"auth.switch":            `{"organization":"ORG"}`,
	"me.update":              `{"name":"X"}`,
	"me.emails.add":          `{"email":"zoe@example.org"}`,
	"me.emails.primary":      `{"email":"ann@example.com"}`,
	"me.totp.confirm":        `{"code":"000000"}`,
	"auth.stepUp":            `{"password":"wrong one entirely"}`,
	"me.passkeys.create":     `{"name":"X","passkey":{}}`,
	"me.passkeys.update":     `{"name":"X"}`,
	"organizations.create":   `{"name":"X"}`,
	"organizations.update":   `{"name":"X"}`,
	"members.update":         `{"roles":["viewer"]}`,
	"invitations.create":     `{"email":"zoe@example.com","roles":["viewer"]}`,
	"invitations.accept":     `{"token":"TOKEN"}`,
	"invitations.preview":    `{"token":"TOKEN"}`,
	"organizations.transfer": `{"member":"MEM"}`,
	"roles.create":           `{"name":"x","permissions":["data.records.read"]}`,
	"roles.update":           `{"description":"x"}`,
	"apiKeys.create":         `{"name":"x","scopes":["data.records.read"]}`,
	"apiKeys.rotate":         `{}`,
	"audit.retention.update": `{"days":0}`,
	"operator.users.import":  `{"users":[{"email":"imp@example.com","name":"Imp"}]}`,
	"teams.create":           `{"name":"X","roles":["viewer"]}`,
	"teams.update":           `{"description":"x"}`,
	"teams.members.add":      `{"member_id":"x"}`,
	"accessRules.create":     `{"role":"viewer","permission":"data.records.read","effect":"deny"}`,
	"authorize.check":        `{"checks":[{"permission":"data.records.read"}]}`,
	"authorize.explain":      `{"permission":"data.records.read"}`,
}

// body is the body of an operation about a thing of this id.
func body(operation, id string) string {
	return strings.NewReplacer("ORG", id, "MEM", id).Replace(bodies[operation])
}

// A viewer who runs every route gets 403 where the role does not reach.
func TestViewerIsRefused(t *testing.T) {
	b := open(t, new(letters).in)
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
	b := open(t, new(letters).in, withPasskeys)
	h := b.server()
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	ctx := t.Context()
	benMember, err := b.Member(ctx, ben.p, ben.p.Subject)
	noError(t, err)
	role, err := b.CreateRole(ctx, ben.p, user.NewRole{Name: "bens-role", Permissions: []string{"data.*"}})
	noError(t, err)
	key, _, err := b.CreateAPIKey(ctx, ben.p, user.NewAPIKey{Name: "bens-key", Scopes: []string{"data.*"}})
	noError(t, err)
	inv, _, err := b.Invite(ctx, ben.p, user.NewInvitation{Email: "cyd@example.com", Roles: []string{"viewer"}})
	noError(t, err)
	team, err := b.CreateTeam(ctx, ben.p, user.NewTeam{Name: "bens-team"})
	noError(t, err)
	rule, err := b.CreateAccessRule(ctx, ben.p, user.NewAccessRule{Role: "viewer", Permission: "data.records.read", Effect: user.Deny})
	noError(t, err)
	b.clock.Advance(1) // so that what a route makes comes after

	bensDevice := newDevice(ben.User.ID)
	bensPasskey, _ := b.addPasskey(t, ben.p, bensDevice)

	theirs := map[string]string{
		"me.passkeys.update": bensPasskey.ID, "me.passkeys.remove": bensPasskey.ID,
		"me.sessions.revoke": ben.p.Credential, "members.update": benMember.ID, "members.remove": benMember.ID,
		"teams.get": team.ID, "teams.update": team.ID, "teams.delete": team.ID, "teams.members.list": team.ID,
		"teams.members.add": team.ID, "teams.members.remove": team.ID, "accessRules.get": rule.ID, "accessRules.delete": rule.ID,
		"invitations.get": inv.ID, "invitations.revoke": inv.ID, "roles.get": role.ID, "roles.update": role.ID, "roles.delete": role.ID,
		"apiKeys.get": key.ID, "apiKeys.rotate": key.ID, "apiKeys.revoke": key.ID, "auth.switch": string(ben.p.Tenant),
		"me.emails.remove":       "ben@example.com",
		"organizations.transfer": benMember.ID, "me.organizations.leave": string(ben.p.Tenant),
	}
	reads := []string{
		"me.get", "me.factors.get", "me.sessions.list", "organizations.get", "organizations.list", "members.list", "invitations.list", "roles.list", "apiKeys.list",
		"audit.list", "audit.head", "audit.verify", "audit.retention.get", "audit.export", "me.securityEvents.list",
	}
	writes := []string{"me.update", "me.sessions.clear", "me.totp.begin", "organizations.create", "organizations.update", "invitations.create", "roles.create", "apiKeys.create", "audit.retention.update"}
	reads = append(reads, "me.passkeys.list")
	reads, writes = append(reads, "me.emails.list"), append(writes, "me.emails.add")
	reads = append(reads, "teams.list", "accessRules.list", "authorize.check", "authorize.explain")
	writes = append(writes, "teams.create", "accessRules.create")
	// The token of an invitation is a credential of its own, not an id.
	other := []string{
		// Those of mails neither, and one's addresses have no id that others use.
		"auth.passwordReset.request", "auth.passwordReset.confirm", "auth.emailLink.request", "auth.emailLink.confirm",
		"auth.emailCode.request", "auth.emailCode.confirm", "auth.emails.verify", "auth.emails.restore", "me.emails.primary", "auth.signup.request", "auth.signup.confirm",
		// A half-done sign-in neither, and one's factors have no id.
		"auth.factor.options", "auth.factor.enroll", "auth.factor.verify", "me.totp.confirm", "me.totp.remove", "me.recoveryCodes.create",
		"auth.passkey.options", "auth.passkey.verify", "me.passkeys.options", "me.passkeys.create", "auth.stepUp", "auth.stepUp.options",
		"invitations.accept", "invitations.preview", "auth.invitation", "auth.signup", "auth.login", "auth.refresh", "jwks", "auth.logout",
	}

	bens := []string{ben.User.ID, "ben@example.com", string(ben.p.Tenant), ben.p.Credential, benMember.ID, role.ID, "bens-role", key.ID, "bens-key", inv.ID, "cyd@example.com", team.ID, "bens-team", rule.ID}
	snapshot := func() (all string) {
		for _, path := range []string{"/v1/me", "/v1/me/sessions", "/v1/organization", "/v1/organizations", "/v1/members", "/v1/invitations", "/v1/roles", "/v1/api-keys", "/v1/audit", "/v1/teams", "/v1/teams/" + team.ID + "/members", "/v1/access-rules"} {
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
				return call(t, h, ann.Tokens.Access, r.Method, strings.ReplaceAll(r.Path, "{id}", id), body(r.Operation, id))
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
		case r.Access.Level() == "operator": // nobody's in an organization
			status, answer := call(t, h, ann.Tokens.Access, r.Method, strings.ReplaceAll(r.Path, "{id}", string(ben.p.Tenant)), bodies[r.Operation])
			if status != 403 {
				t.Errorf("%s: %d %s", r.Operation, status, answer)
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
		if !ok || slices.Contains([]string{"me.passkeys.remove", "me.sessions.revoke", "me.emails.remove", "members.update", "members.remove", "apiKeys.revoke", "roles.delete", "organizations.transfer", "me.organizations.leave", "teams.delete", "teams.members.add", "teams.members.remove", "accessRules.delete"}, r.Operation) {
			continue // they would end what the others need; TestHTTP makes them
		}
		status, answer := call(t, h, ben.Tokens.Access, r.Method, strings.ReplaceAll(r.Path, "{id}", id), body(r.Operation, id))
		if status >= 300 {
			t.Errorf("%s: %d %s for the owner", r.Operation, status, answer)
		}
	}
}

// protected are members that no caller sets, whatever the operation.
var protected = []string{
	"tenant", "organization", "organization_id", "id", "user_id", "owner", "role", "roles", "status", "built_in", "verified",
	"email_verified", "created_at", "created_by", "scopes", "permissions", "kind", "is_admin", "hash", "key", "Name", "__proto__",
}

// What a body has beyond the documented members is refused, not bound: for every
// operation that has a body, with every protected member that it does not document.
func TestMassAssignment(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	_, operator := b.operator(t, "root")
	bodies := maps.Clone(bodies)
	bodies["auth.signup"] = `{"email":"x@example.com","password":"` + goodPassword + `","name":"X","organization":"X"}`
	bodies["auth.login"] = `{"email":"ann@example.com","password":"` + goodPassword + `"}`
	type schema struct {
		Ref                  string            `json:"$ref"`
		Properties           map[string]schema `json:"properties"`
		AdditionalProperties any               `json:"additionalProperties"`
	}
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Schema schema }
			} `json:"requestBody"`
		}
		Components struct{ Schemas map[string]schema }
	}
	raw, err := b.OpenAPI()
	noError(t, err)
	noError(t, json.Unmarshal(raw, &doc))
	tried := 0
	for _, r := range b.Routes() {
		content, ok := doc.Paths[r.Path][strings.ToLower(r.Method)].RequestBody.Content["application/json"]
		if !ok {
			continue
		}
		s := content.Schema
		if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
			s = doc.Components.Schemas[name]
		}
		if len(s.Properties) == 0 || s.AdditionalProperties != false {
			t.Errorf("%s: the body has no closed schema", r.Operation)
		}
		credential := ann.Tokens.Access
		if r.Access.Level() == "operator" {
			credential = operator
		}
		body := cmp.Or(bodies[r.Operation], "{}")
		for _, member := range protected {
			if _, documented := s.Properties[strings.ToLower(member)]; documented { // whatever its case, it is that one
				continue
			}
			tried++
			more := strings.Replace(body, "{", fmt.Sprintf(`{%q:"owner",`, member), 1)
			more = strings.Replace(more, ",}", "}", 1)
			status, answer := call(t, h, credential, r.Method, strings.ReplaceAll(r.Path, "{id}", "x"), more)
			if status != 422 || !strings.Contains(answer, `"unknown"`) {
				t.Errorf("%s %s: %d %s", r.Operation, more, status, answer)
			}
		}
	}
	if tried < 250 {
		t.Errorf("only %d calls were tried", tried)
	}
}
