package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// heavy is an event whose data makes the rule of costlyRule take too much.
func heavy(tenant platform.TenantID, n int) platform.Event {
	e := recordCreated(tenant, n)
	e.Data = json.RawMessage(`{"collection":"movies","id":"rec_1","x":"` + strings.Repeat("x", 64_000) + `"}`)
	return e
}

func costlyRule(t testing.TB, w *world) notify.Rule {
	t.Helper()
	r, err := w.svc.CreateRule(context.Background(), platform.System(acme, "ann"), notify.Rule{
		Name: "costly", Event: "data.*", Channels: []notify.Channel{notify.ChannelInbox},
		To: notify.RuleAudience{Audience: notify.Audience{Everyone: true}}, Title: "t",
		Body: "{{if .data.x}}" + strings.Replace(costly(), ".x", ".data.x", 1) + "{{end}}",
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) consume(events ...platform.Event) {
	w.t.Helper()
	if err := w.svc.Consume(context.Background(), events); err != nil {
		w.t.Fatal(err)
	}
}

// failed are the failed messages of acme.
func (w *world) failed() (out []notify.SentMessage) {
	w.t.Helper()
	list, _, err := w.svc.Messages(context.Background(), platform.System(acme, "test"), 200, "")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range list {
		if m.Status == notify.MessageFailed {
			out = append(out, m)
		}
	}
	return out
}

// A rule whose text takes too much harms its tenant alone: the others' messages
// arrive, it becomes one failed message, and the tenth time switches it off.
func TestRuleOverItsBudget(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testRuleOverItsBudget)
}

func testRuleOverItsBudget(t *testing.T) {
	place, people := testdb.NewPlace(t), everybody()
	rules := func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} }
	w := open(t, place, people, rules)
	ctx := context.Background()
	rule := costlyRule(t, w)
	w.consume(heavy(acme, 1), recordCreated(other, 1), heavy(acme, 2))
	if n := w.inbox(other, "zoe").Unread; n != 1 {
		t.Errorf("the other tenant has %d messages", n)
	}
	if n := w.inbox(acme, "ann").Unread; n != 2 {
		t.Errorf("the tenant's other rule made %d messages", n)
	}
	got := w.failed()
	if len(got) != 1 || !strings.Contains(got[0].Reason, "the text works on more than") || got[0].Rule != rule.ID || got[0].Event != "evt_org_acme_000001" {
		t.Errorf("got %+v", got)
	}
	w.close()

	// After a restart the events come again, and cost nothing more; the count
	// goes on.
	w = reopen(t, place, people, rules, nil)
	defer w.close()
	w.consume(heavy(acme, 1), heavy(acme, 2))
	for n := range 7 {
		w.consume(heavy(acme, n+3))
	}
	r, err := w.svc.Rule(ctx, platform.System(acme, "test"), rule.ID)
	if err != nil || r.Disabled || r.Failures == nil || r.Failures.Today != 9 || r.Failures.OverBudget != 9 || len(w.failed()) != 1 {
		t.Fatalf("got %+v, %+v, %v", r, r.Failures, err)
	}
	w.consume(heavy(acme, 10))
	wire := w.want(200, acme, "ann", "GET", "/v1/notify/rules/"+rule.ID, nil)
	if wire["enabled"] != false || wire["disabled_reason"] != "over_budget" || wire["failures"].(map[string]any)["total"] != 10.0 {
		t.Errorf("got %v", wire)
	}
	w.consume(heavy(acme, 11))
	eventually(t, "the notice", func() bool {
		items := w.inbox(acme, "ann").Items
		return len(items) == 12 && items[1].Title == "A rule was switched off" || len(items) == 12 && items[0].Title == "A rule was switched off"
	})
	list, err := w.svc.RuleFailures(ctx, platform.System(acme, "test"), 0)
	if err != nil || len(list) != 1 || list[0].Tenant != acme || list[0].Rule != rule.ID || list[0].Name != "costly" || list[0].Total != 10 || !list[0].Disabled {
		t.Errorf("got %+v, %v", list, err)
	}
	// Its owner mends it and switches it on.
	w.want(200, acme, "ann", "PATCH", "/v1/notify/rules/"+rule.ID, `{"enabled":true,"body":"{{.data.id}}"}`)
	w.consume(recordCreated(acme, 12))
	if items := w.inbox(acme, "cat").Items; len(items) != 1 || items[0].Body != "rec_12" {
		t.Errorf("got %+v", items)
	}
	if r, err = w.svc.Rule(ctx, platform.System(acme, "test"), rule.ID); err != nil || r.Failures != nil || r.DisabledReason != "" {
		t.Errorf("got %+v, %v", r, err)
	}
}

