package platformtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/platformtest"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reminders is a module of a host: a route that enqueues a job for later, and the
// job, which sends an e-mail.
type reminders struct {
	parts standard.Parts
	after time.Duration
}

type remind struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

const sendReminder queue.Kind[remind] = "host.reminder"

func remindAfter(after time.Duration) func(standard.Parts) ([]platform.Module, error) {
	return func(p standard.Parts) ([]platform.Module, error) {
		r := &reminders{p, after}
		queue.Handle(p.Jobs, sendReminder, r.send, queue.Options{})
		return []platform.Module{r}, nil
	}
}

func (*reminders) Name() string { return "reminders" }

func (r *reminders) Routes() []platform.Route {
	return []platform.Route{{
		Operation: "host.reminders.create", Method: http.MethodPost, Path: "/v1/reminders", Access: platform.Require("data.records.write"),
		Retry: platform.RetryFreely, Handler: http.HandlerFunc(r.create),
	}}
}

func (r *reminders) create(w http.ResponseWriter, req *http.Request) {
	p, err := platform.PrincipalFrom(req.Context())
	var in remind
	if err == nil {
		err = platform.DecodeJSON(req, &in)
	}
	if err == nil {
		err = r.parts.DB.InTenant(req.Context(), p.Tenant, func(ctx context.Context, tx store.Tx) error {
			_, err := queue.Enqueue(ctx, r.parts.Jobs, tx, sendReminder, in, func(j *queue.Job) { j.RunAt = r.parts.Now().Add(r.after) })
			return err
		})
	}
	if err != nil {
		platform.WriteProblem(w, req, r.parts.Logger, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *reminders) send(ctx context.Context, job queue.Job, in remind) error {
	_, err := r.parts.Messages.Send(ctx, platform.System(job.Tenant, "reminders"), notify.Message{
		ID: job.ID, Emails: []string{in.To}, Channels: []notify.Channel{notify.ChannelEmail}, Title: "Reminder", Body: in.Text,
	})
	return err
}

// A host tests its module in a few lines: people, the gateway, a job that is due
// tomorrow, and the e-mail that it sends.
func TestAModuleOfTheHost(t *testing.T) {
	tp := platformtest.New(t, standard.Config{Modules: remindAfter(24 * time.Hour)})
	ann := tp.SignUp("ann@example.com")
	ann.Do("POST", "/v1/reminders", remind{To: "ann@example.com", Text: "water the plants"}).Want(http.StatusNoContent)
	if p := ann.Do("POST", "/v1/reminders", `{"too":"ann@example.com"}`).Want(http.StatusUnprocessableEntity).Problem(); p.Errors[0].Path != "/too" {
		t.Errorf("the problem is %+v", p)
	}
	tp.Do("POST", "/v1/reminders", `{}`).Want(http.StatusUnauthorized)
	if n := len(tp.Mail.All()); n != 0 {
		t.Errorf("%d e-mails today", n)
	}
	tp.Clock.Advance(25 * time.Hour)
	if m := tp.Mail.Wait(t, "ann@example.com"); m.Text == "" || !strings.Contains(m.Text, "water the plants") {
		t.Errorf("the e-mail is %+v", m)
	}
	// The token has ended with the day.
	ann.Do("GET", "/v1/me", nil).Want(http.StatusUnauthorized)
	ann.SignIn()
	ann.Do("GET", "/v1/me", nil).Want(http.StatusOK)
}

// People have organizations and roles, over HTTP and from Go.
func TestPeople(t *testing.T) {
	tp := platformtest.New(t, standard.Config{})
	ann := tp.SignUp("ann@example.com")
	bob := ann.Invite("bob@example.com", "viewer")
	eve := tp.SignUp("eve@example.com")
	if bob.Tenant != ann.Tenant || eve.Tenant == ann.Tenant {
		t.Fatalf("ann is in %s, bob in %s, eve in %s", ann.Tenant, bob.Tenant, eve.Tenant)
	}
	ann.Do("POST", "/v1/data/collections", map[string]any{"name": "films"}).Want(http.StatusCreated)
	bob.Do("GET", "/v1/data/collections/films", nil).Want(http.StatusOK)
	bob.Do("POST", "/v1/data/collections", map[string]any{"name": "books"}).Want(http.StatusForbidden)
	eve.Do("GET", "/v1/data/collections/films", nil).Want(http.StatusNotFound)
	if _, err := tp.Records.CreateRecord(t.Context(), platformtest.Principal(ann.Tenant, "carl", "owner"), "films", "", []byte(`{"title":"M"}`)); err != nil {
		t.Errorf("an owner writes from Go: %v", err)
	}
	var page struct{ Data []struct{ ID string } }
	if ann.Do("GET", "/v1/data/collections/films/records", nil).Want(http.StatusOK).JSON(&page); len(page.Data) != 1 {
		t.Errorf("the records are %v", page)
	}
}

// In a bubble of synctest the platform's time is the bubble's.
func TestInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := platformtest.New(t, standard.Config{Now: time.Now, Modules: remindAfter(time.Minute)})
		ann := tp.SignUp("ann@example.com")
		began := time.Now()
		ann.Do("POST", "/v1/reminders", remind{To: "ann@example.com", Text: "water the plants"}).Want(http.StatusNoContent)
		time.Sleep(time.Minute)
		tp.Mail.Wait(t, "ann@example.com")
		if passed := time.Since(began); passed < time.Minute || passed > 2*time.Minute || tp.Clock != nil {
			t.Errorf("the e-mail came after %v", passed)
		}
	})
}

