package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestMicroservices is everything by HTTP alone, on one stack: starting one
// takes longer than what is done with it. The order matters: the last kills.
func TestMicroservices(t *testing.T) {
	s := newStack(t)
	ann, bob := s.signUp("ann@example.com"), s.signUp("bob@example.com")
	for _, step := range []struct {
		name string
		run  func(*visit)
	}{
		{"description", (*visit).description},
		{"journey", (*visit).journey},
		{"invitation", (*visit).invitation},
		{"revocation", (*visit).revocation},
		{"stream", (*visit).stream},
		{"isolation", (*visit).isolation},
		{"assertion", (*visit).assertion},
		{"failover", (*visit).failover},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			s.t = t
			step.run(&visit{stack: s, t: t, ann: ann.in(t), bob: bob.in(t)})
		})
		s.t = t
		if !ok {
			return
		}
	}
}

// visit is one step: two owners of an organization each, and what they call.
type visit struct {
	*stack
	t        *testing.T
	ann, bob *client
}

// operations are what the description lists of one path, by method.
type operations map[string]struct {
	ID       string `json:"operationId"`
	Security []any  `json:"security"`
}

func described(t *testing.T, c *client) (paths map[string]operations, raw []byte) {
	t.Helper()
	a := c.do("GET", "/openapi.json", nil)
	var doc struct{ Paths map[string]operations }
	if err := json.Unmarshal(a.body, &doc); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d, %v", a.status, err)
	}
	return doc.Paths, a.body
}

// Both gateways describe the operations of all services, and show them.
func (v *visit) description() {
	t := v.t
	paths, raw := described(t, v.client(0))
	if _, other := described(t, v.client(1)); string(other) != string(raw) {
		t.Error("the gateways describe different things")
	}
	known := map[string]bool{}
	for _, methods := range paths {
		for _, op := range methods {
			known[op.ID] = true
		}
	}
	for _, id := range []string{
		"auth.signup", "members.list", "apiKeys.create", "data.records.create", "data.records.import",
		"analytics.events.ingest", "analytics.query.series", "notify.inbox.list", "notify.endpoints.create", "health.ready",
	} {
		if !known[id] {
			t.Errorf("%s is not described", id)
		}
	}
	if a := v.client(1).do("GET", "/docs", nil); a.status != http.StatusOK || !strings.Contains(string(a.body), "<html") {
		t.Errorf("the page: %d", a.status)
	}
}

// journey crosses every process: what one gateway was told the other knows, and
// a record in MongoDB becomes by way of Kafka a message in PostgreSQL.
func (v *visit) journey() {
	t, ann, bob := v.t, v.ann, v.bob
	second := v.replicas[roleGateway][1].url
	ann.want(http.StatusCreated, "POST", "/v1/data/collections", object{
		"name": "films", "indexes": []object{{"fields": []string{"genre", "-year"}}},
	}, nil)
	films := []object{
		{"id": "m", "data": object{"title": "M", "year": 1931, "genre": "crime"}},
		{"id": "general", "data": object{"title": "The General", "year": 1926, "genre": "comedy"}},
		{"id": "lights", "data": object{"title": "City Lights", "year": 1931, "genre": "comedy"}},
	}
	for _, f := range films {
		ann.want(http.StatusCreated, "POST", "/v1/data/collections/films/records", f, nil)
	}
	var found page
	ann.at(second).want(http.StatusOK, "POST", "/v1/data/collections/films/records/query",
		object{"filter": object{"genre": "comedy"}, "sort": []string{"-year"}}, &found)
	if len(found.Data) != 2 || found.Data[0].ID != "lights" || found.Data[1].ID != "general" {
		t.Errorf("the query found %+v", found.Data)
	}
	ann.want(http.StatusOK, "POST", "/v1/analytics/events", object{"events": []object{
		{"id": "e1", "name": "watched", "user": "u1", "time": "2026-01-31T23:30:00Z"},
		{"id": "e2", "name": "watched", "user": "u2", "time": "2026-02-03T10:00:00Z"},
	}}, nil)
	if n := counted(t, ann.at(second), "watched"); n != 2 {
		t.Errorf("the series counts %d, want 2", n)
	}
	eventually(t, "a message for each record", func() bool { return len(messages(t, ann.at(second))) == len(films) })
	for _, text := range messages(t, ann) {
		if !strings.Contains(text, "films") {
			t.Errorf("a message says %q", text)
		}
	}
	if theirs := messages(t, bob); len(theirs) != 0 {
		t.Errorf("another organization was told: %v", theirs)
	}
}

