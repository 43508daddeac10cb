package notify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
)

func builtin() notify.Rule {
	return notify.Rule{
		ID: "record-created", Name: "Record created", Event: "data.record.created", Channels: []notify.Channel{notify.ChannelInbox},
		To:    notify.RuleAudience{Audience: notify.Audience{Roles: []string{"owner"}}},
		Title: "New record in {{.data.collection}}", Body: "{{.event.actor}} created {{.data.id}}.",
	}
}

func TestRuleToInbox(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testRuleToInbox)
}

func testRuleToInbox(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	w.emit(recordCreated(acme, 1))
	eventually(t, "the message", func() bool { return w.inbox(acme, "ann").Unread == 1 })
	got := w.inbox(acme, "ann").Items[0]
	if got.Title != "New record in movies" || got.Body != "bob created rec_1." || !got.ReadAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	for _, user := range []string{"bob", "cat", "zoe"} {
		if n := w.inbox(acme, user).Unread; n != 0 {
			t.Errorf("%s has %d messages", user, n)
		}
	}
	if n := w.inbox(other, "ann").Unread; n != 0 {
		t.Errorf("the other tenant has %d messages", n)
	}
}

func TestSameEventTwice(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	batch := []platform.Event{recordCreated(acme, 1), recordCreated(acme, 2), recordCreated(acme, 1)}
	for range 2 {
		if err := w.svc.Consume(context.Background(), batch); err != nil {
			t.Fatal(err)
		}
	}
	got := w.inbox(acme, "ann")
	if got.Unread != 2 || len(got.Items) != 2 || got.Items[1].Body != "bob created rec_1." {
		t.Errorf("got %+v", got)
	}
}

func TestRulesOverHTTP(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testRulesOverHTTP)
}

func testRulesOverHTTP(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	const path = "/v1/notify/rules"
	rule := w.want(201, acme, "ann", "POST", path, `{"name":"big","event":"data.*","filter":{"n":{"$gte":5}},"channels":["inbox"],
		"to":{"everyone":true,"exclude_actor":true},"title":"{{.event.type}} {{.data.n}}"}`)
	id := rule["id"].(string)
	if rule["enabled"] != true || rule["filter"].(map[string]any)["n"] == nil {
		t.Errorf("got %v", rule)
	}
	// The host's rule is switched off for one tenant only.
	off := w.want(200, acme, "ann", "PATCH", path+"/builtin:record-created", `{"enabled":false}`)
	if off["enabled"] != false || off["built_in"] != true {
		t.Errorf("got %v", off)
	}
	w.emit(recordCreated(acme, 4), recordCreated(acme, 5), recordCreated(other, 1))
	eventually(t, "messages", func() bool { return w.inbox(acme, "cat").Unread == 1 && w.inbox(other, "zoe").Unread == 1 })
	if got := w.inbox(acme, "ann"); len(got.Items) != 1 || got.Items[0].Title != "data.record.created 5" {
		t.Errorf("ann: %+v", got)
	}
	if n := w.inbox(acme, "bob").Unread; n != 0 {
		t.Errorf("the actor has %d", n)
	}
	// A change holds for the events after it.
	w.want(200, acme, "ann", "PATCH", path+"/"+id, `{"filter":null,"to":{"actor":true},"title":"all"}`)
	w.emit(recordCreated(acme, 6))
	eventually(t, "the actor's", func() bool { return w.inbox(acme, "bob").Unread == 1 })
	w.want(200, acme, "ann", "PATCH", path+"/"+id, `{"enabled":false}`)
	w.emit(recordCreated(acme, 7))
	w.want(200, acme, "ann", "PATCH", path+"/builtin:record-created", `{"enabled":true}`)
	w.emit(recordCreated(acme, 8))
	eventually(t, "the host's", func() bool { return w.inbox(acme, "ann").Items[0].Body == "bob created rec_8." })
	if n := w.inbox(acme, "bob").Unread; n != 1 {
		t.Errorf("bob has %d", n)
	}
	list := w.want(200, acme, "ann", "GET", path, nil)["data"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["id"] != "builtin:record-created" || list[1].(map[string]any)["id"] != id {
		t.Errorf("got %v", list)
	}
	w.want(409, acme, "ann", "PATCH", path+"/builtin:record-created", `{"title":"mine"}`)
	w.want(409, acme, "ann", "DELETE", path+"/builtin:record-created", nil)
	w.want(404, acme, "ann", "GET", path+"/builtin:no", nil)
	w.want(204, acme, "ann", "DELETE", path+"/"+id, nil)
	w.want(404, acme, "ann", "GET", path+"/"+id, nil)
}

func TestBadRules(t *testing.T) {
	w := start(t, nil)
	for name, c := range map[string]struct{ body, path string }{
		"pattern":       {`{"name":"x","event":"data*","channels":["inbox"],"to":{"everyone":true},"title":"t"}`, "/event"},
		"inner pattern": {`{"name":"x","event":"*.created","channels":["inbox"],"to":{"everyone":true},"title":"t"}`, "/event"},
		"operator":      {`{"name":"x","event":"*","filter":{"n":{"$where":1}},"channels":["inbox"],"to":{"everyone":true},"title":"t"}`, "/filter/n/$where"},
		"template":      {`{"name":"x","event":"*","channels":["inbox"],"to":{"everyone":true},"title":"{{"}`, "/title"},
		"nobody":        {`{"name":"x","event":"*","channels":["inbox"],"title":"t"}`, "/to"},
		"no text":       {`{"name":"x","event":"*","channels":["inbox"],"to":{"everyone":true}}`, "/title"},
		"unknown":       {`{"name":"x","event":"*","channels":["inbox"],"to":{"everyone":true},"template":"no"}`, "/template"},
		"no e-mail":     {`{"name":"x","event":"*","channels":["email"],"to":{"everyone":true},"title":"t"}`, "/channels/0"},
	} {
		t.Run(name, func(t *testing.T) {
			out := w.want(422, acme, "ann", "POST", "/v1/notify/rules", c.body)
			if first := out["errors"].([]any)[0].(map[string]any); first["path"] != c.path {
				t.Errorf("got %v", out)
			}
		})
	}
}

// A text that cannot be made is set aside where its owner sees it, and what
// comes after it arrives.
func TestRuleThatCannotBeRendered(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testUnrenderable)
}

