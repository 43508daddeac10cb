package user_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// repeated sends a request with a key and tells whether the answer is an earlier one.
func repeated(tb testing.TB, h http.Handler, credential user.Secret, key, path, body string) (status int, answer string, replayed bool) {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+string(credential))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header().Get("Idempotency-Replayed") == "true"
}

// everyRow tells what the tables hold that calls add to.
func (b *bundle) everyRow(tb testing.TB) string {
	tb.Helper()
	var all []string
	for _, table := range []string{
		"user_accounts", "user_organizations", "user_memberships", "user_sessions", "user_api_keys", "user_invitations",
		"user_roles", "user_teams", "user_team_members", "user_access_rules", "user_audit", "outbox",
	} {
		all = append(all, fmt.Sprint(table, "=", b.count(tb, table)))
	}
	return strings.Join(all, " ")
}

// Each operation that changes something has its effect once for a key, gives the
// first answer again, refuses another input, and leaves nothing readable.
func TestEveryOperationHonoursTheKey(t *testing.T) {
	var mail letters
	b := open(t, mail.in)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	ben := b.signUp(t, "ben@example.com")
	key := send[object](t, h, ann.Tokens.Access, "POST", "/v1/api-keys", `{"name":"old","scopes":["data.*"]}`, 201)
	other := send[object](t, h, ann.Tokens.Access, "POST", "/v1/organizations", `{"name":"Other"}`, 201)
	send[object](t, h, ann.Tokens.Access, "POST", "/v1/invitations", `{"email":"ben@example.com","roles":["admin"]}`, 201)
	token := string(mail.to(t, "ben@example.com"))
	send[object](t, h, ann.Tokens.Access, "POST", "/v1/invitations", `{"email":"gil@example.com","roles":["viewer"]}`, 201)
	joins := string(mail.to(t, "gil@example.com"))
	heir := b.signUp(t, "heir@example.com")
	_, ownedMember := b.join(t, heir.p, "owned@example.com", user.RoleViewer)
	cases := map[string]struct {
		credential user.Secret
		path       string
		body       string
		another    string // input under the same key; "" has none
		secrets    []string
		status     int
	}{
		"auth.signup": {
			"", "/v1/auth/signup", `{"email":"eve@example.com","password":"` + goodPassword + `","name":"Eve","organization":"Eve's"}`,
			`{"email":"eve@example.com","password":"` + goodPassword + ` 2","name":"Eve","organization":"Eve's"}`,
			[]string{"tokens.access_token", "tokens.refresh_token"},
			201,
		},
		"auth.switch": {
			ann.Tokens.Access, "/v1/auth/switch", fmt.Sprintf(`{"organization":%q}`, other["id"]), "",
			[]string{"access_token", "refresh_token"},
			200,
		},
		"organizations.create": {ann.Tokens.Access, "/v1/organizations", `{"name":"New"}`, `{"name":"Newer"}`, nil, 201},
		"roles.create": {
			ann.Tokens.Access, "/v1/roles", `{"name":"curator","permissions":["data.*"]}`, `{"name":"curator","permissions":["notify.*"]}`, nil, 201,
		},
		"teams.create": {ann.Tokens.Access, "/v1/teams", `{"name":"New"}`, `{"name":"Newer"}`, nil, 201},
		"accessRules.create": {
			ann.Tokens.Access, "/v1/access-rules", `{"role":"viewer","permission":"data.*","effect":"deny"}`,
			`{"role":"viewer","permission":"data.*","effect":"allow"}`, nil, 201,
		},
		"apiKeys.create": {
			ann.Tokens.Access, "/v1/api-keys", `{"name":"ci","scopes":["data.*"]}`, `{"name":"ci","scopes":["notify.*"]}`, []string{"key"}, 201,
		},
		"apiKeys.rotate": {
			ann.Tokens.Access, fmt.Sprintf("/v1/api-keys/%s/rotate", key["id"]), `{"grace_seconds":60}`, `{"grace_seconds":61}`, []string{"key"}, 200,
		},
		"invitations.create": {
			ann.Tokens.Access, "/v1/invitations", `{"email":"fay@example.com","roles":["viewer"]}`, `{"email":"fay@example.com","roles":["admin"]}`, nil, 201,
		},
		"auth.invitation": {
			"", "/v1/auth/invitation", fmt.Sprintf(`{"token":%q,"name":"Gil","password":%q}`, joins, goodPassword),
			fmt.Sprintf(`{"token":%q,"name":"Gus","password":%q}`, joins, goodPassword),
			[]string{"access_token", "refresh_token"},
			200,
		},
		"organizations.transfer": {
			heir.Tokens.Access, "/v1/organization/transfer", fmt.Sprintf(`{"member":%q}`, ownedMember.ID), fmt.Sprintf(`{"member":%q,"leave":true}`, ownedMember.ID), nil, 200,
		},
		"invitations.accept": {ben.Tokens.Access, "/v1/invitations/accept", fmt.Sprintf(`{"token":%q}`, token), "", nil, 200},
	}
	for _, r := range b.Routes() {
		c, tested := cases[r.Operation]
		if (r.Retry == platform.RetryWithKey) != tested {
			t.Errorf("%s: retry %q, tested %t", r.Operation, r.Retry, tested)
		}
		if !tested {
			continue
		}
		t.Run(r.Operation, func(t *testing.T) {
			const text = "9b2e6c4f-the-key-of-the-caller"
			status, first, replayed := repeated(t, h, c.credential, text, c.path, c.body)
			if status != c.status || replayed {
				t.Fatalf("the first call: %d %s", status, first)
			}
			before := b.everyRow(t)
			for range 8 { // more than the invitations that an address gets in an hour
				status, again, replayed := repeated(t, h, c.credential, `"`+text+`"`, c.path, c.body)
				if status != c.status || !replayed || again != first {
					t.Fatalf("a second call: %d %s, replayed %t; the first answer is %s", status, again, replayed, first)
				}
			}
			if c.another != "" {
				if status, answer, _ := repeated(t, h, c.credential, text, c.path, c.another); status != 422 || !strings.Contains(answer, "idempotency_key_reused") {
					t.Errorf("another input: %d %s", status, answer)
				}
			}
			if after := b.everyRow(t); after != before {
				t.Errorf("second calls have effects:\n%s\n%s", before, after)
			}
			contents := b.place.Contents(t)
			for _, secret := range append(member(t, first, c.secrets), text, goodPassword, token, joins) {
				if strings.Contains(contents, secret) || strings.Contains(contents, fmt.Sprintf("%x", secret)) {
					t.Errorf("%s is readable in the store", secret)
				}
			}
		})
	}
}

