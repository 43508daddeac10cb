package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
)

// receiver answers webhooks in process and remembers them.
type receiver struct {
	mu     sync.Mutex
	calls  []call
	answer func(n int) (*http.Response, error) // n counts from 1
}

type call struct {
	at     time.Time
	url    string
	header http.Header
	body   []byte
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.calls = append(r.calls, call{time.Now(), req.URL.String(), req.Header, body})
	n, answer := len(r.calls), r.answer
	r.mu.Unlock()
	if answer == nil {
		return reply(200, "", "")(n)
	}
	return answer(n)
}

func (r *receiver) all() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

func (r *receiver) set(answer func(int) (*http.Response, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func reply(status int, retryAfter, body string) func(int) (*http.Response, error) {
	return func(int) (*http.Response, error) {
		h := http.Header{}
		if retryAfter != "" {
			h.Set("Retry-After", retryAfter)
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// webhooks is a world whose webhooks end in the receiver, with an endpoint.
func webhooks(t *testing.T, types ...string) (w *world, r *receiver, id, secret string) {
	t.Helper()
	return webhooksUntil(t, 5*24*time.Hour, types...)
}

func webhooksUntil(t *testing.T, disableAfter time.Duration, types ...string) (w *world, r *receiver, id, secret string) {
	t.Helper()
	r = &receiver{}
	w = start(t, func(c *notify.Config) {
		c.Rand, c.DisableAfter = func() float64 { return 0.5 }, disableAfter
	})
	w.svc.SetTransport(r)
	out := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{"url": "https://hooks.example.com/in", "types": types})
	return w, r, out["id"].(string), out["secret"].(string)
}

// deliveries are those of the endpoint, newest first.
func (w *world) deliveries(id string) []notify.Delivery {
	w.t.Helper()
	list, _, err := w.svc.EndpointDeliveries(context.Background(), platform.System(acme, "test"), id, 200, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// until lets the time of the bubble pass, ten minutes at a time, for at most ten days.
func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	for range 10 * 24 * 6 {
		if check() {
			return
		}
		time.Sleep(10 * time.Minute)
	}
	t.Fatalf("never happened: %s", what)
}

func TestEventsToWebhook(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testEventsToWebhook)
}

func testEventsToWebhook(t *testing.T) {
	w, r, id, secret := webhooks(t, "data.record.*", "user.signed_up")
	w.emit(recordCreated(acme, 1), recordCreated(other, 2),
		platform.Event{ID: "evt_c", Source: "/data", Type: "data.collection.created", Tenant: acme, Subject: "movies", Time: created})
	eventually(t, "the webhook", func() bool {
		return len(w.deliveries(id)) == 1 && w.deliveries(id)[0].Status == notify.DeliveryDelivered
	})
	calls := r.all()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	c := calls[0]
	if err := verify(secret, c.header, c.body); err != nil {
		t.Error(err)
	}
	if err := verify(secret, c.header, append(c.body, ' ')); err == nil {
		t.Error("another body has the same signature")
	}
	if ts, _ := strconv.ParseInt(c.header.Get("webhook-timestamp"), 10, 64); ts != c.at.Unix() {
		t.Errorf("timestamp %d", ts)
	}
	d := w.deliveries(id)[0]
	if c.header.Get("webhook-id") != d.ID || strings.Contains(d.ID, ".") || c.header.Get("Content-Type") != "application/cloudevents+json" {
		t.Errorf("header %v", c.header)
	}
	var got map[string]any
	if err := json.Unmarshal(c.body, &got); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{
		"specversion": "1.0", "id": "evt_org_acme_000001", "source": "/data", "type": "data.record.created", "subject": "rec_1",
		"time": "2026-03-01T12:00:00Z", "tenantid": "org_acme", "actor": "bob", "datacontenttype": "application/json",
	} {
		if got[k] != want {
			t.Errorf("%s: %v", k, got[k])
		}
	}
	if got["data"].(map[string]any)["collection"] != "movies" {
		t.Errorf("data: %v", got["data"])
	}
	if a := d.Attempts; len(a) != 1 || a[0].Outcome != "delivered" || a[0].Code != 200 {
		t.Errorf("attempts: %+v", a)
	}
}

func TestRetrySchedule(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testRetrySchedule)
}

func testRetrySchedule(t *testing.T) {
	w, r, id, _ := webhooks(t, "data.*", "notify.message")
	r.set(reply(500, "", strings.Repeat("sorry\x00 ", 1000)))
	w.emit(recordCreated(acme, 1))
	until(t, "the end of the schedule", func() bool { l := w.deliveries(id); return len(l) == 1 && l[0].Status == notify.DeliveryFailed })
	calls := r.all()
	want := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
	if len(calls) != len(want)+1 {
		t.Fatalf("%d calls", len(calls))
	}
	for i, pause := range want {
		if got := calls[i+1].at.Sub(calls[i].at); got < pause || got > pause+2*time.Second {
			t.Errorf("pause %d: %s, want %s", i, got, pause)
		}
		if calls[i+1].header.Get("webhook-id") != calls[0].header.Get("webhook-id") {
			t.Error("the id changed")
		}
	}
	d := w.deliveries(id)[0]
	if len(d.Attempts) != 10 || d.Reason != "http_status" || !d.NextAttempt.IsZero() {
		t.Errorf("got %+v", d)
	}
	if a := d.Attempts[0]; a.Outcome != "retry" || a.Code != 500 || len(a.Response) > 1024 || !strings.HasPrefix(a.Response, "sorry sorry") {
		t.Errorf("first attempt: %+v", a)
	}
	if a := d.Attempts[9]; a.Outcome != "failed" {
		t.Errorf("last attempt: %+v", a)
	}
	// By hand it begins again.
	r.set(nil)
	w.want(202, acme, "ann", "POST", "/v1/notify/deliveries/"+d.ID+"/retry", nil)
	eventually(t, "the retry", func() bool { return w.deliveries(id)[0].Status == notify.DeliveryDelivered })
	if out := w.want(409, acme, "ann", "POST", "/v1/notify/deliveries/"+d.ID+"/retry", nil); out["code"] != "not_failed" {
		t.Errorf("got %v", out)
	}
}

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer    func(int) (*http.Response, error)
		delivered bool
		pause     time.Duration // until the second call; 0 is none
		reason    string
	}{
		"204":                 {reply(204, "", ""), true, 0, ""},
		"redirect":            {reply(302, "", ""), false, 5 * time.Second, "redirect"},
		"404":                 {reply(404, "", ""), false, 5 * time.Second, "http_status"},
		"429 in seconds":      {reply(429, "90", ""), false, 90 * time.Second, "http_status"},
		"503 with a date":     {reply(503, "Sat, 01 Jan 2000 00:10:00 GMT", ""), false, 10 * time.Minute, "http_status"},
		"429 for ever":        {reply(429, "99999999999", ""), false, 24 * time.Hour, "http_status"},
		"429 with nonsense":   {reply(429, "soon", ""), false, 5 * time.Second, "http_status"},
		"500 with a wish":     {reply(500, "90", ""), false, 5 * time.Second, "http_status"},
		"no connection":       {func(int) (*http.Response, error) { return nil, errors.New("refused") }, false, 5 * time.Second, "network"},
		"not a public number": {func(int) (*http.Response, error) { return nil, notify.ErrPrivateAddress }, false, 0, "blocked_address"},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				w, r, id, _ := webhooks(t, "data.*", "notify.message")
				r.set(c.answer)
				w.emit(recordCreated(acme, 1))
				eventually(t, "an attempt", func() bool { l := w.deliveries(id); return len(l) == 1 && len(l[0].Attempts) == 1 })
				d := w.deliveries(id)[0]
				if (d.Status == notify.DeliveryDelivered) != c.delivered || d.Reason != c.reason {
					t.Fatalf("got %+v", d)
				}
				if c.pause == 0 {
					if d.Status == notify.DeliveryPending {
						t.Errorf("it goes on: %+v", d)
					}
					return
				}
				r.set(nil)
				until(t, "a second call", func() bool { return len(r.all()) == 2 })
				calls := r.all()
				if got := calls[1].at.Sub(calls[0].at); got < c.pause-2*time.Second || got > c.pause+2*time.Second {
					t.Errorf("pause %s", got)
				}
			})
		})
	}
}

