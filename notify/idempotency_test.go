package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// repeated sends a request of ann's with a key and tells whether the answer is
// an earlier one.
func (w *world) repeated(key, path, body string) (status int, answer string, replayed bool) {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(http.MethodPost, path, http.NoBody)
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Idempotency-Key", key)
	r = r.WithContext(platform.WithPrincipal(r.Context(), platform.Principal{Tenant: acme, Subject: "ann", Kind: platform.PrincipalUser}))
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	raw, _ := io.ReadAll(rec.Body)
	return rec.Code, string(raw), rec.Header().Get("Idempotency-Replayed") == "true"
}

// everyRow tells what the tables hold that calls add to.
func (w *world) everyRow() string {
	w.t.Helper()
	var all []string
	err := w.db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
		all = nil
		for _, table := range []string{
			"notify_messages", "notify_inbox", "notify_deliveries", "notify_rules", "notify_templates", "notify_endpoints",
			"notify_endpoint_secrets", "idempotency_keys",
		} {
			var n int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+table+` WHERE tenant = ?`, tx.Tenant()).Scan(&n); err != nil {
				return err
			}
			all = append(all, fmt.Sprint(table, "=", n))
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// Each operation that changes something has its effect once for a key, gives the
// first answer again and refuses another input.
func TestEveryOperationHonoursTheKey(t *testing.T) {
	w := start(t, nil)
	ann := platform.Principal{Tenant: acme, Subject: "ann", Kind: platform.PrincipalUser}
	endpoint, _, err := w.svc.CreateEndpoint(t.Context(), ann, notify.Endpoint{URL: "https://198.51.100.1/x", Types: []string{"*"}, Disabled: true})
	if err != nil {
		t.Fatal(err)
	}
	live, _, err := w.svc.CreateEndpoint(t.Context(), ann, notify.Endpoint{URL: "https://198.51.100.2/x", Types: []string{"none"}})
	if err != nil {
		t.Fatal(err)
	}
	message, err := w.svc.Send(t.Context(), ann, notify.Message{
		To: notify.Audience{Users: []string{"ann"}}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "Hello",
	})
	if err != nil {
		t.Fatal(err)
	}
	err = w.db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO notify_deliveries (tenant, id, message_id, event_id, event_type, channel, recipient, address, name, body, status, reason, attempts, tries, created_at, updated_at)
			SELECT tenant, 'dlv_failed', '', 'evt_1', 'x', 'webhook', ?, '', '', '{}', 'failed', '', 0, 0, created_at, created_at FROM notify_messages WHERE tenant = ? LIMIT 1`, live.ID, tx.Tenant())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		path, body, another string
		status              int
	}{
		"notify.messages.send": {
			"/v1/notify/messages", `{"to":{"everyone":true},"channels":["inbox"],"title":"<b>","body":"` + strings.Repeat("x", 65_500) + `"}`,
			`{"to":{"everyone":true},"channels":["inbox"],"title":"Other"}`, 201,
		},
		"notify.messages.retry":         {"/v1/notify/messages/" + message.ID + "/retry", "", "", 202},
		"notify.deliveries.retry":       {"/v1/notify/deliveries/dlv_failed/retry", "", "", 202},
		"notify.endpoints.create":       {"/v1/notify/endpoints", `{"url":"https://198.51.100.3/y","types":["none"]}`, `{"url":"https://198.51.100.3/z","types":["none"]}`, 200},
		"notify.endpoints.rotateSecret": {"/v1/notify/endpoints/" + endpoint.ID + "/rotate-secret", "", "", 200},
		"notify.endpoints.test":         {"/v1/notify/endpoints/" + live.ID + "/test", "", "", 202},
		"notify.rules.create": {
			"/v1/notify/rules", `{"name":"r","event":"data.record.created","filter":{"x":"<&>"},"channels":["inbox"],"to":{"everyone":true},"title":"T"}`,
			`{"name":"r2","event":"data.record.created","channels":["inbox"],"to":{"everyone":true},"title":"T"}`, 200,
		},
		"notify.templates.create": {
			"/v1/notify/templates", `{"name":"t","title":"T","body":"` + strings.Repeat("y", 30_000) + `"}`, `{"name":"t","title":"T","body":"z"}`, 200,
		},
		"notify.inbox.read":    {"/v1/notify/inbox/" + message.ID + "/read", "", "", 200},
		"notify.inbox.readAll": {"/v1/notify/inbox/read-all", "", "", 200},
	}
	for _, r := range w.svc.Routes() {
		c, tested := cases[r.Operation]
		if (r.Retry == platform.RetryWithKey) != tested {
			t.Errorf("%s: retry %q, tested %t", r.Operation, r.Retry, tested)
		}
		if !tested {
			continue
		}
		t.Run(r.Operation, func(t *testing.T) {
			const key = "9b2e6c4f-the-key-of-the-caller"
			status, first, replayed := w.repeated(key, c.path, c.body)
			if status >= 300 || replayed {
				t.Fatalf("the first call: %d %s", status, first)
			}
			before := w.everyRow()
			for range 3 {
				if again, answer, replayed := w.repeated(key, c.path, c.body); again != status || !replayed || answer != first {
					t.Fatalf("a second call: %d %.300s, replayed %t; the first answer is %.300s", again, answer, replayed, first)
				}
			}
			if c.another != "" {
				if status, answer, _ := w.repeated(key, c.path, c.another); status != 422 || !strings.Contains(answer, "idempotency_key_reused") {
					t.Errorf("another input: %d %s", status, answer)
				}
			}
			if after := w.everyRow(); after != before {
				t.Errorf("second calls have effects:\n%s\n%s", before, after)
			}
			if strings.Contains(w.place.Contents(t), key) {
				t.Error("the key is readable in the store")
			}
		})
	}
}

// The secret of an endpoint is kept for its own use, and for a second call sealed:
// once more in the store, it would be seen.
func TestRepeatedSecretIsSealed(t *testing.T) {
	w := start(t, nil)
	const body = `{"url":"https://198.51.100.3/y","types":["none"]}`
	_, plain, _ := w.repeated("k", "/v1/notify/endpoints", body)
	secret := plain[strings.Index(plain, "whsec_"):]
	secret = secret[:strings.IndexByte(secret, '"')]
	if _, again, replayed := w.repeated("k", "/v1/notify/endpoints", body); !replayed || !strings.Contains(again, secret) {
		t.Fatalf("a second call: %s", again)
	}
	err := w.db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		var answer []byte
		if err := tx.QueryRow(ctx, `SELECT answer FROM idempotency_keys WHERE tenant = ?`, tx.Tenant()).Scan(&answer); err != nil {
			return err
		}
		if strings.Contains(string(answer), secret) || strings.Contains(string(answer), "198.51.100.3") {
			return errors.New("the stored answer is readable")
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		t.Error(err)
	}
}

// What a message needed to be written may be gone when the call is repeated.
func TestRepeatedMessageOfARemovedTemplate(t *testing.T) {
	w := start(t, nil)
	ann := platform.Principal{Tenant: acme, Subject: "ann", Kind: platform.PrincipalUser}
	template, err := w.svc.CreateTemplate(t.Context(), ann, notify.Template{Name: "t", Title: "T", Body: "B"})
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"to":{"everyone":true},"channels":["inbox"],"template":%q}`, template.ID)
	_, first, _ := w.repeated("k", "/v1/notify/messages", body)
	if err := w.svc.DeleteTemplate(t.Context(), ann, template.ID); err != nil {
		t.Fatal(err)
	}
	if status, again, replayed := w.repeated("k", "/v1/notify/messages", body); status != 201 || !replayed || again != first {
		t.Errorf("%d %s, replayed %t", status, again, replayed)
	}
}
