package notify_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/seal"
)

// sealedEndpoint is an endpoint of acme whose service seals under a keyset of the
// test's. signedWith waits for its next webhook and reports whether the secret has
// signed it.
type sealedEndpoint struct {
	*world
	receiver   *receiver
	id, secret string
	sealer     *seal.Sealer
	sent       int
}

func newSealedEndpoint(t *testing.T) *sealedEndpoint {
	t.Helper()
	s, err := seal.New(seal.Config{Keys: seal.Memory("")})
	if err != nil {
		t.Fatal(err)
	}
	e := &sealedEndpoint{receiver: &receiver{}, sealer: s}
	e.world = reopen(t, testdb.NewPlace(t), everybody(), func(cfg *notify.Config) { cfg.Sealer = s }, e.receiver)
	t.Cleanup(e.close)
	e.endpoint("https://hooks.example.com/one")
	return e
}

// endpoint makes an endpoint the one that is used.
func (e *sealedEndpoint) endpoint(url string) {
	e.t.Helper()
	made := e.want(201, acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{"url": url, "types": []string{"data.*"}})
	e.id, _ = made["id"].(string)
	e.secret, _ = made["secret"].(string)
}

func (e *sealedEndpoint) signedWith(secret string) bool {
	e.t.Helper()
	e.sent++
	e.want(202, acme, "ann", "POST", "/v1/notify/endpoints/"+e.id+"/test", nil)
	eventually(e.t, "the webhook", func() bool { return len(e.receiver.all()) == e.sent })
	c := e.receiver.all()[e.sent-1]
	return verify(secret, c.header, c.body) == nil
}

// round does what the work in the background does, until it has no more.
func (e *sealedEndpoint) round() {
	e.t.Helper()
	step := e.svc.Sealing()
	for more := true; more; {
		var err error
		if more, err = step(e.t.Context()); err != nil {
			e.t.Fatal(err)
		}
	}
}

// A secret signs webhooks and stands in no table.
func TestEndpointSecretIsSealed(t *testing.T) {
	e := newSealedEndpoint(t)
	if tables := e.tables(); strings.Contains(tables, "whsec_") || strings.Contains(tables, strings.TrimPrefix(e.secret, "whsec_")) {
		t.Errorf("a secret stands in the clear:\n%s", tables)
	}
	if !e.signedWith(e.secret) {
		t.Error("the webhook is not signed with the secret")
	}
}

// The sealed secret of one endpoint is of no use to another one: nothing is sent.
func TestSealedSecretMoved(t *testing.T) {
	e := newSealedEndpoint(t)
	first := e.id
	e.endpoint("https://hooks.example.com/two")
	e.exec(`UPDATE notify_endpoint_secrets SET sealed = (SELECT sealed FROM notify_endpoint_secrets WHERE endpoint_id = ?) WHERE endpoint_id = ?`, first, e.id)
	e.round() // it is under the present key, and left alone
	if _, err := e.svc.SecretsOf(t.Context(), acme, e.id); platform.KindOf(err) != platform.KindInternal {
		t.Errorf("got %v", err)
	}
	if secrets, err := e.svc.SecretsOf(t.Context(), acme, first); err != nil || len(secrets) != 1 {
		t.Errorf("got %d secrets, %v", len(secrets), err)
	}
}

// A secret from before sealing signs, is sealed in its row, and signs after that; so
// does one within the grace of a rotation.
func TestOldSecretIsSealed(t *testing.T) {
	e := newSealedEndpoint(t)
	old := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	e.exec(`UPDATE notify_endpoint_secrets SET id = ?, sealed = NULL WHERE endpoint_id = ?`, old, e.id)
	if !e.signedWith(old) {
		t.Error("an old secret does not sign")
	}
	e.round()
	if tables := e.tables(); strings.Contains(tables, "whsec_") {
		t.Errorf("it still stands in the clear:\n%s", tables)
	}
	if !e.signedWith(old) {
		t.Error("sealed, it does not sign")
	}
	made := e.want(200, acme, "ann", "POST", "/v1/notify/endpoints/"+e.id+"/rotate-secret", nil)
	if fresh, _ := made["secret"].(string); !e.signedWith(old) || !e.signedWith(fresh) {
		t.Error("within the grace both sign")
	}
	e.want(204, acme, "ann", "DELETE", "/v1/notify/endpoints/"+e.id, nil)
	if n := e.rows("notify_endpoint_secrets"); n != 0 {
		t.Errorf("%d secrets are left", n)
	}
}

// After the keyset was rotated everything is sealed again, secret texts too, and
// goes on when the old key is retired.
func TestSecretsFollowTheSealer(t *testing.T) {
	e := newSealedEndpoint(t)
	ctx := t.Context()
	keys, err := e.sealer.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.sealer.Rotate(ctx); err != nil {
		t.Fatal(err)
	}
	e.round()
	if err := e.sealer.Retire(ctx, keys[0].ID); err != nil {
		t.Fatal(err)
	}
	if !e.signedWith(e.secret) {
		t.Error("the webhook is not signed with the secret")
	}
	err = e.db.AcrossTenants(ctx, testdb.Crossing(e.db), func(ctx context.Context, tx store.CrossTx) error {
		var sealed []byte
		err := tx.QueryRow(ctx, `SELECT sealed FROM notify_endpoint_secrets`).Scan(&sealed)
		if !e.sealer.Current(sealed) {
			t.Error("it is under the old key")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The text of a mail with a secret waits sealed, also over a rotation, and what was
// written before sealing is sent.
func TestSecretTextIsSealed(t *testing.T) {
	c := newClock()
	held := make(chan struct{})
	p := &postman{answer: func(context.Context, int) error {
		select {
		case <-held:
			return nil
		default:
			return quoting(false)
		}
	}}
	s, err := seal.New(seal.Config{Keys: seal.Memory("")})
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, func(cfg *notify.Config) { cfg.Mail, cfg.Now, cfg.Sealer = p, c.now, s })
	m := w.sendSecret(notify.Message{Expires: c.now().Add(100 * time.Hour)})
	eventually(t, "the first try", func() bool { return len(p.all()) > 0 })
	if tables := w.tables(); strings.Contains(tables, canary) || w.rows("notify_secret_texts") != 1 {
		t.Errorf("the secret stands in the clear, or is not kept:\n%s", tables)
	}
	text, err := w.svc.SecretTextOf(t.Context(), acme, w.delivery(m.ID).ID)
	if err != nil || !strings.Contains(text, canary) {
		t.Errorf("got %q, %v", text, err)
	}
	keys, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, rotated := s.Rotate(t.Context())
	step := w.svc.Sealing()
	for more := true; more && rotated == nil; {
		more, rotated = step(t.Context())
	}
	if err := s.Retire(t.Context(), keys[0].ID); err != nil || rotated != nil {
		t.Fatal(err, rotated)
	}
	if text, err := w.svc.SecretTextOf(t.Context(), acme, w.delivery(m.ID).ID); err != nil || !strings.Contains(text, canary) {
		t.Errorf("after the rotation: %q, %v", text, err)
	}
	w.exec(`UPDATE notify_secret_texts SET sealed = NULL, title = 't', body = 'from before'`)
	if text, err := w.svc.SecretTextOf(t.Context(), acme, w.delivery(m.ID).ID); err != nil || text != "from before" {
		t.Errorf("from before: %q, %v", text, err)
	}
	close(held)
}