// counted is how many events of a name there are.
func counted(t *testing.T, c *client, name string) int {
	t.Helper()
	var out struct {
		Series []struct{ Points []struct{ Count int } }
	}
	c.want(http.StatusOK, "POST", "/v1/analytics/query/series", object{
		"event": name, "from": "2026-01-01", "to": "2026-03-01", "interval": "month", "timezone": "UTC",
	}, &out)
	n := 0
	for _, one := range out.Series {
		for _, p := range one.Points {
			n += p.Count
		}
	}
	return n
}

// messages are the texts of the inbox.
func messages(t *testing.T, c *client) []string {
	t.Helper()
	var texts []string
	for cursor := ""; ; {
		var p page
		c.want(http.StatusOK, "GET", "/v1/notify/inbox?limit=100&cursor="+cursor, nil, &p)
		for _, m := range p.Data {
			texts = append(texts, m.Body)
		}
		if cursor = p.NextCursor; cursor == "" {
			return texts
		}
	}
}

var invitationToken = regexp.MustCompile(`it_[A-Za-z0-9_-]+`)

// An invitation is one e-mail, and the
// audit record names the caller's address and not the gateway's.
func (v *visit) invitation() {
	t, ann, bob := v.t, v.ann, v.bob
	ann.want(http.StatusCreated, "POST", "/v1/invitations", object{"email": "bob@example.com", "roles": []string{"member"}}, nil,
		"X-Forwarded-For", "203.0.113.9")
	eventually(t, "the e-mail", func() bool { return len(v.mail.all()) > 0 })
	mail := v.mail.all()
	token := invitationToken.FindString(strings.ReplaceAll(mail[0], "=\r\n", ""))
	if len(mail) != 1 || token == "" {
		t.Fatalf("e-mails: %q", mail)
	}
	bob.want(http.StatusOK, "POST", "/v1/invitations/accept", object{"token": token}, nil)
	var audit page
	ann.want(http.StatusOK, "GET", "/v1/audit", nil, &audit)
	for _, record := range audit.Data {
		if record.Action == "invitation.created" {
			if record.Client != "203.0.113.9" {
				t.Errorf("the audit record names %q", record.Client)
			}
			return
		}
	}
	t.Errorf("no audit record of the invitation in %+v", audit.Data)
}

// A session that ends at one gateway has ended at the other.
func (v *visit) revocation() {
	t := v.t
	carol := v.signUp("carol@example.com")
	second := carol.at(v.replicas[roleGateway][1].url)
	second.want(http.StatusOK, "GET", "/v1/me", nil, nil) // both have seen the token
	carol.want(http.StatusOK, "GET", "/v1/me", nil, nil)
	carol.want(http.StatusNoContent, "POST", "/v1/auth/logout", nil, nil)
	eventually(t, "the end of the session", func() bool {
		return second.do("GET", "/v1/me", nil).status == http.StatusUnauthorized
	})
}

// What is one organization's is not there for another.
func (v *visit) isolation() {
	t, ann, bob := v.t, v.ann, v.bob
	var key struct{ ID string }
	ann.want(http.StatusCreated, "POST", "/v1/api-keys", object{"name": "k", "scopes": []string{"data.records.read"}}, &key)
	var inbox page
	ann.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &inbox)
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/v1/data/collections/films", nil},
		{"GET", "/v1/data/collections/films/records/m", nil},
		{"PATCH", "/v1/data/collections/films/records/m", object{"data": object{"year": 1}}},
		{"POST", "/v1/data/collections/films/records", object{"data": object{}}},
		{"DELETE", "/v1/data/collections/films", nil},
		{"DELETE", "/v1/api-keys/" + key.ID, nil},
		{"POST", "/v1/notify/inbox/" + inbox.Data[0].ID + "/read", nil},
	} {
		if a := bob.do(c.method, c.path, c.body); a.status != http.StatusNotFound {
			t.Errorf("%s %s of another organization: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if n := counted(t, bob, "watched"); n != 0 {
		t.Errorf("another organization counts %d", n)
	}
	ann.want(http.StatusOK, "GET", "/v1/data/collections/films/records/m", nil, nil)
}