// member returns the values of members of an answer, such as "tokens.access_token".
func member(t *testing.T, answer string, paths []string) (values []string) {
	t.Helper()
	for _, path := range paths {
		var at any
		noError(t, json.Unmarshal([]byte(answer), &at))
		for _, name := range strings.Split(path, ".") {
			at = at.(object)[name]
		}
		text, ok := at.(string)
		if !ok || text == "" {
			t.Fatalf("%s is not in %s", path, answer)
		}
		values = append(values, text)
	}
	return values
}

// Who lost the right to make a call does not get the answer of the one that they
// made: a key with what it may do, a role that they may not grant any more.
func TestReplayAsksForTheRight(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	owner := b.verify(t, ann.Tokens.Access)
	admin, membership := b.join(t, owner, "adm@example.com", user.RoleAdmin)
	tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "adm@example.com", Password: goodPassword, Organization: owner.Tenant})
	noError(t, err)
	_ = admin
	const body = `{"name":"ci","scopes":["data.*"]}`
	if status, answer, _ := repeated(t, h, tokens.Access, "k", "/v1/api-keys", body); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	role, err := b.CreateRole(t.Context(), owner, user.NewRole{Name: "keys", Permissions: []string{"user.*"}})
	noError(t, err)
	_, err = b.UpdateMember(t.Context(), owner, membership.ID, user.MemberChange{Roles: []string{role.Name}})
	noError(t, err)
	if status, answer, _ := repeated(t, h, tokens.Access, "k", "/v1/api-keys", body); status != 403 {
		t.Errorf("the answer is given to who may not have it any more: %d %s", status, answer)
	}
}

// Calls at the same time with one key: one sign-up, one organization.
func TestKeysUnderConcurrency(t *testing.T) {
	b := open(t)
	h := b.server()
	ann := b.signUp(t, "ann@example.com")
	before := b.count(t, "user_organizations")
	for _, c := range []struct {
		credential user.Secret
		path, body string
	}{
		{"", "/v1/auth/signup", `{"email":"eve@example.com","password":"` + goodPassword + `","name":"Eve","organization":"Eve's"}`},
		{ann.Tokens.Access, "/v1/organizations", `{"name":"New"}`},
	} {
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			answers = map[string]int{}
		)
		for range 8 {
			wg.Go(func() {
				for {
					status, answer, _ := repeated(t, h, c.credential, "k", c.path, c.body)
					if status == 409 && strings.Contains(answer, "idempotency_running") {
						continue
					}
					if status != 201 {
						t.Errorf("%s: %d %s", c.path, status, answer)
					}
					mu.Lock()
					answers[answer]++
					mu.Unlock()
					return
				}
			})
		}
		wg.Wait()
		if len(answers) != 1 {
			t.Errorf("%s: %d different answers", c.path, len(answers))
		}
	}
	if n := b.count(t, "user_organizations"); n != before+2 {
		t.Errorf("%d organizations were made", n-before)
	}
}
