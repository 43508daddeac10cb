package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// rights grants what it lists, by user and permission.
type rights map[string]bool

func (r rights) Authorize(_ context.Context, p platform.Principal, permission string) error {
	if r[p.Subject+" "+permission] {
		return nil
	}
	return platform.Errorf(platform.KindForbidden, "forbidden", "this needs the permission %s", permission)
}

func bounded(l platform.Limits) platform.LimitsFunc {
	return func(context.Context, platform.TenantID) (platform.Limits, error) { return l, nil }
}

// outside is an e-mail with raw HTML to n addresses that are no members'.
func outside(host string, n int) map[string]any {
	to := make([]string, n)
	for i := range to {
		to[i] = fmt.Sprintf("victim%d@%s", i, host)
	}
	return map[string]any{"to": map[string]any{"emails": to}, "channels": []string{"email"}, "title": "Hello", "html": "<h1>Buy</h1>"}
}

// Who may send e-mail to addresses that are no members': whoever has the
// permission and is verified, where the host says who that is.
func TestEmailOutside(t *testing.T) {
	testdb.SQLiteOnly(t)
	away := errors.New("away")
	verified := func(_ context.Context, p platform.Principal) (bool, error) {
		if p.Subject == "cat" {
			return false, away
		}
		return p.Subject == "ann", nil
	}
	all := rights{"ann notify.emails.external": true, "bob notify.emails.external": true, "cat notify.emails.external": true}
	for name, c := range map[string]struct {
		authorizer notify.Authorizer
		verified   func(context.Context, platform.Principal) (bool, error)
		user       string
		status     int
		code       string
	}{
		"both":                 {all, verified, "ann", 201, ""},
		"not verified":         {all, verified, "bob", 403, "sender_not_verified"},
		"nobody knows":         {all, verified, "cat", 500, "internal"},
		"no permission":        {rights{}, verified, "ann", 403, "forbidden"},
		"no authorizer":        {nil, verified, "ann", 403, "external_emails_disabled"},
		"nobody says verified": {all, nil, "ann", 403, "external_emails_disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &postman{}
			w := start(t, func(cfg *notify.Config) { cfg.Mail, cfg.Authorizer, cfg.VerifiedSender = p, c.authorizer, c.verified })
			out := w.want(c.status, acme, c.user, "POST", "/v1/notify/messages", outside("foreign.example", 1))
			if c.code != "" && out["code"] != c.code {
				t.Errorf("got %v", out)
			}
			list := w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil)["data"].([]any)
			if c.status != 201 && len(list) != 0 {
				t.Errorf("a refused message is there: %v", list)
			}
			w.want(201, acme, c.user, "POST", "/v1/notify/messages", `{"to":{"users":["bob"]},"channels":["email"],"title":"to a member"}`)
			// The host's own code asks nobody.
			if _, err := w.svc.Send(t.Context(), platform.System(acme, "test"), notify.Message{Emails: []string{"a@foreign.example"}, Channels: []notify.Channel{notify.ChannelEmail}, Title: "t"}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A caller's e-mails beyond a limit of the day are refused as a whole, with its
// name; the next day has room again, and another tenant has its own.
func TestEmailLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits platform.Limits
		// what is refused after 3 e-mails of ann to 3 addresses
		refused map[string]any
		user    string
		limit   string
		// and what still has room
		fits map[string]any
		by   string
	}{
		"tenant": {platform.Limits{EmailsPerDay: 4}, outside("b.example", 2), "bob", "notify.emails", outside("b.example", 1), "bob"},
		"sender": {platform.Limits{EmailsPerSender: 4}, outside("b.example", 2), "ann", "notify.emails_per_sender", outside("b.example", 2), "bob"},
		"recipient": {platform.Limits{EmailsPerRecipient: 1}, map[string]any{
			"to": map[string]any{"emails": []string{"new@a.example", "Victim2+x@A.example"}}, "channels": []string{"email"}, "title": "Hello",
		}, "bob", "notify.emails_per_recipient", outside("b.example", 3), "ann"},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				p := &postman{}
				w := start(t, func(cfg *notify.Config) { cfg.Mail, cfg.Limits = p, bounded(c.limits) })
				w.want(201, acme, "ann", "POST", "/v1/notify/messages", outside("a.example", 3))
				for range 2 { // what is refused uses nothing
					out := w.want(429, acme, c.user, "POST", "/v1/notify/messages", c.refused)
					if out["code"] != "rate_exceeded" || !strings.Contains(fmt.Sprint(out["detail"]), c.limit+" of ") {
						t.Errorf("got %v", out)
					}
				}
				w.want(201, other, "zoe", "POST", "/v1/notify/messages", outside("a.example", 3))
				w.want(201, acme, c.by, "POST", "/v1/notify/messages", c.fits)
				time.Sleep(24 * time.Hour)
				w.want(201, acme, c.user, "POST", "/v1/notify/messages", c.refused)
				if list := w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil)["data"].([]any); len(list) != 3 {
					t.Errorf("%d messages", len(list))
				}
			})
		})
	}
}

