package notify_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// A platform that ends while deliveries wait goes on with them, and an event
// that comes again after the restart is known.
func TestRestart(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testRestart)
}

func testRestart(t *testing.T) {
	place := testdb.NewPlace(t)
	people := everybody()
	rules := func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} }
	w := open(t, place, people, rules)
	r := &receiver{}
	r.set(reply(500, "", ""))
	w.svc.SetTransport(r)
	id := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["data.*"]}`)["id"].(string)
	w.emit(recordCreated(acme, 1))
	eventually(t, "a failed attempt", func() bool { l := w.deliveries(id); return len(l) == 1 && len(l[0].Attempts) == 1 })
	w.close()

	// An e-mail server that is gone, a directory that is away: nothing of the
	// past needs them.
	r2 := &receiver{}
	w = reopen(t, place, people, rules, r2)
	defer w.close()
	if err := w.svc.Consume(context.Background(), []platform.Event{recordCreated(acme, 1)}); err != nil {
		t.Fatal(err)
	}
	until(t, "the delivery", func() bool { return w.deliveries(id)[0].Status == notify.DeliveryDelivered })
	if l := w.deliveries(id); len(l) != 1 || len(l[0].Attempts) != 2 || l[0].Attempts[1].N != 2 {
		t.Errorf("got %+v", l)
	}
	if n := len(r2.all()); n != 1 {
		t.Errorf("%d calls after the restart", n)
	}
	if got := w.inbox(acme, "ann"); got.Unread != 1 || len(got.Items) != 1 {
		t.Errorf("inbox: %+v", got)
	}
}

// A delivery that the end of the process interrupts is not an attempt.
func TestStopWhileSending(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testStopWhileSending)
}

func testStopWhileSending(t *testing.T) {
	place := testdb.NewPlace(t)
	w := open(t, place, everybody(), nil)
	reached := make(chan struct{})
	w.svc.SetTransport(transport(func(req *http.Request) (*http.Response, error) {
		close(reached)
		<-req.Context().Done()
		return nil, req.Context().Err()
	}))
	id := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", `{"url":"https://hooks.example.com/","types":["data.*"]}`)["id"].(string)
	w.want(202, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/test", nil)
	<-reached
	w.close()

	w = reopen(t, place, everybody(), nil, &receiver{})
	defer w.close()
	until(t, "the delivery", func() bool { return w.deliveries(id)[0].Status == notify.DeliveryDelivered })
	if a := w.deliveries(id)[0].Attempts; len(a) != 1 {
		t.Errorf("got %+v", a)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// SendIn sends with the caller's transaction or not at all.
func TestSendIn(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testSendIn)
}

func testSendIn(t *testing.T) {
	w := start(t, nil)
	refused := errors.New("no")
	send := func(result error) (m notify.SentMessage, err error) {
		err = w.db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
			m, err = w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, notify.Message{
				To: notify.Audience{Roles: []string{"member"}}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "Invited",
			})
			if err != nil {
				return err
			}
			return result
		})
		return m, err
	}
	if _, err := send(refused); !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	m, err := send(nil)
	if err != nil || m.Status != notify.MessageAccepted {
		t.Fatalf("got %+v, %v", m, err)
	}
	eventually(t, "the message", func() bool { return w.inbox(acme, "bob").Unread == 1 && w.inbox(acme, "cat").Unread == 1 })
	time.Sleep(time.Minute)
	list := w.want(200, acme, "ann", "GET", "/v1/notify/messages", nil)["data"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["status"] != "dispatched" || w.inbox(acme, "ann").Unread != 0 || w.inbox(acme, "bob").Unread != 1 {
		t.Errorf("got %v", list)
	}
}