// Only texts in a row that take too much count towards the end of a rule.
func TestRuleThatWorksNowAndThenStaysOn(t *testing.T) {
	w := start(t, nil)
	rule := costlyRule(t, w)
	n := 0
	event := func(heavyOne bool) platform.Event {
		n++
		if heavyOne {
			return heavy(acme, n)
		}
		e := recordCreated(acme, n)
		e.Data = json.RawMessage(`{"x":""}`)
		return e
	}
	for range 3 {
		for range 9 {
			w.consume(event(true))
		}
		w.consume(event(false))
	}
	w.consume(event(true), event(true))
	w.consume(event(true), event(false), event(true))
	r, err := w.svc.Rule(context.Background(), platform.System(acme, "test"), rule.ID)
	if err != nil || r.Disabled || r.Failures == nil || r.Failures.Total != 31 || r.Failures.OverBudget != 1 {
		t.Errorf("disabled %t, %+v, %v", r.Disabled, r.Failures, err)
	}
	if n := w.inbox(acme, "ann").Unread; n != 4 {
		t.Errorf("%d messages", n)
	}
}

var operator = platform.Principal{Tenant: platform.NoTenant, Subject: "opk_1", Kind: platform.PrincipalOperator}

// An operator finds the rule that fails over HTTP, and switches it off.
func TestOperatorOverHTTP(t *testing.T) {
	w := start(t, nil)
	rule := costlyRule(t, w)
	w.consume(heavy(acme, 1))
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.mux.ServeHTTP(rec, r.WithContext(platform.WithPrincipal(r.Context(), operator)))
		return rec
	}
	list := ask("GET", "/v1/operator/rule-failures", "")
	if body := list.Body.String(); list.Code != 200 || !strings.Contains(body, `"rule":"`+rule.ID+`"`) || !strings.Contains(body, `"enabled":true`) {
		t.Errorf("got %d %s", list.Code, body)
	}
	path := "/v1/operator/organizations/" + string(acme) + "/rules/" + rule.ID + "/disable"
	if res := ask("POST", path, `{"reason":""}`); res.Code != 422 {
		t.Errorf("without a reason: %d", res.Code)
	}
	if res := ask("POST", path, `{"reason":"it costs too much"}`); res.Code != 204 {
		t.Errorf("got %d %s", res.Code, res.Body)
	}
	if body := ask("GET", "/v1/operator/rule-failures", "").Body.String(); !strings.Contains(body, `"enabled":false`) {
		t.Errorf("still on: %s", body)
	}
}

