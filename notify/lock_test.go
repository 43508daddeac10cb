package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// wantCode fails unless err has the code, or is nil where that is "".
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e *platform.Error
	if code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.CodeOrKind() != code) {
		t.Errorf("got %v, want %q", err, code)
	}
}

// exec runs a statement across tenants.
func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	err := w.db.AcrossTenants(context.Background(), testdb.Crossing(w.db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// count returns what a query counts.
func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	err := w.db.AcrossTenants(context.Background(), testdb.Crossing(w.db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, query, args...).Scan(&n)
	}, store.ReadOnly)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// What a change has counted, or found to be free or unused, stays so until it
// is committed: another change at that moment waits for it.
func TestChangesMeanwhile(t *testing.T) {
	ctx := context.Background()
	endpoint := func(w *world) error {
		_, _, err := w.svc.CreateEndpoint(ctx, platform.System(acme, "ann"), notify.Endpoint{URL: "https://hooks.example.com/", Types: []string{"*"}})
		return err
	}
	rule := func(w *world, title, template string) error {
		_, err := w.svc.CreateRule(ctx, platform.System(acme, "ann"), notify.Rule{
			Name: "r", Event: "*", Channels: []notify.Channel{notify.ChannelInbox}, Title: title, Template: template,
			To: notify.RuleAudience{Audience: notify.Audience{Everyone: true}},
		})
		return err
	}
	template := func(w *world) error {
		_, err := w.svc.CreateTemplate(ctx, platform.System(acme, "ann"), notify.Template{Name: "welcome", Title: "Hi"})
		return err
	}
	send := func(w *world) error {
		_, err := w.svc.Send(ctx, platform.System(acme, "test"), notify.Message{
			ID: "m1", To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "Hi",
		})
		return err
	}
	rotate := func(w *world) error {
		_, _, err := w.svc.RotateSecret(ctx, platform.System(acme, "ann"), "end_1")
		return err
	}
	for name, c := range map[string]struct {
		before        func(w *world)
		first, second func(w *world) error
		code          string // of second
		after         func(w *world)
	}{
		"the last endpoint": {
			before: func(w *world) {
				for n := range platform.DefaultLimits().Endpoints - 1 {
					w.exec(`INSERT INTO notify_endpoints (tenant, id, url, types, description, disabled, disabled_reason, created_at, updated_at)
						VALUES (?, ?, 'u', '*', '', 1, '', 1, 1)`, string(acme), fmt.Sprintf("end_%d", n))
				}
			},
			first: endpoint, second: endpoint, code: "limit_exceeded",
		},
		"the last rule": {
			before: func(w *world) {
				for n := range platform.DefaultLimits().Rules - 1 {
					w.exec(`INSERT INTO notify_rules (tenant, id, name, event, filter, channels, audience, template, title, body, disabled, created_at, updated_at)
						VALUES (?, ?, 'n', '*', '', 'inbox', '{}', '', 't', '', 1, 1, 1)`, string(acme), fmt.Sprintf("rul_%d", n))
				}
			},
			first:  func(w *world) error { return rule(w, "Hi", "") },
			second: func(w *world) error { return rule(w, "Hi", "") },
			code:   "limit_exceeded",
		},
		"a template's name": {first: template, second: template, code: "template_exists"},
		"a template that a rule begins to use": {
			before: func(w *world) {
				w.exec(`INSERT INTO notify_templates (tenant, id, name, title, body, html, created_at, updated_at)
					VALUES (?, 'tpl_1', 'welcome', 't', '', '', 1, 1)`, string(acme))
			},
			first:  func(w *world) error { return rule(w, "", "welcome") },
			second: func(w *world) error { return w.svc.DeleteTemplate(ctx, platform.System(acme, "ann"), "welcome") },
			code:   "template_in_use",
		},
		"a secret rotated twice": {
			before: func(w *world) {
				w.exec(`INSERT INTO notify_endpoints (tenant, id, url, types, description, disabled, disabled_reason, created_at, updated_at)
					VALUES (?, 'end_1', 'u', '*', '', 0, '', 1, 1)`, string(acme))
				w.exec(`INSERT INTO notify_endpoint_secrets (tenant, endpoint_id, id, created_at) VALUES (?, 'end_1', 'old', 1)`, string(acme))
			},
			first: rotate, second: rotate,
			after: func(w *world) {
				if n := w.count(`SELECT count(*) FROM notify_endpoint_secrets WHERE expires_at IS NULL`); n != 1 {
					w.t.Errorf("%d secrets without an end", n)
				}
			},
		},
		"an endpoint whose secret is rotated": {
			before: func(w *world) {
				w.exec(`INSERT INTO notify_endpoints (tenant, id, url, types, description, disabled, disabled_reason, created_at, updated_at)
					VALUES (?, 'end_1', 'u', '*', '', 0, '', 1, 1)`, string(acme))
			},
			first:  rotate,
			second: func(w *world) error { return w.svc.DeleteEndpoint(ctx, platform.System(acme, "ann"), "end_1") },
			after: func(w *world) {
				if n := w.count(`SELECT count(*) FROM notify_endpoint_secrets`); n != 0 {
					w.t.Errorf("%d secrets of no endpoint", n)
				}
			},
		},
		"a message of one id": {
			first: send, second: send,
			after: func(w *world) {
				if got := w.inbox(acme, "bob"); got.Unread != 1 || len(got.Items) != 1 {
					w.t.Errorf("got %+v", got)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var i testdb.Interruption
			w := start(t, func(c *notify.Config) { c.NewID = i.NewID })
			if c.before != nil {
				c.before(w)
			}
			errFirst, errSecond := i.During(t, w.place, "evt",
				func() error { return c.first(w) }, func() error { return c.second(w) })
			wantCode(t, errFirst, "")
			wantCode(t, errSecond, c.code)
			if c.after != nil {
				c.after(w)
			}
		})
	}
}

// Of many calls that try a failed delivery again, one does.
func TestRetryAtOnce(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.MessageRetention, c.DeliveryRetention = -1, -1 }) // they are of 1970
	end := make(chan struct{})
	defer close(end)
	w.svc.SetTransport(transport(func(*http.Request) (*http.Response, error) {
		<-end // until then the deliveries are on their way
		return reply(200, "", "")(1)
	}))
	id := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["data.*"]}`)["id"].(string)
	for n := range 5 {
		w.exec(`INSERT INTO notify_deliveries (tenant, id, message_id, event_id, event_type, channel, recipient, address, name, status, reason,
			attempts, tries, created_at, updated_at, body) VALUES (?, ?, 'm1', 'e', 't', 'webhook', ?, '', '', 'failed', '', 0, 0, ?, 1, '')`,
			string(acme), fmt.Sprintf("dlv_%d", n), id, n)
	}
	w.exec(`INSERT INTO notify_messages (tenant, id, created_at, status, reason, title, body, html, channels, audience, inbox, rule, event, actor, digest)
		VALUES (?, 'm1', 1, 'dispatched', '', 't', '', '', 'webhook', '', 0, '', '', '', '')`, string(acme))
	var (
		wg    sync.WaitGroup
		again atomic.Int64
	)
	for n := range 16 {
		wg.Go(func() {
			if n%2 == 0 {
				retried, err := w.svc.Retry(context.Background(), platform.System(acme, "test"), "m1")
				if err != nil {
					t.Error(err)
				}
				again.Add(int64(retried))
				return
			}
			_, err := w.svc.RetryDelivery(context.Background(), platform.System(acme, "test"), "dlv_3")
			if err == nil {
				again.Add(1)
			} else {
				wantCode(t, err, "not_failed")
			}
		})
	}
	wg.Wait()
	if again.Load() != 5 {
		t.Errorf("%d deliveries were begun again, of 5", again.Load())
	}
}

// The counter of an inbox is what is unread in it, whoever sends and reads at
// once, also where two messages go to the same people in another order.
func TestUnreadAtOnce(t *testing.T) {
	people := everybody()
	var names []string
	for n := range 40 {
		names = append(names, fmt.Sprintf("user%d", n))
		people.add(acme, names[n], "crowd")
	}
	w := open(t, testdb.NewPlace(t), people, nil)
	t.Cleanup(w.close)
	ctx := context.Background()
	var wg sync.WaitGroup
	for n := range 12 {
		to := slices.Clone(names)
		if n%2 == 0 {
			slices.Reverse(to)
		}
		wg.Go(func() {
			m, err := w.svc.Send(ctx, platform.System(acme, "test"), notify.Message{
				To: notify.Audience{Users: to}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "Hi",
			})
			if err != nil {
				t.Error(err)
				return
			}
			for range 2 {
				if _, err := w.svc.Read(ctx, platform.System(acme, names[n]), m.ID); err != nil {
					t.Error(err)
				}
			}
			if n%3 == 0 {
				if _, err := w.svc.ReadAll(ctx, platform.System(acme, names[0])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := w.count(`SELECT count(*) FROM notify_unread u WHERE unread <>
		(SELECT count(*) FROM notify_inbox i WHERE i.tenant = u.tenant AND i.user_id = u.user_id AND read_at IS NULL)`); n != 0 {
		t.Errorf("%d of %d counters are wrong", n, len(names))
	}
}

// Each call of ReadAll leaves nothing unread behind, also where another does
// the work.
func TestReadAllAtOnce(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.MessageRetention = -1 }) // they are of 1970
	w.exec(`INSERT INTO notify_messages (tenant, id, created_at, status, reason, title, body, html, channels, audience, inbox, rule, event, actor, digest)
		VALUES (?, 'm1', 1, 'dispatched', '', 't', '', '', 'inbox', '', 0, '', '', '', '')`, string(acme))
	const messages = 9000
	w.exec(`INSERT INTO notify_inbox (tenant, user_id, created_at, message_id)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT ?, 'ann', i, 'm1' FROM n`, messages, string(acme))
	w.exec(`INSERT INTO notify_unread (tenant, user_id, unread) VALUES (?, 'ann', ?)`, string(acme), messages)
	var (
		wg    sync.WaitGroup
		total atomic.Int64
	)
	for range 4 {
		wg.Go(func() {
			n, err := w.svc.ReadAll(context.Background(), platform.System(acme, "ann"))
			if err != nil {
				t.Error(err)
			}
			total.Add(int64(n))
			if left := w.count(`SELECT count(*) FROM notify_inbox WHERE read_at IS NULL`); left != 0 {
				t.Errorf("%d are unread", left)
			}
		})
	}
	wg.Wait()
	if got := w.inbox(acme, "ann").Unread; total.Load() != messages || got != 0 {
		t.Errorf("%d read, %d unread by the counter", total.Load(), got)
	}
}

// A worker that was taken for dead does not record a try that another has
// recorded.
func TestAttemptRecordedOnce(t *testing.T) {
	w := start(t, nil)
	reached, goOn := make(chan struct{}), make(chan struct{})
	w.svc.SetTransport(transport(func(*http.Request) (*http.Response, error) {
		close(reached)
		<-goOn
		return reply(200, "", "")(1)
	}))
	id := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["data.*"]}`)["id"].(string)
	w.want(202, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/test", nil)
	<-reached
	w.exec(`UPDATE notify_deliveries SET status = 'failed', attempts = 1, tries = 1`) // another worker
	close(goOn)
	eventually(t, "the end of the job", func() bool { return w.count(`SELECT count(*) FROM jobs`) == 0 })
	if d := w.deliveries(id)[0]; d.Status != notify.DeliveryFailed || len(d.Attempts) != 0 {
		t.Errorf("got %+v", d)
	}
}
