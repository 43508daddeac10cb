package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/reseal"
)

// What is stored sealed: the secrets of endpoints, and the texts of messages that
// hold a secret. The credentials of a mail server are no part of it: they come with
// Config.Mail and are never stored.

// endpointSecrets and secretTexts are the tables with sealed values.
func endpointSecrets() reseal.Table {
	return reseal.Table{Name: "notify_endpoint_secrets", Column: "sealed", Key: []string{"tenant", "endpoint_id", "id"}}
}

func secretTexts() reseal.Table {
	return reseal.Table{Name: "notify_secret_texts", Column: "sealed", Key: []string{"tenant", "delivery_id"}}
}

// addSecret keeps a secret of an endpoint.
func (s *Service) addSecret(ctx context.Context, tx store.Tx, endpoint, secret string, now int64) error {
	id := s.cfg.NewID("whs")
	sealed, err := s.cfg.Sealer.Seal(ctx, endpointSecrets().Cell(string(tx.Tenant()), endpoint, id), []byte(secret))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO notify_endpoint_secrets (tenant, endpoint_id, id, sealed, created_at) VALUES (?, ?, ?, ?, ?)`,
		tx.Tenant(), endpoint, id, sealed, now)
	return err
}

// storedSecret is a secret of an endpoint as it is stored. One from before sealing
// stands in the id.
type storedSecret struct {
	id     string
	sealed []byte
}

func scanStoredSecret(rows *sql.Rows) (x storedSecret, err error) {
	return x, rows.Scan(&x.id, &x.sealed)
}

func (s *Service) openSecret(ctx context.Context, tenant platform.TenantID, endpoint string, x storedSecret) (string, error) {
	if x.sealed == nil {
		return x.id, nil
	}
	secret, err := s.cfg.Sealer.Open(ctx, endpointSecrets().Cell(string(tenant), endpoint, x.id), x.sealed)
	return string(secret), err
}

// sealedText is a secret text as it is sealed.
type sealedText struct {
	Title string `json:"title"`
	Body  string `json:"body"`
	HTML  string `json:"html,omitempty"`
}

func (s *Service) sealText(ctx context.Context, tenant platform.TenantID, delivery string, text rendered) ([]byte, error) {
	raw, err := json.Marshal(sealedText{text.title, text.body, text.html})
	if err != nil { // strings always marshal
		return nil, err
	}
	return s.cfg.Sealer.Seal(ctx, secretTexts().Cell(string(tenant), delivery), raw)
}

func (s *Service) openText(ctx context.Context, tenant platform.TenantID, delivery string, sealed []byte) (rendered, error) {
	raw, err := s.cfg.Sealer.Open(ctx, secretTexts().Cell(string(tenant), delivery), sealed)
	if err != nil {
		return rendered{}, err
	}
	var text sealedText
	if json.Unmarshal(raw, &text) != nil { // whose error would show some of it
		return rendered{}, fmt.Errorf("notify: the secret text of %s has the wrong form", delivery)
	}
	return rendered{text.Title, text.Body, text.HTML}, nil
}

// sealing returns the step of the work in the background.
func (s *Service) sealing() func(context.Context) (bool, error) {
	return reseal.InTurn(
		s.sealOld,
		reseal.Step(s.db, s.cross.sealing, s.cfg.Sealer, endpointSecrets()),
		reseal.Step(s.db, s.cross.sealing, s.cfg.Sealer, secretTexts()),
	)
}

// sealOld seals secrets of endpoints that stand in the clear from before sealing, in
// their rows.
func (s *Service) sealOld(ctx context.Context) (more bool, err error) {
	type old struct {
		tenant           platform.TenantID
		endpoint, secret string
	}
	var found []old
	err = s.db.AcrossTenants(ctx, s.cross.sealing, func(ctx context.Context, tx store.CrossTx) error {
		rows, err := tx.Query(ctx, `SELECT tenant, endpoint_id, id FROM notify_endpoint_secrets WHERE sealed IS NULL LIMIT ?`, removeRows)
		found, err = collect(rows, err, func(rows *sql.Rows) (o old, err error) { return o, rows.Scan(&o.tenant, &o.endpoint, &o.secret) })
		return err
	}, store.ReadOnly)
	if err != nil {
		return false, fmt.Errorf("notify: find secrets: %w", err)
	}
	for _, o := range found {
		id := s.cfg.NewID("whs")
		sealed, err := s.cfg.Sealer.Seal(ctx, endpointSecrets().Cell(string(o.tenant), o.endpoint, id), []byte(o.secret))
		if err != nil {
			return false, err
		}
		err = s.db.InTenant(ctx, o.tenant, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE notify_endpoint_secrets SET id = ?, sealed = ? WHERE tenant = ? AND endpoint_id = ? AND id = ? AND sealed IS NULL`,
				id, sealed, o.tenant, o.endpoint, o.secret)
			return err
		}, store.Reserved)
		if err != nil {
			return false, fmt.Errorf("notify: seal a secret: %w", err)
		}
	}
	return len(found) == removeRows, nil
}
