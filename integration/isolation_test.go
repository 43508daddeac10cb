package integration

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestIsolation calls every operation that names a thing by an id, as another
// organization, with each id of the first and with an id that never was: the
// two answers must be the same, and nothing of the first may have changed.
func TestIsolation(t *testing.T) { everywhere(t, isolation) }

func isolation(t *testing.T, _ setup, at place) {
	s := start(t, at, "--webhooks-to-private")
	ann, eve := s.signUp("ann@example.com", "Ann's"), s.signUp("eve@example.com", "Eve's")
	ids := furnish(t, ann)
	before := snapshot(t, ann)

	ops := operations(t, ann)
	tried := 0
	for _, op := range ops {
		if !strings.Contains(op.path, "{") || strings.HasPrefix(op.path, "/docs/") {
			continue
		}
		for _, id := range ids {
			theirs := op.call(t, eve, id)
			random := op.call(t, eve, unlike(id))
			tried++
			if theirs.status != random.status || redacted(theirs, id) != redacted(random, unlike(id)) {
				t.Errorf("%s with %s: another's answers %d %s, a random one %d %s", op.id, id, theirs.status, theirs.body, random.status, random.body)
			}
			if theirs.status < 400 {
				t.Errorf("%s with %s: another organization got %d %s", op.id, id, theirs.status, theirs.body)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d calls were tried", tried)
	}
	if after := snapshot(t, ann); after != before {
		t.Errorf("the first organization has changed:\n%s\n%s", before, after)
	}
	t.Logf("%d operations, %d calls with the ids of another organization", len(ops), 2*tried)
}

// furnish makes one of everything and returns all ids that occur in the answers.
func furnish(t *testing.T, c *client) []string {
	t.Helper()
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "secrets"}, nil)
	for _, thing := range []struct {
		path string
		body map[string]any
	}{
		{"/v1/data/collections/secrets/records", map[string]any{"id": "the-record", "data": map[string]any{"canary": "of ann"}}},
		{"/v1/invitations", map[string]any{"email": "carol@example.com", "roles": []string{"member"}}},
		{"/v1/roles", map[string]any{"name": "clerk", "permissions": []string{"data.records.read"}}},
		{"/v1/teams", map[string]any{"name": "team of ann", "roles": []string{"member"}}},
		{"/v1/access-rules", map[string]any{"role": "viewer", "permission": "data.records.read", "effect": "deny"}},
		{"/v1/api-keys", map[string]any{"name": "key of ann", "scopes": []string{"data.records.read"}}},
		{"/v1/notify/templates", map[string]any{"name": "greeting", "title": "Hello", "body": "Hello {{.name}}"}},
		{"/v1/notify/rules", map[string]any{"name": "r", "event": "data.collection.created", "channels": []string{"inbox"}, "to": map[string]any{"roles": []string{"owner"}}, "title": "t", "body": "b"}},
		{"/v1/notify/endpoints", map[string]any{"url": "http://127.0.0.1:9/hook", "types": []string{"data.collection.created"}}},
		{"/v1/notify/messages", map[string]any{"to": map[string]any{"roles": []string{"owner"}}, "channels": []string{"inbox"}, "title": "t", "body": "of ann"}},
	} {
		a := c.want(http.StatusCreated, "POST", thing.path, thing.body, nil)
		c.want(http.StatusOK, "GET", a.header.Get("Location"), nil, nil) // what was made is where it says
	}
	eventually(t, "the inbox of ann", func() bool {
		var page inboxPage
		c.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &page)
		return len(page.Data) >= 2
	})
	ids := []string{"secrets", "the-record"}
	for _, path := range listings {
		ids = append(ids, idPattern.FindAllString(string(c.want(http.StatusOK, "GET", path, nil, nil).body), -1)...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// idPattern finds the typed ids.
var idPattern = regexp.MustCompile(`\b[a-z]{3}_[0-9a-z]{26}\b|\bkey_[0-9a-z]{26}\b`)

var listings = []string{
	"/v1/me", "/v1/me/sessions", "/v1/organization", "/v1/members", "/v1/invitations", "/v1/roles", "/v1/teams", "/v1/access-rules", "/v1/api-keys", "/v1/audit",
	"/v1/data/collections", "/v1/data/collections/secrets/records", "/v1/notify/messages", "/v1/notify/inbox",
	"/v1/notify/templates", "/v1/notify/rules", "/v1/notify/endpoints",
}

// snapshot is all that an organization has, but for what passes with time.
func snapshot(t *testing.T, c *client) string {
	t.Helper()
	var b strings.Builder
	for _, path := range listings {
		if path == "/v1/me/sessions" || path == "/v1/audit" {
			continue
		}
		b.Write(c.want(http.StatusOK, "GET", path, nil, nil).body)
	}
	return timePattern.ReplaceAllString(b.String(), "TIME")
}

var timePattern = regexp.MustCompile(`"(next_attempt_at|last_used_at|last_seen_at|updated_at|status|attempts)":("[^"]*"|null|\d+)`)

type operation struct {
	id, method, path   string
	body               bool
	access, permission string
}

// operations reads them from the server's own description.
func operations(t *testing.T, c *client) []operation {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	c.want(http.StatusOK, "GET", "/openapi.json", nil, &doc)
	var ops []operation
	for path, methods := range doc.Paths {
		for method, raw := range methods {
			var op struct {
				OperationID string          `json:"operationId"`
				RequestBody json.RawMessage `json:"requestBody"`
				Access      string          `json:"x-access"`
				Permission  string          `json:"x-permission"`
			}
			if err := json.Unmarshal(raw, &op); err != nil || op.OperationID == "" {
				continue
			}
			ops = append(ops, operation{op.OperationID, strings.ToUpper(method), path, op.RequestBody != nil, op.Access, op.Permission})
		}
	}
	slices.SortFunc(ops, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return ops
}

var pathParam = regexp.MustCompile(`\{[^}]+\}`)

// call puts the id in the place of every parameter of the path.
func (op operation) call(t *testing.T, c *client, id string) answer {
	t.Helper()
	path := pathParam.ReplaceAllString(op.path, id)
	if !op.body {
		return c.do(op.method, path, nil)
	}
	body, ok := bodies[op.id]
	if !ok {
		body = map[string]any{}
	}
	return c.do(op.method, path, body)
}

// bodies are valid where an empty object is not, so that the call gets as far
// as looking for the id.
var bodies = map[string]any{
	"data.records.create":     map[string]any{"data": map[string]any{}},
	"data.records.replace":    map[string]any{"data": map[string]any{}},
	"members.update":          map[string]any{"roles": []string{"member"}},
	"teams.update":            map[string]any{"roles": []string{"viewer"}},
	"teams.members.add":       map[string]any{"member_id": "mem_x"},
	"authorize.explain":       map[string]any{"permission": "data.records.read"},
	"roles.update":            map[string]any{"permissions": []string{"data.records.read"}},
	"notify.templates.update": map[string]any{"name": "x", "title": "t", "body": "b"},
	"notify.rules.update":     map[string]any{"enabled": false},
	"notify.endpoints.update": map[string]any{"enabled": false},
	"data.collections.update": map[string]any{"indexes": []any{}},
}

// unlike is an id of the same form that never was.
func unlike(id string) string {
	b := []byte(id)
	for i := len(b) - 1; i >= 0 && i > len(b)-6; i-- {
		if b[i] == 'x' {
			b[i] = 'y'
		} else if b[i] != '_' && b[i] != '-' {
			b[i] = 'x'
		}
	}
	return string(b)
}

var requestIDPattern = regexp.MustCompile(`"request_id":"[^"]*"`)

// redacted is the body without what differs between any two calls.
func redacted(a answer, id string) string {
	body := requestIDPattern.ReplaceAllString(string(a.body), "")
	return strings.ReplaceAll(body, id, "ID")
}

// TestScopes shows that a key reaches what its scopes say, and nothing of its
// owner's own.
func TestScopes(t *testing.T) { everywhere(t, scopes) }

func scopes(t *testing.T, _ setup, at place) {
	s := start(t, at)
	c := s.signUp("ann@example.com", "Ann's")
	var made struct{ Key string }
	c.want(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "reader", "scopes": []string{"data.records.read"}}, &made)
	c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	key := s.client(made.Key)
	key.want(http.StatusOK, "GET", "/v1/data/collections/notes/records", nil, nil)
	for _, path := range []string{"/v1/me", "/v1/notify/inbox", "/v1/organizations", "/v1/members", "/v1/api-keys"} {
		key.want(http.StatusForbidden, "GET", path, nil, nil)
	}
}

// TestTokens shows that a credential ends where it must.
func TestTokens(t *testing.T) { everywhere(t, endedCredentials) }

func endedCredentials(t *testing.T, _ setup, at place) {
	s := start(t, at)
	c := s.signUp("ann@example.com", "Ann's")
	for name, token := range map[string]string{
		"none": "", "garbage": "abc", "broken": c.token[:len(c.token)-4] + "AAAA", "unsigned": "eyJhbGciOiJub25lIn0.e30.",
	} {
		a := s.client(token).do("GET", "/v1/me", nil)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" ||
			a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: got %d %v %s", name, a.status, a.header, a.body)
		}
	}
	second := s.logIn("ann@example.com")
	second.want(http.StatusOK, "GET", "/v1/me", nil, nil)
	if a := second.do("POST", "/v1/auth/logout", map[string]any{}); a.status/100 != 2 {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	second.want(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
	c.want(http.StatusOK, "GET", "/v1/me", nil, nil)
}
