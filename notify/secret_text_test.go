package notify_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

const canary = "it_canary-7731"

// postman is a host's own way for e-mails.
type postman struct {
	mu    sync.Mutex
	mails []notify.Mail
	// answer, where it is set, is asked for each mail, the first is number 1.
	answer func(ctx context.Context, n int) error
}

func (p *postman) Send(ctx context.Context, m notify.Mail) error {
	p.mu.Lock()
	p.mails = append(p.mails, m)
	n := len(p.mails)
	p.mu.Unlock()
	if p.answer == nil {
		return nil
	}
	return p.answer(ctx, n)
}

func (p *postman) all() []notify.Mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]notify.Mail(nil), p.mails...)
}

// quoting refuses a mail with an answer that repeats its text.
func quoting(permanent bool) error {
	return &notify.MailError{Reason: "smtp_rejected", Permanent: permanent, Code: 550, Response: "rejected: " + canary, Err: errors.New(canary)}
}

// tables is what the tables of the service and the outbox hold. The file would
// also hold what was removed and not overwritten yet.
func (w *world) tables() string {
	w.t.Helper()
	list := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if testdb.OnPostgres() {
		list = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema`
	}
	var out strings.Builder
	err := w.db.AcrossTenants(context.Background(), testdb.Crossing(w.db), func(ctx context.Context, tx store.CrossTx) error {
		out.Reset()
		names, err := texts(tx.Query(ctx, list))
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, "notify_") && name != "outbox" && name != "event_log" && name != "jobs" {
				continue
			}
			rows, err := texts(tx.Query(ctx, `SELECT * FROM `+name))
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(rows, "\n"))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}

// texts are the rows, each as one text.
func texts(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var row []string
		for _, v := range values {
			row = append(row, v.String)
		}
		out = append(out, strings.Join(row, " | "))
	}
	return out, rows.Err()
}

// served is what HTTP says of the messages, their deliveries and the inboxes.
func (w *world) served(id string) string {
	w.t.Helper()
	var out strings.Builder
	for _, path := range []string{"/v1/notify/messages", "/v1/notify/messages/" + id, "/v1/notify/inbox"} {
		raw, err := io.ReadAll(w.request(acme, "ann", "GET", path, nil).Body)
		if err != nil {
			w.t.Fatal(err)
		}
		out.Write(raw)
	}
	return out.String()
}

func (w *world) sendSecret(m notify.Message) notify.SentMessage {
	w.t.Helper()
	m.Emails, m.Channels, m.Secret = []string{"new@example.com"}, []notify.Channel{notify.ChannelEmail}, true
	m.Title, m.Body, m.HTML = "Yours: "+canary, "Take "+canary, "<b>"+canary+"</b>"
	sent, err := w.svc.Send(context.Background(), platform.System(acme, "test"), m)
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.Contains(fmt.Sprintf("%+v", sent), canary) || !sent.Secret {
		w.t.Errorf("Send returns %+v", sent)
	}
	return sent
}

// A secret is in no answer and no event while its mail is under way, and in no
// table once it has arrived, for whatever reason the delivery ends.
func TestSecretMail(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(context.Context, int) error
		// the mails that were tried, how the delivery ends and why
		mails  int
		status notify.DeliveryStatus
		reason string
	}{
		"at once": {nil, 1, notify.DeliveryDelivered, ""},
		"after retries": {func(_ context.Context, n int) error {
			if n < 4 {
				return quoting(false)
			}
			return nil
		}, 4, notify.DeliveryDelivered, ""},
		"refused for good": {func(context.Context, int) error { return quoting(true) }, 1, notify.DeliveryFailed, "smtp_rejected"},
		"never taken":      {func(context.Context, int) error { return errors.New(canary) }, 10, notify.DeliveryFailed, "network"},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Prepare(t)
			synctest.Test(t, func(t *testing.T) {
				p := &postman{answer: c.answer}
				w := start(t, func(cfg *notify.Config) { cfg.Mail = p })
				m := w.sendSecret(notify.Message{ID: "inv_1"})
				under := w.served(m.ID)
				until(t, "the end", func() bool { return w.delivery(m.ID).Status != notify.DeliveryPending })
				d := w.delivery(m.ID)
				if d.Status != c.status || d.Reason != c.reason || len(p.all()) != c.mails || len(d.Attempts) != c.mails {
					t.Errorf("%d mails, %+v", len(p.all()), d)
				}
				for _, mail := range p.all() {
					if !mail.Secret || !strings.Contains(mail.Subject, canary) || !strings.Contains(mail.Text, canary) || !strings.Contains(mail.HTML, canary) || mail.ID != d.ID {
						t.Errorf("mail %+v", mail)
					}
				}
				for where, text := range map[string]string{"an answer": under + w.served(m.ID), "a table": w.tables()} {
					if strings.Contains(text, canary) {
						t.Errorf("the secret is in %s:\n%s", where, text)
					}
				}
				if !strings.Contains(w.served(m.ID), `"secret":true`) {
					t.Error("the message does not say that it held a secret")
				}
				w.noRetry(m.ID, d)
			})
		})
	}
}

// noRetry tries again what has nothing any more to be sent.
func (w *world) noRetry(message string, d notify.Delivery) {
	w.t.Helper()
	if d.Status == notify.DeliveryDelivered {
		if out := w.want(202, acme, "ann", "POST", "/v1/notify/messages/"+message+"/retry", nil); out["retried"] != 0.0 {
			w.t.Errorf("retry: %v", out)
		}
		return
	}
	for _, path := range []string{"/v1/notify/messages/" + message + "/retry", "/v1/notify/deliveries/" + d.ID + "/retry"} {
		if out := w.want(409, acme, "ann", "POST", path, nil); out["code"] != "secret_removed" {
			w.t.Errorf("%s: %v", path, out)
		}
	}
}

// While a mail waits its text stands sealed in a table that nothing serves; a
// process that ends in the middle of the sending leaves it to the next.
func TestSecretOutlivesTheProcess(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		place := testdb.NewPlace(t)
		reached := make(chan struct{})
		p := &postman{answer: func(ctx context.Context, _ int) error {
			close(reached)
			<-ctx.Done()
			return ctx.Err()
		}}
		w := open(t, place, everybody(), func(cfg *notify.Config) { cfg.Mail = p })
		m := w.sendSecret(notify.Message{})
		<-reached
		for line := range strings.SplitSeq(w.tables(), "\n") {
			if strings.Contains(line, canary) {
				t.Errorf("the secret is in %s", line)
			}
		}
		w.close()
		p2 := &postman{}
		w = open(t, place, everybody(), func(cfg *notify.Config) { cfg.Mail = p2 })
		defer w.close()
		until(t, "the delivery", func() bool { return w.delivery(m.ID).Status == notify.DeliveryDelivered })
		if got := p2.all(); len(got) != 1 || got[0].ID != p.all()[0].ID || !got[0].Date.Equal(p.all()[0].Date) || strings.Contains(w.tables(), canary) {
			t.Errorf("%+v, tables:\n%s", got, w.tables())
		}
	})
}

// A secret that has lost its use is not sent any more.
func TestSecretExpires(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		p := &postman{answer: func(context.Context, int) error { return quoting(false) }}
		w := start(t, func(cfg *notify.Config) { cfg.Mail = p })
		m := w.sendSecret(notify.Message{Expires: time.Now().Add(time.Hour)})
		until(t, "the end", func() bool { return w.delivery(m.ID).Status == notify.DeliveryFailed })
		if d := w.delivery(m.ID); d.Reason != "expired" || len(d.Attempts) != len(p.all()) || time.Since(d.CreatedAt) > 3*time.Hour || strings.Contains(w.tables(), canary) {
			t.Errorf("%d mails, %+v", len(p.all()), d)
		}
	})
}

func TestSecretMessage(t *testing.T) {
	w := start(t, func(cfg *notify.Config) { cfg.Mail = &postman{} })
	for name, m := range map[string]notify.Message{
		"inbox":     {Channels: []notify.Channel{notify.ChannelEmail, notify.ChannelInbox}, Emails: []string{"a@example.com"}},
		"webhook":   {Channels: []notify.Channel{notify.ChannelWebhook}},
		"audience":  {Channels: []notify.Channel{notify.ChannelEmail}, Emails: []string{"a@example.com"}, To: notify.Audience{Everyone: true}},
		"template":  {Channels: []notify.Channel{notify.ChannelEmail}, Emails: []string{"a@example.com"}, Template: "t"},
		"no e-mail": {Channels: []notify.Channel{notify.ChannelEmail}},
	} {
		m.Secret = true
		if m.Template == "" {
			m.Title = "t"
		}
		if _, err := w.svc.Send(t.Context(), platform.System(acme, "test"), m); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// The same message is told by its id: nothing is kept to compare the text.
	first := w.sendSecret(notify.Message{ID: "inv_1"})
	if again := w.sendSecret(notify.Message{ID: "inv_1"}); !again.Repeated || again.ID != first.ID {
		t.Errorf("got %+v", again)
	}
	// Over HTTP there are no secrets: everybody would be free to hide a text.
	w.want(422, acme, "ann", "POST", "/v1/notify/messages", `{"to":{"users":["bob"]},"channels":["email"],"title":"t","secret":true}`)
}

// A secret whose job is gone does not stay: what has lost its use is removed by
// age, and the delivery says why it was never sent. Others' stay.
func TestSecretWithoutAJob(t *testing.T) {
	c := newClock()
	blocked := make(chan struct{})
	defer close(blocked)
	p := &postman{answer: func(context.Context, int) error { <-blocked; return nil }}
	w := start(t, func(cfg *notify.Config) { cfg.Mail, cfg.Now = p, c.now })
	w.rested()
	early := w.sendSecret(notify.Message{Expires: c.now().Add(time.Hour)})
	late := w.sendSecret(notify.Message{Expires: c.now().Add(3 * time.Hour)})
	c.pass(2 * time.Hour)
	if more, err := w.svc.RemoveSecrets(t.Context()); more || err != nil {
		t.Fatalf("%v, %v", more, err)
	}
	if d := w.delivery(early.ID); d.Status != notify.DeliveryFailed || d.Reason != "expired" || w.rows("notify_secret_texts") != 1 {
		t.Errorf("%+v", d)
	}
	if d := w.delivery(late.ID); d.Status != notify.DeliveryPending {
		t.Errorf("%+v", d)
	}
}