// A mail in the host's transaction is counted, and not refused: the limits are
// those of what tenants send by themselves, which has less room then.
func TestEmailLimitsInTransactions(t *testing.T) {
	w := start(t, func(cfg *notify.Config) {
		cfg.Mail, cfg.Limits = &postman{}, bounded(platform.Limits{EmailsPerRecipient: 1})
	})
	send := func() error {
		return w.db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
			_, err := w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, notify.Message{
				Emails: []string{"new@example.com"}, Channels: []notify.Channel{notify.ChannelEmail}, Secret: true, Title: "Invited",
			})
			return err
		})
	}
	for range 2 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	out := w.want(429, acme, "bob", "POST", "/v1/notify/messages", `{"to":{"emails":["new@example.com"]},"channels":["email"],"title":"t"}`)
	if !strings.Contains(fmt.Sprint(out["detail"]), "notify.emails_per_recipient") {
		t.Errorf("got %v", out)
	}
}

// What rules make beyond a limit is a failed delivery that says why; the inbox
// gets its entries all the same. To try it again counts as well.
func TestEmailLimitsOfRules(t *testing.T) {
	rule := builtin()
	rule.Channels, rule.To = []notify.Channel{notify.ChannelInbox, notify.ChannelEmail}, notify.RuleAudience{Audience: notify.Audience{Everyone: true}}
	for name, c := range map[string]struct {
		limits          platform.Limits
		sent, afterNext int // e-mails after one event to three people, and after the next
	}{
		"tenant":    {platform.Limits{EmailsPerDay: 4}, 3, 4},
		"sender":    {platform.Limits{EmailsPerSender: 2}, 2, 2}, // bob caused both
		"recipient": {platform.Limits{EmailsPerRecipient: 1}, 3, 3},
		"none":      {platform.Limits{EmailsPerDay: -1, EmailsPerSender: -1, EmailsPerRecipient: -1}, 3, 6},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				p := &postman{}
				w := start(t, func(cfg *notify.Config) {
					cfg.Mail, cfg.Limits, cfg.Rules = p, bounded(c.limits), []notify.Rule{rule}
				})
				w.emit(recordCreated(acme, 1))
				until(t, "the first mails", func() bool { return len(p.all()) == c.sent })
				w.emit(recordCreated(acme, 2))
				until(t, "the second message", func() bool { return w.inbox(acme, "ann").Unread == 2 })
				time.Sleep(time.Minute)
				delivered, failed := 0, 0
				list, _, err := w.svc.Messages(context.Background(), platform.System(acme, "test"), 10, "")
				if err != nil {
					t.Fatal(err)
				}
				last := notify.Delivery{}
				for _, m := range list {
					if m, err = w.svc.Message(context.Background(), platform.System(acme, "test"), m.ID); err != nil || m.Status != notify.MessageDispatched {
						t.Errorf("%+v, %v", m, err)
					}
					for _, d := range m.Deliveries {
						if d.Status == notify.DeliveryDelivered {
							delivered++
						} else if d.Status == notify.DeliveryFailed && d.Reason == "rate_exceeded" {
							failed++
							last = d
						}
					}
				}
				if len(p.all()) != c.afterNext || delivered != c.afterNext || delivered+failed != 6 {
					t.Errorf("%d mails, %d delivered, %d failed", len(p.all()), delivered, failed)
				}
				if failed == 0 {
					return
				}
				if out := w.want(429, acme, "ann", "POST", "/v1/notify/deliveries/"+last.ID+"/retry", nil); out["code"] != "rate_exceeded" {
					t.Errorf("got %v", out)
				}
				time.Sleep(24 * time.Hour)
				w.want(202, acme, "ann", "POST", "/v1/notify/deliveries/"+last.ID+"/retry", nil)
				until(t, "the retry", func() bool { return len(p.all()) == c.afterNext+1 })
			})
		})
	}
}

// An address that is named twice gets one e-mail.
func TestEmailOnceForAnAddress(t *testing.T) {
	testdb.SQLiteOnly(t)
	w := start(t, func(cfg *notify.Config) { cfg.Mail = &postman{} })
	body := outside("a.example", 1)
	body["to"] = map[string]any{"emails": []string{"a@example.com", "a@example.com", "bob@example.com"}, "users": []string{"bob"}}
	id := w.want(201, acme, "ann", "POST", "/v1/notify/messages", body)["id"].(string)
	if m, err := w.svc.Message(t.Context(), platform.System(acme, "test"), id); err != nil || len(m.Deliveries) != 2 {
		t.Errorf("%+v, %v", m.Deliveries, err)
	}
}
