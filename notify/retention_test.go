package notify_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

const day = 24 * time.Hour

// clock is a clock that tests set while a service runs.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(created.UnixMicro())
	return c
}

func (c *clock) now() time.Time        { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration)  { c.at.Add(d.Microseconds()) }
func (w *world) rows(table string) int { return w.count(`SELECT count(*) FROM ` + table) }

// rested waits for the first rounds in the background: the next are an hour away.
func (w *world) rested() {
	w.t.Helper()
	eventually(w.t, "the first rounds", func() bool { return w.count(`SELECT count(*) FROM retention_leases WHERE owner = ''`) == 8 })
}

// What has been kept for long enough is removed, with all that belongs to it,
// of every tenant, and nothing else.
func TestOldMessagesAreRemoved(t *testing.T) {
	c := newClock()
	w := start(t, func(cfg *notify.Config) { cfg.Now = c.now })
	w.rested()
	ctx := context.Background()
	send := func(tenant platform.TenantID, id string) {
		t.Helper()
		_, err := w.svc.Send(ctx, platform.System(tenant, "test"), notify.Message{
			ID: id, To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox, notify.ChannelWebhook}, Title: id,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.svc.SetTransport(&receiver{})
	for _, tenant := range []platform.TenantID{acme, other} {
		w.want(201, tenant, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["notify.message","data.*"]}`)
	}
	for i := range 60 { // more than a step
		send(acme, fmt.Sprint("old", i))
	}
	send(other, "old")
	w.consume(recordCreated(acme, 1), recordCreated(other, 1)) // webhooks of events
	eventually(t, "the webhooks", func() bool {
		return w.count(`SELECT count(*) FROM notify_deliveries WHERE status = 'delivered'`) == 63
	})
	if _, err := w.svc.Read(ctx, platform.System(acme, "ann"), "old0"); err != nil {
		t.Fatal(err)
	}
	c.pass(85 * day)
	send(acme, "new")
	eventually(t, "the webhook", func() bool { return w.count(`SELECT count(*) FROM notify_deliveries WHERE status = 'delivered'`) >= 1 })
	retain := func() {
		t.Helper()
		if err := w.svc.Retain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// Deliveries go after 30 days, messages after 90.
	retain()
	if w.rows("notify_deliveries") != 1 || w.rows("notify_attempts") > 1 || w.rows("notify_messages") != 62 {
		t.Fatalf("%d deliveries, %d attempts, %d messages", w.rows("notify_deliveries"), w.rows("notify_attempts"), w.rows("notify_messages"))
	}
	c.pass(10 * day)
	retain()
	if w.rows("notify_messages") != 1 || w.rows("notify_inbox") != 3 {
		t.Errorf("%d messages, %d entries", w.rows("notify_messages"), w.rows("notify_inbox"))
	}
	for user, n := range map[string]int{"ann": 1, "bob": 1} {
		if got := w.inbox(acme, user); got.Unread != n || len(got.Items) != 1 || got.Items[0].ID != "new" {
			t.Errorf("%s: %+v", user, got)
		}
	}
	if got := w.inbox(other, "zoe"); got.Unread != 0 || len(got.Items) != 0 {
		t.Errorf("zoe: %+v", got)
	}
	send(acme, "old1") // an id is free again
}

// A message to more people than a step removes goes in several.
func TestRemovalGoesInSmallSteps(t *testing.T) {
	c := newClock()
	w := start(t, func(cfg *notify.Config) { cfg.Now = c.now })
	w.rested()
	for i := range 1200 {
		w.people.add(other, fmt.Sprint("user", i))
	}
	ctx := context.Background()
	_, err := w.svc.Send(ctx, platform.System(other, "test"), notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "t"})
	if err != nil {
		t.Fatal(err)
	}
	c.pass(91 * day)
	least := 1201
	for more := true; more; {
		if more, err = w.svc.RetainStep(ctx, "notify.messages"); err != nil {
			t.Fatal(err)
		}
		left := w.rows("notify_inbox")
		if least-left > 500 {
			t.Errorf("a step removed %d", least-left)
		}
		least = left
	}
	if least != 0 || w.rows("notify_messages") != 0 || w.count(`SELECT sum(unread) FROM notify_unread`) != 0 {
		t.Errorf("%d entries, %d messages", least, w.rows("notify_messages"))
	}
}

// A host keeps everything by saying so.
func TestNothingIsRemovedByChoice(t *testing.T) {
	c := newClock()
	w := start(t, func(cfg *notify.Config) { cfg.Now, cfg.MessageRetention, cfg.DeliveryRetention = c.now, -1, -1 })
	ctx := context.Background()
	if _, err := w.svc.Send(ctx, platform.System(acme, "test"), notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "t"}); err != nil {
		t.Fatal(err)
	}
	c.pass(10 * 365 * day)
	if err := w.svc.Retain(ctx); err != nil || w.rows("notify_messages") != 1 {
		t.Errorf("%d messages, %v", w.rows("notify_messages"), err)
	}
	_, err := notify.New(notify.Config{MessageRetention: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "MessageRetention must be at least 7 days") {
		t.Errorf("got %v", err)
	}
}

// What a tenant has used, it can see; another's is not in it.
func TestUsage(t *testing.T) {
	c := newClock()
	w := start(t, func(cfg *notify.Config) {
		cfg.Now, cfg.Limits = c.now, limits(platform.Limits{MessagesPerDay: 100, Rules: 7, Templates: -1})
	})
	ctx := context.Background()
	costlyRule(t, w)
	w.want(201, acme, "ann", "POST", "/v1/notify/templates", `{"name":"n","title":"t"}`)
	if _, err := w.svc.Send(ctx, platform.System(acme, "test"), notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "t"}); err != nil {
		t.Fatal(err)
	}
	for tenant, used := range map[platform.TenantID][]int64{acme: {3, 0, 1, 1, 0}, other: {0, 0, 0, 0, 0}} {
		got, err := w.svc.Usage(ctx, tenant)
		if err != nil {
			t.Fatal(err)
		}
		midnight := created.Truncate(day).Add(day)
		want := []platform.Usage{
			{Name: "notify.messages", Used: used[0], Limit: 100, Resets: midnight},
			{Name: "notify.emails", Used: used[1], Limit: platform.DefaultLimits().EmailsPerDay, Resets: midnight},
			{Name: "notify.rules", Used: used[2], Limit: 7},
			{Name: "notify.templates", Used: used[3], Limit: -1},
			{Name: "notify.endpoints", Used: used[4], Limit: platform.DefaultLimits().Endpoints},
		}
		for i, u := range want {
			if i >= len(got) || got[i] != u {
				t.Errorf("%s: got %+v, want %+v", tenant, got, want)
				break
			}
		}
	}
	// A refused message has used nothing.
	err := w.db.InTenant(ctx, acme, func(ctx context.Context, tx store.Tx) error {
		_, err := w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Template: "no"})
		return err
	})
	if got, uerr := w.svc.Usage(ctx, acme); err == nil || uerr != nil || got[0].Used != 3 {
		t.Errorf("got %+v, %v, %v", got, uerr, err)
	}
}