func TestDisableRule(t *testing.T) {
	var audit []string
	w := start(t, func(c *notify.Config) {
		c.Rules = []notify.Rule{builtin()}
		c.Audit = func(_ context.Context, tx store.Tx, p platform.Principal, operation, target string) error {
			audit = append(audit, string(tx.Tenant())+" "+p.Subject+" "+operation+" "+target)
			return nil
		}
	})
	ctx := context.Background()
	rule := costlyRule(t, w)
	for _, id := range []string{rule.ID, "builtin:record-created"} {
		if err := w.svc.DisableRule(ctx, operator, acme, id, "it costs too much"); err != nil {
			t.Fatal(err)
		}
		r, err := w.svc.Rule(ctx, platform.System(acme, "test"), id)
		if err != nil || !r.Disabled || r.DisabledReason != "it costs too much" {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	if want := []string{
		string(acme) + " opk_1 operator.rules.disable " + rule.ID, string(acme) + " opk_1 operator.rules.disable builtin:record-created",
	}; !slices.Equal(audit, want) {
		t.Errorf("the audit has %q, want %q", audit, want)
	}
	ann := platform.Principal{Tenant: acme, Subject: "ann", Kind: platform.PrincipalUser, Roles: []string{"owner"}}
	if err := w.svc.DisableRule(ctx, ann, acme, rule.ID, "no"); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("a member: %v", err)
	}
	if _, err := w.svc.RuleFailures(ctx, ann, 0); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("a member: %v", err)
	}
	if err := w.svc.DisableRule(ctx, operator, other, rule.ID, "no"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("another tenant's rule: %v", err)
	}
	if err := w.svc.DisableRule(ctx, operator, acme, rule.ID, ""); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	w.consume(recordCreated(acme, 1), recordCreated(other, 1))
	eventually(t, "the notices", func() bool { return w.inbox(acme, "ann").Unread == 2 })
	if n := w.inbox(other, "zoe").Unread; n != 1 {
		t.Errorf("the other tenant has %d", n)
	}
}

// What one pass of the consumer has no time for becomes jobs: nothing is lost,
// and the batch ends.
func TestBusyTenantsEventsBecomeJobs(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testBusyTenantsEventsBecomeJobs)
}

func testBusyTenantsEventsBecomeJobs(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	_, err := w.svc.CreateRule(context.Background(), platform.System(acme, "ann"), notify.Rule{
		Name: "dear", Event: "data.*", Channels: []notify.Channel{notify.ChannelInbox},
		To: notify.RuleAudience{Audience: notify.Audience{Users: []string{"cat"}}}, Title: "t", Body: "{{range 15000}}{{end}}{{.data.id}}",
	})
	if err != nil {
		t.Fatal(err)
	}
	const n = 40
	var batch []platform.Event
	for i := range n {
		batch = append(batch, recordCreated(acme, i))
	}
	batch = append(batch, recordCreated(other, 1))
	w.consume(batch...)
	if got := w.inbox(other, "zoe").Unread; got != 1 {
		t.Errorf("the other tenant has %d messages", got)
	}
	if got := w.count(`SELECT count(*) FROM notify_waiting_events`); got < n/2 {
		t.Errorf("%d events wait", got)
	}
	w.consume(batch...) // again
	eventually(t, "all messages", func() bool { return w.inbox(acme, "cat").Unread == n })
	seen := make(map[string]bool)
	for _, i := range w.inbox(acme, "cat").Items {
		seen[i.Body] = true
	}
	if len(seen) != n || w.inbox(acme, "ann").Unread != n || w.count(`SELECT count(*) FROM notify_waiting_events`) != 0 {
		t.Errorf("%d messages differ, ann has %d", len(seen), w.inbox(acme, "ann").Unread)
	}
}

// To compile the texts of rules counts as what they do: a tenant that changes
// them again and again must not have the consumer of all tenants compile them.
func TestCompilingRulesIsPaidFor(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testCompilingRulesIsPaidFor)
}

func testCompilingRulesIsPaidFor(t *testing.T) {
	w := start(t, nil)
	ctx := context.Background()
	for i := range 8 {
		name := fmt.Sprint("long", i)
		_, err := w.svc.CreateTemplate(ctx, platform.System(acme, "ann"), notify.Template{Name: name, Title: name, HTML: strings.Repeat("<b>{{.data.id}}</b>", 2000)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.svc.CreateRule(ctx, platform.System(acme, "ann"), notify.Rule{
			Name: name, Event: "data.*", Channels: []notify.Channel{notify.ChannelInbox}, Template: name,
			To: notify.RuleAudience{Audience: notify.Audience{Users: []string{"cat"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.consume(recordCreated(acme, 1))
	if n := w.count(`SELECT count(*) FROM notify_waiting_events`); n != 1 {
		t.Errorf("%d events wait", n)
	}
	eventually(t, "the messages", func() bool { return w.inbox(acme, "cat").Unread == 8 })
}