func TestGone(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testGone)
}

func testGone(t *testing.T) {
	w, r, id, _ := webhooks(t, "data.*", "notify.message")
	r.set(reply(410, "", ""))
	w.emit(recordCreated(acme, 1))
	eventually(t, "the notice", func() bool { return w.inbox(acme, "ann").Unread == 1 })
	e := w.want(200, acme, "ann", "GET", "/v1/notify/endpoints/"+id, nil)
	if e["enabled"] != false || e["disabled_reason"] != "gone" {
		t.Errorf("got %v", e)
	}
	if got := w.inbox(acme, "ann").Items[0]; !strings.Contains(got.Body, id) || !strings.Contains(got.Body, "410") {
		t.Errorf("got %+v", got)
	}
	if n := w.inbox(acme, "bob").Unread; n != 0 {
		t.Errorf("bob, who is not responsible, has %d", n)
	}
	w.emit(recordCreated(acme, 2))
	w.want(409, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/test", nil)
	time.Sleep(time.Hour)
	if n := len(r.all()); n != 1 {
		t.Errorf("%d calls", n)
	}
	// Switched on again it starts again.
	r.set(nil)
	e = w.want(200, acme, "ann", "PATCH", "/v1/notify/endpoints/"+id, `{"enabled":true}`)
	if e["disabled_reason"] != nil || e["failing_since"] != nil {
		t.Errorf("got %v", e)
	}
	w.want(202, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/test", nil)
	eventually(t, "the test", func() bool { return len(r.all()) == 2 })
	if !strings.Contains(string(r.all()[1].body), `"notify.test"`) {
		t.Errorf("got %s", r.all()[1].body)
	}
}

func TestFailingTooLong(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testFailingTooLong)
}

func testFailingTooLong(t *testing.T) {
	w, r, id, _ := webhooksUntil(t, 6*time.Hour, "data.*")
	r.set(reply(500, "", ""))
	began := time.Now()
	n := 0
	until(t, "the end of the endpoint", func() bool {
		if time.Since(began) > time.Duration(n)*40*time.Minute {
			n++
			w.emit(recordCreated(acme, n))
		}
		e, err := w.svc.Endpoint(context.Background(), platform.System(acme, "test"), id)
		return err == nil && e.Disabled
	})
	if took := time.Since(began); took < 6*time.Hour || took > 7*time.Hour {
		t.Errorf("after %s", took)
	}
	eventually(t, "the notice", func() bool { return w.inbox(acme, "ann").Unread == 1 })
	// What was on its way fails without a call.
	calls := len(r.all())
	until(t, "the rest", func() bool {
		for _, d := range w.deliveries(id) {
			if d.Status == notify.DeliveryPending {
				return false
			}
		}
		return true
	})
	if len(r.all()) != calls {
		t.Error("a disabled endpoint was called")
	}
}

// A success in between starts the count again.
func TestFailingIsForgotten(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testFailingIsForgotten)
}

