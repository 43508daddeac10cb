package notify_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// Every route with an id answers for another tenant's id what it answers for
// one that never was, and changes nothing; every list shows nothing of it.
func TestIsolation(t *testing.T) {
	w := start(t, nil)
	id := func(path string, body string) string {
		return w.want(201, acme, "ann", "POST", "/v1/notify/"+path, body)["id"].(string)
	}
	ids := map[string]string{
		"templates": id("templates", `{"name":"secretname","title":"x"}`),
		"rules":     id("rules", `{"name":"secretname","event":"data.x","channels":["inbox"],"to":{"everyone":true},"title":"t"}`),
		"endpoints": id("endpoints", `{"url":"https://secretname.example.com/","types":["data.x"],"enabled":false}`),
		"messages":  id("messages", `{"to":{"everyone":true},"channels":["inbox"],"title":"secretname"}`),
	}
	ids["inbox"] = ids["messages"]
	bodies := map[string]string{
		"PATCH templates": `{"title":"stolen"}`, "PATCH rules": `{"title":"stolen"}`, "PATCH endpoints": `{"description":"stolen"}`,
	}
	state := func() string {
		var all strings.Builder
		for _, path := range []string{"templates", "rules", "endpoints", "messages", "inbox"} {
			raw, _ := io.ReadAll(w.request(acme, "ann", "GET", "/v1/notify/"+path, nil).Body)
			all.Write(raw)
		}
		return all.String()
	}
	before := state()
	tried := 0
	for _, r := range w.svc.Routes() {
		if !strings.Contains(r.Path, "{id}") || r.Access.Level() == "operator" {
			continue
		}
		noun := strings.Split(r.Path, "/")[3]
		real, ok := ids[noun]
		if noun == "deliveries" {
			continue // below: it needs a delivery
		}
		if !ok {
			t.Errorf("%s is not tried", r.Path)
			continue
		}
		tried++
		var answers []string
		for _, id := range []string{real, real[:4] + strings.Repeat("0", 26)} {
			var body any
			if b := bodies[r.Method+" "+noun]; b != "" {
				body = b
			}
			res := w.request(other, "zoe", r.Method, strings.Replace(r.Path, "{id}", id, 1), body)
			raw, _ := io.ReadAll(res.Body)
			answers = append(answers, fmt.Sprint(res.StatusCode, string(raw)))
		}
		if answers[0] != answers[1] || !strings.HasPrefix(answers[0], "404") {
			t.Errorf("%s: %v", r.Operation, answers)
		}
	}
	if tried < 14 {
		t.Errorf("only %d routes were tried", tried)
	}
	for _, path := range []string{"templates", "rules", "endpoints", "messages", "inbox", "inbox?unread=true"} {
		raw, _ := io.ReadAll(w.request(other, "zoe", "GET", "/v1/notify/"+path, nil).Body)
		if strings.Contains(string(raw), "secretname") || strings.Contains(string(raw), `"unread":1`) {
			t.Errorf("%s shows it: %s", path, raw)
		}
	}
	// By name, too, and through a reference.
	w.want(404, other, "zoe", "GET", "/v1/notify/templates/secretname", nil)
	w.want(404, other, "zoe", "POST", "/v1/notify/templates/preview", `{"template":"`+ids["templates"]+`"}`)
	w.want(422, other, "zoe", "POST", "/v1/notify/messages", `{"to":{"users":["zoe"]},"channels":["inbox"],"template":"`+ids["templates"]+`"}`)
	w.want(422, other, "zoe", "POST", "/v1/notify/messages", `{"to":{"users":["ann"]},"channels":["inbox"],"title":"x"}`)
	if after := state(); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	// Nor do members reach what is for operators.
	w.want(403, acme, "ann", "GET", "/v1/operator/rule-failures", nil)
	w.want(403, other, "zoe", "POST", "/v1/operator/organizations/"+string(acme)+"/rules/"+ids["rules"]+"/disable", `{"reason":"x"}`)
	if after := state(); after != before {
		t.Errorf("an operation of operators changed something:\n%s\n%s", before, after)
	}
	// No route answers without a principal.
	for _, r := range w.svc.Routes() {
		if !r.Access.Declared() || r.Access.Public() {
			t.Errorf("%s: access", r.Operation)
		}
		var body any
		if r.Method == "POST" || r.Method == "PATCH" {
			if b := bodiesFor[r.Operation]; b != "" {
				body = b
			}
		}
		if res := w.request("", "", r.Method, strings.Replace(r.Path, "{id}", "x", 1), body); res.StatusCode != 401 {
			t.Errorf("%s without a principal: %d", r.Operation, res.StatusCode)
		}
	}
}

// bodiesFor are valid bodies of the operations that need one.
var bodiesFor = map[string]string{
	"notify.messages.send":     `{"channels":["inbox"]}`,
	"notify.templates.create":  `{"name":"x","title":"x"}`,
	"notify.templates.update":  `{}`,
	"notify.templates.preview": `{}`,
	"notify.rules.create":      `{"name":"x","event":"x","channels":["inbox"]}`,
	"notify.rules.update":      `{}`,
	"notify.endpoints.create":  `{"url":"x","types":["x"]}`,
	"notify.endpoints.update":  `{}`,
	"operator.rules.disable":   `{"reason":"x"}`,
}

func TestDeliveryOfAnother(t *testing.T) {
	w, _, id, _ := webhooks(t, "data.*")
	d := w.want(202, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/test", nil)["id"].(string)
	w.want(404, other, "zoe", "POST", "/v1/notify/deliveries/"+d+"/retry", nil)
	eventually(t, "the delivery", func() bool { return w.deliveries(id)[0].Status == "delivered" })
}

// A user of two tenants has two inboxes.
func TestOneUserTwoTenants(t *testing.T) {
	w := start(t, nil)
	w.people.add(other, "ann", "member")
	here := w.say(acme, "here", "ann").ID
	there := w.say(other, "there", "ann").ID
	w.want(404, other, "ann", "POST", "/v1/notify/inbox/"+here+"/read", nil)
	w.want(200, other, "ann", "POST", "/v1/notify/inbox/read-all", nil)
	if got := w.inbox(acme, "ann"); got.Unread != 1 || len(got.Items) != 1 || got.Items[0].ID != here || !got.Items[0].ReadAt.IsZero() {
		t.Errorf("here: %+v", got)
	}
	if got := w.inbox(other, "ann"); got.Unread != 0 || len(got.Items) != 1 || got.Items[0].ID != there || got.Items[0].ReadAt.IsZero() {
		t.Errorf("there: %+v", got)
	}
}