func testUnrenderable(t *testing.T) {
	w := start(t, nil)
	w.want(201, acme, "ann", "POST", "/v1/notify/rules",
		`{"name":"broken","event":"data.record.created","channels":["inbox"],"to":{"everyone":true},"title":"{{.data.n}}","body":"{{if gt .data.n 1}}{{.data.missing}}{{end}}"}`)
	w.emit(recordCreated(acme, 2), recordCreated(acme, 1))
	eventually(t, "the good one", func() bool { return w.inbox(acme, "ann").Unread == 1 })
	list := w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil)["data"].([]any)
	failed := list[1].(map[string]any)
	if failed["status"] != "failed" || !strings.Contains(failed["reason"].(string), "missing") || failed["event"] != "evt_org_acme_000002" {
		t.Errorf("got %v", list)
	}
}

// A rule does not hear of what this service does.
func TestRulesDoNotFeedThemselves(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testNoLoop)
}

func testNoLoop(t *testing.T) {
	w := start(t, nil)
	w.want(201, acme, "ann", "POST", "/v1/notify/rules", `{"name":"all","event":"*","channels":["inbox"],"to":{"users":["ann"]},"title":"{{.event.type}}"}`)
	w.say(acme, "hello", "bob")
	w.emit(recordCreated(acme, 1))
	eventually(t, "the record's", func() bool { return w.inbox(acme, "ann").Unread == 1 })
	if got := w.inbox(acme, "ann").Items[0].Title; got != "data.record.created" {
		t.Errorf("got %q", got)
	}
}

// While the directory is away the stream goes on, and the message comes later.
func TestDirectoryAway(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testDirectoryAway)
}

func testDirectoryAway(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	w.people.fail(errors.New("away"))
	if err := w.svc.Consume(context.Background(), []platform.Event{recordCreated(acme, 1)}); err != nil {
		t.Fatal(err)
	}
	list := w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil)["data"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["status"] != "accepted" {
		t.Fatalf("got %v", list)
	}
	w.people.fail(nil)
	deadline := time.Now().Add(time.Hour)
	for w.inbox(acme, "ann").Unread == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Second)
	}
	if got := w.inbox(acme, "ann"); got.Unread != 1 {
		t.Errorf("got %+v", got)
	}
	list = w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil)["data"].([]any)
	if m := list[0].(map[string]any); m["status"] != "dispatched" || m["inbox_recipients"] != 1.0 {
		t.Errorf("got %v", list)
	}
}

// The directory is asked once for many events, and again after one of the user
// service or after a while.
func TestDirectoryCache(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testDirectoryCache)
}

