package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// costly takes 500,000 calls on 64,000 bytes each, in about 2,000 bytes of
// source, where $x is the text.
func costly(x string) string {
	const depth = 100
	return `{{$x := ` + x + `}}{{range 5000}}{{len ` + strings.Repeat("(upper ", depth) + "$x" + strings.Repeat(")", depth) + `}}{{end}}`
}

// TestCostlyTexts has one organization preview, send and make a rule of a text
// that would take a core for a minute: it is told so each time, and the other
// organization's writes and messages go on, also after a restart.
func TestCostlyTexts(t *testing.T) { onRelational(t, costlyTexts) }

func costlyTexts(t *testing.T, _ setup, at place) {
	s := start(t, at, "--rate-limit", "0")
	a, b := s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's")
	for _, c := range []*client{a, b} {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	}
	unread := func(c *client) int {
		var page inboxPage
		c.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &page)
		return page.Unread
	}
	write := func(c *client) {
		c.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{"n": 1}}, nil)
	}
	const tooMuch = "the text works on more than"
	refused := func(path string, body map[string]any) {
		t.Helper()
		if got := a.want(http.StatusUnprocessableEntity, "POST", path, body, nil); !strings.Contains(string(got.body), tooMuch) {
			t.Errorf("%s: got %s", path, got.body)
		}
	}
	x := map[string]any{"x": strings.Repeat("x", 64_000)}
	refused("/v1/notify/templates/preview", map[string]any{"title": "t", "body": costly(".x"), "variables": x})
	a.want(http.StatusCreated, "POST", "/v1/notify/templates", map[string]any{"name": "costly", "title": "t", "body": costly(".x")}, nil)
	refused("/v1/notify/messages", map[string]any{"template": "costly", "variables": x, "channels": []string{"inbox"}, "to": map[string]any{"everyone": true}})

	var rule struct {
		ID      string `json:"id"`
		Enabled bool   `json:"enabled"`
		Reason  string `json:"disabled_reason"`
	}
	a.want(http.StatusCreated, "POST", "/v1/notify/rules", map[string]any{
		"name": "costly", "event": "data.record.created", "channels": []string{"inbox"}, "to": map[string]any{"everyone": true},
		"title": "t", "body": costly(`"` + strings.Repeat("x", 20_000) + `"`),
	}, &rule)
	write(a)
	write(b)
	eventually(t, "a message to the other organization", func() bool { return unread(b) == 1 })
	s.stop()

	s = start(t, at, "--rate-limit", "0")
	a, b = s.logIn("ann@example.com"), s.logIn("bob@example.com")
	for range 10 {
		write(a)
	}
	write(b)
	eventually(t, "a message to the other organization after a restart", func() bool { return unread(b) == 2 })
	eventually(t, "the rule is switched off", func() bool {
		a.want(http.StatusOK, "GET", "/v1/notify/rules/"+rule.ID, nil, &rule)
		return !rule.Enabled && rule.Reason == "over_budget"
	})
	// Eleven messages of the rule of the installation, and the notice.
	eventually(t, "the organization's own messages", func() bool { return unread(a) == 12 })
	if n := failedMessages(a, rule.ID); n != 1 {
		t.Errorf("%d failed messages of the rule", n)
	}
}

// failedMessages counts those of a rule, or of all rules, that have failed.
func failedMessages(c *client, rule string) (n int) {
	c.t.Helper()
	var page struct {
		Data []struct{ Status, Rule string }
	}
	c.want(http.StatusOK, "GET", "/v1/notify/messages?limit=200", nil, &page)
	for _, m := range page.Data {
		if m.Status == "failed" && (rule == "" || m.Rule == rule) {
			n++
		}
	}
	return n
}

// TestFanOut has many rules and few records make many messages: what the limits
// leave out is a failed message a rule, and a sender is told.
func TestFanOut(t *testing.T) { onRelational(t, fanOut) }

func fanOut(t *testing.T, _ setup, at place) {
	s := start(t, at, "--rate-limit", "0", "--limit", "notify.fan_out=8", "--limit", "notify.messages=40", "--limit", "notify.rules=20")
	a, b := s.signUp("ann@example.com", "Ann's"), s.signUp("bob@example.com", "Bob's")
	rule := func(c *client, n int) int {
		return c.do("POST", "/v1/notify/rules", map[string]any{
			"name": fmt.Sprint("rule ", n), "event": "data.record.created", "channels": []string{"inbox"},
			"to": map[string]any{"everyone": true}, "title": "t",
		}).status
	}
	for n := range 20 {
		if got := rule(a, n); got != http.StatusCreated {
			t.Fatalf("got %d", got)
		}
	}
	if got := rule(a, 20); got != http.StatusForbidden {
		t.Errorf("a rule beyond the limit: %d", got)
	}
	for _, c := range []*client{a, b} {
		c.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]any{"name": "notes"}, nil)
	}
	for range 10 {
		a.want(http.StatusCreated, "POST", "/v1/data/collections/notes/records", map[string]any{"data": map[string]any{}}, nil)
	}
	unread := func(c *client) int {
		var page inboxPage
		c.want(http.StatusOK, "GET", "/v1/notify/inbox", nil, &page)
		return page.Unread
	}
	// Five records fill the day; of the installation's rule and the 20, eight
	// have room in each.
	eventually(t, "the day's messages", func() bool { return unread(a) == 40 })
	eventually(t, "a failed message of each rule", func() bool { return failedMessages(a, "") == 21 })
	send := map[string]any{"title": "t", "channels": []string{"inbox"}, "to": map[string]any{"everyone": true}}
	got := a.want(http.StatusTooManyRequests, "POST", "/v1/notify/messages", send, nil)
	if !strings.Contains(string(got.body), "notify.messages") || got.header.Get("Retry-After") == "" {
		t.Errorf("got %s", got.body)
	}
	b.want(http.StatusCreated, "POST", "/v1/notify/messages", send, nil)
	if n := unread(a); n != 40 {
		t.Errorf("%d messages", n)
	}
}
