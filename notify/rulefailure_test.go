package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/testdb"
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
	r, err := w.svc.CreateRule(context.Background(), acme, "ann", notify.Rule{
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
	list, _, err := w.svc.Messages(context.Background(), acme, 200, "")
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
	r, err := w.svc.Rule(ctx, acme, rule.ID)
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
	list, err := w.svc.RuleFailures(ctx, 0)
	if err != nil || len(list) != 1 || list[0].Tenant != acme || list[0].Rule != rule.ID || list[0].Name != "costly" || list[0].Total != 10 || !list[0].Disabled {
		t.Errorf("got %+v, %v", list, err)
	}
	// Its owner mends it and switches it on.
	w.want(200, acme, "ann", "PATCH", "/v1/notify/rules/"+rule.ID, `{"enabled":true,"body":"{{.data.id}}"}`)
	w.consume(recordCreated(acme, 12))
	if items := w.inbox(acme, "cat").Items; len(items) != 1 || items[0].Body != "rec_12" {
		t.Errorf("got %+v", items)
	}
	if r, err = w.svc.Rule(ctx, acme, rule.ID); err != nil || r.Failures != nil || r.DisabledReason != "" {
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
	w.consume(event(true), event(false), event(true))
	r, err := w.svc.Rule(context.Background(), acme, rule.ID)
	if err != nil || r.Disabled || r.Failures == nil || r.Failures.Total != 29 || r.Failures.OverBudget != 1 {
		t.Errorf("disabled %t, %+v, %v", r.Disabled, r.Failures, err)
	}
	if n := w.inbox(acme, "ann").Unread; n != 4 {
		t.Errorf("%d messages", n)
	}
}

func TestDisableRule(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	ctx := context.Background()
	rule := costlyRule(t, w)
	for _, id := range []string{rule.ID, "builtin:record-created"} {
		if err := w.svc.DisableRule(ctx, acme, id, "it costs too much"); err != nil {
			t.Fatal(err)
		}
		r, err := w.svc.Rule(ctx, acme, id)
		if err != nil || !r.Disabled || r.DisabledReason != "it costs too much" {
			t.Errorf("got %+v, %v", r, err)
		}
	}
	if err := w.svc.DisableRule(ctx, other, rule.ID, "no"); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("another tenant's rule: %v", err)
	}
	if err := w.svc.DisableRule(ctx, acme, rule.ID, ""); !errors.Is(err, platform.ErrInvalid) {
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
	_, err := w.svc.CreateRule(context.Background(), acme, "ann", notify.Rule{
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
		_, err := w.svc.CreateTemplate(ctx, acme, "ann", notify.Template{Name: name, Title: name, HTML: strings.Repeat("<b>{{.data.id}}</b>", 2000)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.svc.CreateRule(ctx, acme, "ann", notify.Rule{
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

// limits gives every tenant the same.
func limits(l platform.Limits) platform.LimitsFunc {
	return func(context.Context, platform.TenantID) (platform.Limits, error) { return l, nil }
}

// What rules make of events is counted before it is written: beyond the limit
// it is one failed message a day, and a counter.
func TestFanOutIsCountedBeforeItIsWritten(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w := start(t, func(c *notify.Config) {
		c.Limits = limits(platform.Limits{Rules: 20, FanOut: 6, MessagesPerDay: 20})
		c.Now = func() time.Time { return now }
	})
	ctx := context.Background()
	for i := range 4 {
		_, err := w.svc.CreateRule(ctx, acme, "ann", notify.Rule{
			Name: fmt.Sprint("rule ", i), Event: "data.*", Channels: []notify.Channel{notify.ChannelInbox},
			To: notify.RuleAudience{Audience: notify.Audience{Everyone: true}}, Title: "{{.data.id}}",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	entries := func() int { return w.count(`SELECT count(*) FROM notify_inbox`) }
	messages := func() int { return w.count(`SELECT count(*) FROM notify_messages`) }
	// Two of four rules fit into the six entries of an event.
	w.consume(recordCreated(acme, 1), recordCreated(acme, 2), recordCreated(acme, 3))
	if entries() != 18 || messages() != 6+2 {
		t.Fatalf("%d entries, %d messages", entries(), messages())
	}
	for _, m := range w.failed() {
		if !strings.Contains(m.Reason, "notify.fan_out of 6") {
			t.Errorf("got %+v", m)
		}
	}
	// Two are left of the day; what does not fit costs one message a rule.
	for i := range 30 {
		w.consume(recordCreated(acme, 10+i))
	}
	if entries() != 18 || messages() != 6+4 {
		t.Fatalf("%d entries, %d messages", entries(), messages())
	}
	list, err := w.svc.RuleFailures(ctx, 10)
	if err != nil || len(list) != 4 || list[0].Today != 30 && list[0].Today != 33 || list[0].Disabled {
		t.Errorf("got %+v, %v", list, err)
	}
	// A sender is told.
	send := notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "t"}
	var e *platform.Error
	if _, err := w.svc.Send(ctx, acme, send); !errors.As(err, &e) || e.Kind != platform.KindLimited || e.Code != "rate_exceeded" || e.RetryAfter != 12*time.Hour {
		t.Errorf("got %v", err)
	}
	send.To = notify.Audience{Users: []string{"ann", "bob"}}
	if _, err := w.svc.Send(ctx, acme, send); err != nil {
		t.Error(err)
	}
	// Nothing of it is another tenant's, and the next day is a new one.
	send.To = notify.Audience{Everyone: true}
	if _, err := w.svc.Send(ctx, other, send); err != nil {
		t.Error(err)
	}
	now = now.Add(24 * time.Hour)
	before := entries()
	w.consume(recordCreated(acme, 100))
	if entries() != before+6 {
		t.Errorf("%d entries", entries()-before)
	}
}

// Deliveries of events to endpoints count, too.
func TestWebhooksOfEventsAreLimited(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Limits = limits(platform.Limits{MessagesPerDay: 2}) })
	w.svc.SetTransport(&receiver{})
	w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["data.*"]}`)
	for i := range 5 {
		w.consume(recordCreated(acme, i))
	}
	if n := w.count(`SELECT count(*) FROM notify_deliveries`); n != 2 {
		t.Errorf("%d deliveries", n)
	}
	if got := w.failed(); len(got) != 1 || !strings.Contains(got[0].Reason, "notify.messages of 2") || got[0].Rule != "" {
		t.Errorf("got %+v", got)
	}
}

// A host that cannot say what the limits are does not stop the stream.
func TestLimitsThatAreUnknown(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testLimitsThatAreUnknown)
}

func testLimitsThatAreUnknown(t *testing.T) {
	var failing bool
	w := start(t, func(c *notify.Config) {
		c.Rules = []notify.Rule{builtin()}
		c.Limits = func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
			if failing && tenant == acme {
				return platform.Limits{}, errors.New("away")
			}
			return platform.Limits{}, nil
		}
	})
	failing = true
	w.consume(recordCreated(acme, 1), recordCreated(other, 1))
	if w.inbox(acme, "ann").Unread != 0 || w.inbox(other, "zoe").Unread != 1 {
		t.Error("not as it should be")
	}
	failing = false
	eventually(t, "the message", func() bool { return w.inbox(acme, "ann").Unread == 1 })
}

// A host may look into the store for what the limits are, which is not possible
// inside a transaction.
func TestLimitsAreReadOutsideOfTransactions(t *testing.T) {
	var w *world
	asked := 0
	w = start(t, func(c *notify.Config) {
		c.Rules = []notify.Rule{builtin()}
		c.Limits = func(ctx context.Context, tenant platform.TenantID) (platform.Limits, error) {
			asked++
			return platform.Limits{}, w.db.InTenant(ctx, tenant, func(context.Context, store.Tx) error { return nil }, store.ReadOnly)
		}
	})
	w.want(201, acme, "ann", "POST", "/v1/notify/rules", `{"name":"n","event":"*","channels":["inbox"],"to":{"users":["cat"]},"title":"t"}`)
	w.want(201, acme, "ann", "POST", "/v1/notify/templates", `{"name":"n","title":"t"}`)
	w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["notify.nothing"]}`)
	w.want(201, acme, "ann", "POST", "/v1/notify/messages", `{"template":"n","channels":["inbox"],"to":{"users":["bob"]}}`)
	w.consume(recordCreated(acme, 1))
	if asked != 5 || w.inbox(acme, "ann").Unread != 1 || w.inbox(acme, "bob").Unread != 1 {
		t.Errorf("asked %d times", asked)
	}
	err := w.db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
		for _, m := range []notify.Message{
			{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "t"},
			{Channels: []notify.Channel{notify.ChannelWebhook}, Title: "t"},
		} {
			if _, err := w.svc.SendIn(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { return w.inbox(acme, "ann").Unread == 2 })
}

func TestDefinitionsAreLimited(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Limits = limits(platform.Limits{Rules: 1, Templates: 1, Endpoints: 1}) })
	for path, body := range map[string]string{
		"rules":     `{"name":"n%d","event":"*","channels":["inbox"],"to":{"everyone":true},"title":"t"}`,
		"templates": `{"name":"n%d","title":"t"}`,
		"endpoints": `{"url":"https://hooks.example.com/%d","types":["*"]}`,
	} {
		w.want(201, acme, "ann", "POST", "/v1/notify/"+path, fmt.Sprintf(body, 1))
		if out := w.want(403, acme, "ann", "POST", "/v1/notify/"+path, fmt.Sprintf(body, 2)); out["code"] != "limit_exceeded" {
			t.Errorf("got %v", out)
		}
		w.want(201, other, "zoe", "POST", "/v1/notify/"+path, fmt.Sprintf(body, 1))
	}
}
