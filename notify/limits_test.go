package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// limits gives every tenant the same.
func limits(l platform.Limits) platform.LimitsFunc {
	return func(context.Context, platform.TenantID) (platform.Limits, error) { return l, nil }
}

// What rules make of events is counted before it is written: beyond the limit
// it is one failed message a day, and a counter.
func TestFanOutIsCountedBeforeItIsWritten(t *testing.T) {
	c := newClock() // at noon
	w := start(t, func(cfg *notify.Config) {
		cfg.Limits, cfg.Now = limits(platform.Limits{Rules: 20, FanOut: 6, MessagesPerDay: 20}), c.now
	})
	ctx := context.Background()
	for i := range 4 {
		_, err := w.svc.CreateRule(ctx, platform.System(acme, "ann"), notify.Rule{
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
	list, err := w.svc.RuleFailures(ctx, operator, 10)
	if err != nil || len(list) != 4 || list[0].Today != 30 && list[0].Today != 33 || list[0].Disabled {
		t.Errorf("got %+v, %v", list, err)
	}
	// A sender is told.
	send := notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "t"}
	var e *platform.Error
	if _, err := w.svc.Send(ctx, platform.System(acme, "test"), send); !errors.As(err, &e) || e.Kind != platform.KindLimited || e.Code != "rate_exceeded" || e.RetryAfter != 12*time.Hour {
		t.Errorf("got %v", err)
	}
	send.To = notify.Audience{Users: []string{"ann", "bob"}}
	if _, err := w.svc.Send(ctx, platform.System(acme, "test"), send); err != nil {
		t.Error(err)
	}
	// Nothing of it is another tenant's, and the next day is a new one.
	send.To = notify.Audience{Everyone: true}
	if _, err := w.svc.Send(ctx, platform.System(other, "test"), send); err != nil {
		t.Error(err)
	}
	c.pass(day)
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
	var failing atomic.Bool
	w := start(t, func(c *notify.Config) {
		c.Rules = []notify.Rule{builtin()}
		c.Limits = func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
			if failing.Load() && tenant == acme {
				return platform.Limits{}, errors.New("away")
			}
			return platform.Limits{}, nil
		}
	})
	failing.Store(true)
	w.consume(recordCreated(acme, 1), recordCreated(other, 1))
	if w.inbox(acme, "ann").Unread != 0 || w.inbox(other, "zoe").Unread != 1 {
		t.Error("not as it should be")
	}
	failing.Store(false)
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
			if _, err := w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, m); err != nil {
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