func testFailingIsForgotten(t *testing.T) {
	w, r, id, _ := webhooks(t, "data.*", "notify.message")
	r.set(func(n int) (*http.Response, error) {
		if n == 1 {
			return reply(500, "", "")(n)
		}
		return reply(200, "", "")(n)
	})
	w.emit(recordCreated(acme, 1))
	eventually(t, "the failure", func() bool {
		e, err := w.svc.Endpoint(context.Background(), platform.System(acme, "test"), id)
		return err == nil && !e.FailingSince.IsZero()
	})
	until(t, "the success", func() bool {
		e, err := w.svc.Endpoint(context.Background(), platform.System(acme, "test"), id)
		return err == nil && e.FailingSince.IsZero() && w.deliveries(id)[0].Status == notify.DeliveryDelivered
	})
}

func TestRotation(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testRotation)
}

func testRotation(t *testing.T) {
	w, r, id, first := webhooks(t, "data.*", "notify.message")
	n := 0
	send := func() call {
		t.Helper()
		n++
		w.want(202, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/test", nil)
		eventually(t, "the webhook", func() bool { return len(r.all()) == n })
		return r.all()[n-1]
	}
	second := w.want(200, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/rotate-secret", nil)["secret"].(string)
	c := send()
	if len(strings.Fields(c.header.Get("webhook-signature"))) != 2 || verify(first, c.header, c.body) != nil || verify(second, c.header, c.body) != nil {
		t.Errorf("within the grace: %v", c.header)
	}
	time.Sleep(24*time.Hour + time.Second)
	c = send()
	if verify(first, c.header, c.body) == nil || verify(second, c.header, c.body) != nil {
		t.Errorf("after the grace: %v", c.header)
	}
	w.want(200, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/rotate-secret", nil)
	third := w.want(200, acme, "ann", "POST", "/v1/notify/endpoints/"+id+"/rotate-secret", nil)["secret"].(string)
	c = send()
	if verify(second, c.header, c.body) == nil || verify(third, c.header, c.body) != nil {
		t.Errorf("after two rotations: %v", c.header)
	}
	// No secret is ever shown again.
	for _, path := range []string{"/v1/notify/endpoints", "/v1/notify/endpoints/" + id, "/v1/notify/endpoints/" + id + "/deliveries"} {
		raw, _ := io.ReadAll(w.request(acme, "ann", "GET", path, nil).Body)
		for _, secret := range []string{first, second, third, "whsec_"} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s shows a secret", path)
			}
		}
	}
}

func TestMessageToWebhook(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testMessageToWebhook)
}

