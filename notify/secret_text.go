package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A message may hold a secret, such as the token of an invitation. Whoever may
// read messages must not read that, so its text never stands in the message. It
// stands in a table of its own, sealed, one row for each delivery, which the
// transaction removes that records how the delivery ended. A crash between the
// sending and the record leaves the row to the try that follows.

// secretAge is how long a secret text is of use where nobody says it.
const secretAge = 7 * 24 * time.Hour

// reasonExpired is of a delivery whose secret lost its use before it was sent.
const reasonExpired = "expired"

// secretText is the text of a message that holds a secret.
type secretText struct {
	rendered
	expires time.Time
}

// secretState is what a delivery knows of its secret.
type secretState struct {
	marked  bool // the message holds one
	kept    bool // the text is still there
	expires time.Time
}

var insertSecrets = newBulk("notify_secret_texts", "tenant", "delivery_id", "title", "body", "html", "sealed", "expires_at")

// validateSecret reports what a message with a secret cannot have: an inbox, a
// webhook or what a job makes of an audience or a template would keep the text.
func (m *Message) validateSecret(f *fields) {
	if !slices.Equal(m.Channels, []Channel{ChannelEmail}) {
		f.add("/channels", "secret", "a secret goes by the channel email alone")
	}
	if !m.To.IsZero() || len(m.Emails) == 0 {
		f.add("/to", "secret", "a secret goes to addresses alone")
	}
	if m.Template != "" {
		f.add("/template", "secret", "a secret stands in a title and a body, not in the variables of a template")
	}
}

func (s *Service) secretText(m Message) *secretText {
	x := &secretText{rendered{m.Title, m.Body, m.HTML}, m.Expires}
	if m.Expires.IsZero() {
		x.expires = s.cfg.Now().Add(secretAge)
	}
	return x
}

// writeSecrets keeps the secrets of what is to be delivered.
func (s *Service) writeSecrets(ctx context.Context, tx store.Tx, plans []*plan) error {
	var rows []any
	for _, p := range plans {
		if p.secret == nil {
			continue
		}
		for _, d := range p.deliveries {
			if d.status == DeliveryPending {
				sealed, err := s.sealText(ctx, tx.Tenant(), d.id, p.secret.rendered)
				if err != nil {
					return err
				}
				rows = append(rows, tx.Tenant(), d.id, "", "", "", sealed, p.secret.expires.UnixMicro())
			}
		}
	}
	if err := insertSecrets.exec(ctx, tx, rows); err != nil {
		return fmt.Errorf("notify: write secrets: %w", err)
	}
	return nil
}

func removeSecret(ctx context.Context, tx store.Tx, delivery string) error {
	_, err := tx.Exec(ctx, `DELETE FROM notify_secret_texts WHERE tenant = ? AND delivery_id = ?`, tx.Tenant(), delivery)
	if err != nil {
		return fmt.Errorf("notify: remove a secret: %w", err)
	}
	return nil
}

// removeSecrets ends deliveries whose secret has lost its use and that no job
// tries any more: a job may have failed for good. It is a step of retention.
func (s *Service) removeSecrets(ctx context.Context) (bool, error) {
	now, n := s.cfg.Now().UnixMicro(), 0
	err := s.db.AcrossTenants(ctx, s.cross.retention, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `UPDATE notify_deliveries SET status = ?, reason = ?, next_attempt_at = NULL, updated_at = ?
WHERE status = ? AND (tenant, id) IN (
SELECT tenant, delivery_id FROM notify_secret_texts WHERE expires_at <= ? ORDER BY expires_at, tenant, delivery_id LIMIT ?)`,
			DeliveryFailed, reasonExpired, now, DeliveryPending, now, removeRows)
		if err != nil {
			return err
		}
		n, err = affected(tx.Exec(ctx, `DELETE FROM notify_secret_texts WHERE (tenant, delivery_id) IN (
SELECT tenant, delivery_id FROM notify_secret_texts WHERE expires_at <= ? ORDER BY expires_at, tenant, delivery_id LIMIT ?)`, now, removeRows))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("notify: remove secrets: %w", err)
	}
	return n == removeRows, nil
}

func errSecretRemoved() error {
	return platform.Errorf(platform.KindConflict, "secret_removed",
		"the message held a secret, which is not kept beyond the first delivery; cause a new message")
}
