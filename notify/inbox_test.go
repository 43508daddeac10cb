package notify_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
)

// say sends a message to the inbox of users.
func (w *world) say(tenant platform.TenantID, title string, users ...string) notify.SentMessage {
	w.t.Helper()
	m, err := w.svc.Send(context.Background(), platform.System(tenant, "test"), notify.Message{
		To: notify.Audience{Users: users}, Channels: []notify.Channel{notify.ChannelInbox}, Title: title, Body: "body of " + title,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func TestInboxOverHTTP(t *testing.T) {
	w := start(t, nil)
	var ids []string
	for i := range 7 {
		ids = append(ids, w.say(acme, fmt.Sprintf("m%d", i), "ann", "bob").ID)
	}
	w.want(200, acme, "ann", "POST", "/v1/notify/inbox/"+ids[3]+"/read", nil)
	read := w.want(200, acme, "ann", "POST", "/v1/notify/inbox/"+ids[3]+"/read", nil)
	if read["read_at"] == nil || read["title"] != "m3" {
		t.Errorf("read: %v", read)
	}
	// Newest first, page by page, each once.
	var titles []string
	for _, c := range []struct{ query, want string }{
		{"?limit=3", "[m6 m5 m4 m3 m2 m1 m0]"},
		{"?limit=2&unread=true", "[m6 m5 m4 m2 m1 m0]"},
	} {
		titles = nil
		for cursor, pages := "", 0; ; pages++ {
			out := w.want(200, acme, "ann", "GET", "/v1/notify/inbox"+c.query+cursor, nil)
			if out["unread"] != 6.0 {
				t.Errorf("unread: %v", out["unread"])
			}
			for _, item := range out["data"].([]any) {
				titles = append(titles, item.(map[string]any)["title"].(string))
			}
			next, more := out["next_cursor"].(string)
			if !more || pages > 9 {
				break
			}
			cursor = "&cursor=" + next
		}
		if got := fmt.Sprint(titles); got != c.want {
			t.Errorf("%s: got %s", c.query, got)
		}
	}
	if out := w.want(200, acme, "ann", "POST", "/v1/notify/inbox/read-all", nil); out["read"] != 6.0 {
		t.Errorf("read-all: %v", out)
	}
	out := w.want(200, acme, "ann", "GET", "/v1/notify/inbox", nil)
	if first := out["data"].([]any)[0].(map[string]any); out["unread"] != 0.0 || first["read_at"] == nil || first["created_at"] == nil || first["body"] != "body of m6" {
		t.Errorf("after read-all: %v", out)
	}
	if out := w.want(200, acme, "ann", "GET", "/v1/notify/inbox?unread=true", nil); len(out["data"].([]any)) != 0 {
		t.Errorf("unread after read-all: %v", out)
	}
	if out := w.want(200, acme, "bob", "GET", "/v1/notify/inbox", nil); out["unread"] != 7.0 {
		t.Errorf("bob's inbox was touched: %v", out["unread"])
	}
	// A message of one's tenant that is not in one's inbox is not there.
	w.want(404, acme, "cat", "POST", "/v1/notify/inbox/"+ids[3]+"/read", nil)
	w.want(400, acme, "ann", "GET", "/v1/notify/inbox?cursor=abc", nil)
	w.want(422, acme, "ann", "GET", "/v1/notify/inbox?limit=0", nil)
	w.want(401, "", "", "GET", "/v1/notify/inbox", nil)
}

func TestReadAllInBatches(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	batch := make([]platform.Event, 2500)
	for i := range batch {
		batch[i] = recordCreated(acme, i)
	}
	if err := w.svc.Consume(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	if got := w.inbox(acme, "ann"); got.Unread != 2500 || got.Items[0].Body != "bob created rec_2499." {
		t.Fatalf("got %d, %+v", got.Unread, got.Items[0])
	}
	n, err := w.svc.ReadAll(context.Background(), platform.System(acme, "ann"))
	if err != nil || n != 2500 || w.inbox(acme, "ann").Unread != 0 {
		t.Errorf("read %d, %v, %d left", n, err, w.inbox(acme, "ann").Unread)
	}
}

func TestSend(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil)
		body := map[string]any{
			"id": "my-1", "to": map[string]any{"roles": []string{"member"}}, "channels": []string{"inbox"}, "title": "Hi", "body": "There",
		}
		res := w.request(acme, "ann", "POST", "/v1/notify/messages", body)
		if res.StatusCode != 201 || res.Header.Get("Location") != "/v1/notify/messages/my-1" {
			t.Fatalf("got %d %v", res.StatusCode, res.Header)
		}
		// The same again is the same message; another of that id is refused.
		if out := w.want(200, acme, "ann", "POST", "/v1/notify/messages", body); out["id"] != "my-1" || out["inbox_recipients"] != 2.0 {
			t.Errorf("repeated: %v", out)
		}
		if n := w.inbox(acme, "bob").Unread; n != 1 {
			t.Errorf("bob has %d", n)
		}
		body["title"] = "Other"
		if out := w.want(409, acme, "ann", "POST", "/v1/notify/messages", body); out["code"] != "id_reused" {
			t.Errorf("got %v", out)
		}
		if n := w.inbox(acme, "ann").Unread; n != 0 {
			t.Errorf("ann has %d", n)
		}
		// Another tenant's same id is another message.
		body["to"] = map[string]any{"everyone": true}
		w.want(201, other, "zoe", "POST", "/v1/notify/messages", body)
		got := w.want(200, acme, "ann", "GET", "/v1/notify/messages/my-1", nil)
		if got["title"] != "Hi" || got["status"] != "dispatched" || got["actor"] != "ann" {
			t.Errorf("got %v", got)
		}
	})
}

func TestBadMessages(t *testing.T) {
	w := start(t, nil)
	for name, c := range map[string]struct {
		body string
		path string
	}{
		"no channel":       {`{"to":{"everyone":true},"channels":[],"title":"x"}`, "/channels"},
		"unknown channel":  {`{"to":{"everyone":true},"channels":["fax"],"title":"x"}`, "/channels/0"},
		"channel twice":    {`{"to":{"everyone":true},"channels":["inbox","inbox"],"title":"x"}`, "/channels/1"},
		"nobody":           {`{"channels":["inbox"],"title":"x"}`, "/to"},
		"unknown user":     {`{"to":{"users":["ann","zoe"]},"channels":["inbox"],"title":"x"}`, "/to/users/1"},
		"no title":         {`{"to":{"everyone":true},"channels":["inbox"]}`, "/title"},
		"NUL in the body":  {`{"to":{"everyone":true},"channels":["inbox"],"title":"a","body":"b\u0000"}`, "/body"},
		"two lines":        {`{"to":{"everyone":true},"channels":["inbox"],"title":"a\nb"}`, "/title"},
		"both texts":       {`{"to":{"everyone":true},"channels":["inbox"],"title":"a","template":"x"}`, "/template"},
		"lonely variables": {`{"to":{"everyone":true},"channels":["inbox"],"title":"a","variables":{"x":1}}`, "/variables"},
		"no such template": {`{"to":{"everyone":true},"channels":["inbox"],"template":"x"}`, "/template"},
		"emails, no email": {`{"to":{"emails":["a@example.com"]},"channels":["inbox"],"title":"a"}`, "/to/emails"},
		"bad id":           {`{"id":"a.b","to":{"everyone":true},"channels":["inbox"],"title":"a"}`, "/id"},
		"no e-mail server": {`{"to":{"everyone":true},"channels":["email"],"title":"a"}`, "/channels/0"},
		"unknown field":    {`{"to":{"everyone":true},"channels":["inbox"],"title":"a","tenant":"x"}`, "/tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			out := w.want(422, acme, "ann", "POST", "/v1/notify/messages", c.body)
			if first := out["errors"].([]any)[0].(map[string]any); first["path"] != c.path {
				t.Errorf("got %v", out)
			}
			if name == "no e-mail server" && out["code"] != "email_not_configured" {
				t.Errorf("code %v", out["code"])
			}
		})
	}
	w.want(400, acme, "ann", "POST", "/v1/notify/messages", `{"to":`)
	if out := w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil); len(out["data"].([]any)) != 0 {
		t.Errorf("something was sent: %v", out)
	}
}

func TestCancelledContext(t *testing.T) {
	w := start(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.svc.Send(ctx, platform.System(acme, "test"), notify.Message{
		To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "x",
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := w.inbox(acme, "ann").Unread; n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestNoTenant(t *testing.T) {
	w := start(t, nil)
	_, err := w.svc.Send(context.Background(), platform.System("", "test"), notify.Message{To: notify.Audience{Everyone: true}, Channels: []notify.Channel{"inbox"}, Title: "x"})
	if !errors.Is(err, platform.ErrUnauthenticated) {
		t.Errorf("send: %v", err)
	}
	if _, err = w.svc.Inbox(context.Background(), platform.System("", "ann"), notify.InboxQuery{}); !errors.Is(err, platform.ErrUnauthenticated) {
		t.Errorf("inbox: %v", err)
	}
}