func testDirectoryCache(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	n := 0
	feed := func(extra ...platform.Event) {
		t.Helper()
		n++
		if err := w.svc.Consume(context.Background(), append(extra, recordCreated(acme, n))); err != nil {
			t.Fatal(err)
		}
	}
	feed()
	feed()
	if w.people.calls != 1 {
		t.Errorf("asked %d times", w.people.calls)
	}
	w.people.add(acme, "dan", "owner")
	feed(platform.Event{ID: "evt_j", Source: "/user", Type: "user.member.joined", Tenant: acme, Subject: "dan", Time: created})
	if got := w.inbox(acme, "dan").Unread; got != 1 {
		t.Errorf("dan has %d", got)
	}
	time.Sleep(6 * time.Second)
	feed()
	if w.people.calls != 3 {
		t.Errorf("asked %d times", w.people.calls)
	}
}

func TestTemplatesOverHTTP(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testTemplatesOverHTTP)
}

func testTemplatesOverHTTP(t *testing.T) {
	w := start(t, nil)
	const path = "/v1/notify/templates"
	res := w.request(acme, "ann", "POST", path, `{"name":"welcome","title":"Hi {{.name}}","body":"Welcome","html":"<b>{{.name}}</b>"}`)
	if res.StatusCode != 201 || !strings.HasPrefix(res.Header.Get("Location"), path+"/tpl_") {
		t.Fatalf("got %d %v", res.StatusCode, res.Header)
	}
	id := strings.TrimPrefix(res.Header.Get("Location"), path+"/")
	w.want(409, acme, "ann", "POST", path, `{"name":"welcome","title":"x"}`)
	w.want(422, acme, "ann", "POST", path, `{"name":"tpl_x","title":"x"}`)
	w.want(422, acme, "ann", "PATCH", path+"/"+id, `{"body":"{{.x"}`)
	w.want(201, other, "zoe", "POST", path, `{"name":"welcome","title":"x"}`)
	out := w.want(200, acme, "ann", "POST", path+"/preview", `{"template":"welcome","variables":{"name":"<A>"}}`)
	if out["title"] != "Hi <A>" || out["html"] != "<b>&lt;A&gt;</b>" {
		t.Errorf("preview: %v", out)
	}
	w.want(422, acme, "ann", "POST", path+"/preview", `{"template":"welcome"}`)
	w.want(404, acme, "ann", "POST", path+"/preview", `{"template":"no"}`)
	sent := w.want(201, acme, "ann", "POST", "/v1/notify/messages", `{"to":{"users":["bob"]},"channels":["inbox"],"template":"welcome","variables":{"name":"Bob\r\nX: y"}}`)
	if sent["title"] != "Hi Bob  X: y" || sent["body"] != "Welcome" {
		t.Errorf("sent: %v", sent)
	}
	// A rule keeps to its template through a change of its name, and uses its new text.
	w.want(201, acme, "ann", "POST", "/v1/notify/rules", `{"name":"r","event":"data.record.created","channels":["inbox"],"to":{"users":["cat"]},"template":"welcome"}`)
	w.want(200, acme, "ann", "PATCH", path+"/"+id, `{"name":"hello","title":"{{.data.collection}}","html":""}`)
	w.emit(recordCreated(acme, 1))
	eventually(t, "the rule", func() bool { return w.inbox(acme, "cat").Unread == 1 })
	if got := w.inbox(acme, "cat").Items[0].Title; got != "movies" {
		t.Errorf("got %q", got)
	}
	if out := w.want(409, acme, "ann", "DELETE", path+"/"+id, nil); out["code"] != "template_in_use" {
		t.Errorf("got %v", out)
	}
	if list := w.want(200, acme, "ann", "GET", path, nil)["data"].([]any); len(list) != 1 {
		t.Errorf("got %v", list)
	}
}

// A batch holds the events of many tenants; each is held against its own rules.
func TestBatchOfManyTenants(t *testing.T) {
	w := start(t, nil)
	rule := `{"name":"r","event":"data.record.created","channels":["inbox"],"to":{"everyone":true},"title":"of %s"}`
	w.want(201, acme, "ann", "POST", "/v1/notify/rules", strings.Replace(rule, "%s", "acme", 1))
	w.want(201, other, "zoe", "POST", "/v1/notify/rules", strings.Replace(rule, "%s", "other", 1))
	batch := []platform.Event{recordCreated(acme, 1), recordCreated(other, 1), recordCreated("org_third", 1), recordCreated(acme, 2)}
	if err := w.svc.Consume(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	if got := w.inbox(acme, "ann"); got.Unread != 2 || got.Items[0].Title != "of acme" {
		t.Errorf("acme: %+v", got)
	}
	if got := w.inbox(other, "zoe"); got.Unread != 1 || got.Items[0].Title != "of other" {
		t.Errorf("other: %+v", got)
	}
}