// What a host sets stays the host's.
func TestTheHostsOwn(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	sink := platformtest.NewMail()
	tp := platformtest.New(t, standard.Config{
		Data: t.TempDir(), Now: func() time.Time { return now }, Mail: sink, Gateway: gateway.Config{BasePath: "/api"},
	})
	if tp.Clock != nil || tp.Mail != nil || !tp.Now().Equal(now) {
		t.Errorf("clock %v, mail %v, now %v", tp.Clock, tp.Mail, tp.Now())
	}
	r := httptest.NewRequest("GET", "/v1/me", nil)
	if got := tp.Send(r).Want(http.StatusUnauthorized).Problem().Code; got != "unauthenticated" {
		t.Errorf("code %s", got)
	}
}

// A failure of an expectation ends the test and says what was answered.
func TestFailures(t *testing.T) {
	tp := platformtest.New(t, standard.Config{})
	f := &failing{TB: t}
	fp := tp.For(f)
	for want, fail := range map[string]func(){
		"GET /v1/me answered 401 and not 200": func() { fp.Do("GET", "/v1/me", nil).Want(200) },
		"which is no problem":                 func() { fp.Do("GET", "/livez", nil).Problem() },
		"no JSON of that form":                func() { fp.Do("GET", "/livez", nil).JSON(new(int)) },
		"the body of POST /x":                 func() { fp.Do("POST", "/x", func() {}) },
		"sign up nobody":                      func() { fp.SignUp("nobody") },
	} {
		f.text = ""
		func() {
			defer func() { _ = recover() }()
			fail()
		}()
		if !strings.Contains(f.text, want) {
			t.Errorf("the test ends with %q; want %q in it", f.text, want)
		}
	}
}

// failing is a test that remembers why it was ended.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	panic("ended")
}

// The sink keeps e-mails apart by address, and fails on demand.
func TestMail(t *testing.T) {
	m := platformtest.NewMail()
	send := func(to, text string) error {
		return m.Send(t.Context(), notify.Mail{To: mail.Address{Address: to}, Text: text})
	}
	boom := errors.New("boom")
	m.Fail(boom)
	if err := send("a@example.com", "0"); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	m.Fail(nil)
	done := make(chan string)
	go func() { done <- m.Wait(t, "a@example.com").Text + m.Wait(t, "a@example.com").Text }()
	for _, s := range []string{"b", "a"} {
		for i := range 2 {
			if err := send(s+"@example.com", fmt.Sprint(s, i)); err != nil {
				t.Error(err)
			}
		}
	}
	if got := <-done; got != "a0a1" || m.Wait(t, "b@example.com").Text != "b0" || len(m.All()) != 4 {
		t.Errorf("got %q of %v", got, m.All())
	}
	synctest.Test(t, func(t *testing.T) {
		f := &failing{TB: t}
		defer func() {
			if _ = recover(); !strings.Contains(f.text, "no e-mail to a@example.com came") {
				t.Errorf("the test ends with %q", f.text)
			}
		}()
		platformtest.NewMail().Wait(f, "a@example.com")
	})
}