func testMessageToWebhook(t *testing.T) {
	w, r, id, secret := webhooks(t, notify.MessageEventType)
	w.want(201, acme, "ann", "POST", "/v1/notify/rules", `{"name":"r","event":"data.record.created","channels":["webhook"],"title":"{{.data.id}}"}`)
	sent := w.want(201, acme, "ann", "POST", "/v1/notify/messages", `{"channels":["webhook"],"title":"Hi","body":"There"}`)
	eventually(t, "the webhook", func() bool { return len(r.all()) == 1 })
	c := r.all()[0]
	var got struct {
		Type string
		Data map[string]any
	}
	if err := json.Unmarshal(c.body, &got); err != nil || got.Type != "notify.message" || got.Data["title"] != "Hi" || got.Data["id"] != sent["id"] {
		t.Errorf("got %s", c.body)
	}
	if err := verify(secret, c.header, c.body); err != nil {
		t.Error(err)
	}
	eventually(t, "the record", func() bool { return w.deliveries(id)[0].Status == notify.DeliveryDelivered })
	m := w.want(200, acme, "ann", "GET", "/v1/notify/messages/"+sent["id"].(string), nil)
	if d := m["deliveries"].([]any)[0].(map[string]any); d["status"] != "delivered" || d["channel"] != "webhook" || d["recipient"] != id {
		t.Errorf("got %v", m)
	}
	w.emit(recordCreated(acme, 9))
	eventually(t, "the rule's", func() bool { return len(r.all()) == 2 && strings.Contains(string(r.all()[1].body), `"title":"rec_9"`) })
}

func TestDeletedEndpoint(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, testDeletedEndpoint)
}

func testDeletedEndpoint(t *testing.T) {
	w, r, id, _ := webhooks(t, "data.*", "notify.message")
	r.set(reply(500, "", ""))
	sent := w.want(201, acme, "ann", "POST", "/v1/notify/messages", `{"channels":["webhook"],"title":"Hi"}`)["id"].(string)
	eventually(t, "a failure", func() bool { return len(r.all()) == 1 })
	w.want(204, acme, "ann", "DELETE", "/v1/notify/endpoints/"+id, nil)
	until(t, "the end", func() bool {
		m, err := w.svc.Message(context.Background(), platform.System(acme, "test"), sent)
		return err == nil && m.Deliveries[0].Status == notify.DeliveryFailed && m.Deliveries[0].Reason == "endpoint_deleted"
	})
	if len(r.all()) != 1 {
		t.Error("a deleted endpoint was called")
	}
}

// Over a real connection: signed, no redirect followed, a slow receiver given
// up, a large answer cut.
func TestRealReceiver(t *testing.T) {
	var (
		mu    sync.Mutex
		calls []call
	)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /in", func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		calls = append(calls, call{header: req.Header, body: body})
		mu.Unlock()
		_, _ = rw.Write(make([]byte, 1<<20))
	})
	elsewhere := make(chan struct{}, 1)
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere <- struct{}{} })
	mux.Handle("POST /away", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	w := start(t, nil)
	made := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{"url": srv.URL + "/in", "types": []string{"data.*"}})
	away := w.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{"url": srv.URL + "/away", "types": []string{"data.*"}})
	w.emit(recordCreated(acme, 1))
	id := made["id"].(string)
	eventually(t, "both attempts", func() bool {
		a, b := w.deliveries(id), w.deliveries(away["id"].(string))
		return len(a) > 0 && a[0].Status == notify.DeliveryDelivered && len(b) > 0 && len(b[0].Attempts) == 1
	})
	mu.Lock()
	defer mu.Unlock()
	if len(calls) == 0 {
		t.Fatal("no call")
	}
	if err := verify(made["secret"].(string), calls[0].header, calls[0].body); err != nil {
		t.Error(err)
	}
	if a := w.deliveries(id)[0].Attempts[0]; len(a.Response) > 1024 {
		t.Errorf("%d bytes kept", len(a.Response))
	}
	if d := w.deliveries(away["id"].(string))[0]; d.Reason != "redirect" || d.Attempts[0].Code != 307 {
		t.Errorf("got %+v", d)
	}
	select {
	case <-elsewhere:
		t.Error("the redirect was followed")
	default:
	}
}
