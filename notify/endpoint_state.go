package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// messageEndpoints are the endpoints that take messages, where channels say so.
func messageEndpoints(ctx context.Context, tx store.Tx, channels []Channel) ([]string, error) {
	wanted := false
	for _, c := range channels {
		wanted = wanted || c == ChannelWebhook
	}
	if !wanted {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT id, types FROM notify_endpoints WHERE tenant = ? AND disabled = 0 ORDER BY id`, tx.Tenant())
	entries, err := collect(rows, err, func(rows *sql.Rows) (e endpointEntry, err error) {
		var types string
		err = rows.Scan(&e.id, &types)
		e.types = strings.Fields(types)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("notify: read endpoints: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.takes(MessageEventType) {
			ids = append(ids, e.id)
		}
	}
	return ids, nil
}

// endpointState is what an attempt needs of an endpoint.
type endpointState struct {
	found, disabled bool
	url             string
	failingSince    int64
	secrets         []string // the newest first
}

func (s *Service) readEndpointState(ctx context.Context, tx store.Tx, id string) (endpointState, error) {
	var e endpointState
	err := tx.QueryRow(ctx, `SELECT url, disabled, coalesce(failing_since, 0) FROM notify_endpoints WHERE tenant = ? AND id = ?`,
		tx.Tenant(), id).Scan(&e.url, &e.disabled, &e.failingSince)
	if errors.Is(err, sql.ErrNoRows) {
		return e, nil
	}
	if err != nil {
		return e, fmt.Errorf("notify: read endpoint: %w", err)
	}
	e.found = true
	rows, err := tx.Query(ctx, `SELECT id, sealed FROM notify_endpoint_secrets
WHERE tenant = ? AND endpoint_id = ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY created_at DESC`, tx.Tenant(), id, s.cfg.Now().UnixMicro())
	stored, err := collect(rows, err, scanStoredSecret)
	if err != nil {
		return e, fmt.Errorf("notify: read secrets: %w", err)
	}
	for _, x := range stored {
		secret, err := s.openSecret(ctx, tx.Tenant(), id, x)
		if err != nil {
			return e, err
		}
		e.secrets = append(e.secrets, secret)
	}
	return e, nil
}

// recordEndpoint keeps how an endpoint does, and switches it off where the
// receiver is gone or has failed for too long.
func (s *Service) recordEndpoint(ctx context.Context, tx store.Tx, p *pending, out outcome, now time.Time) error {
	if out.delivered {
		if p.endpoint.failingSince == 0 {
			return nil
		}
		_, err := tx.Exec(ctx, `UPDATE notify_endpoints SET failing_since = NULL WHERE tenant = ? AND id = ?`, tx.Tenant(), p.Recipient)
		if err != nil {
			return err
		}
		return s.cfg.Queue.TargetRecovered(ctx, tx, jobWebhook, p.Recipient)
	}
	// What was read before the attempt says what may have to be done, and so
	// what is to be held; what is in the row by now decides.
	since, tooLong := p.endpoint.failingSince, now.UnixMicro()-s.cfg.DisableAfter.Microseconds()
	reason := ""
	switch {
	case out.gone:
		reason = "gone"
	case since != 0 && since <= tooLong:
		reason = "failing"
	}
	if reason != "" {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
	}
	err := tx.QueryRow(ctx, `UPDATE notify_endpoints SET failing_since = coalesce(failing_since, ?)
WHERE tenant = ? AND id = ? RETURNING failing_since`, now.UnixMicro(), tx.Tenant(), p.Recipient).Scan(&since)
	if errors.Is(err, sql.ErrNoRows) { // deleted meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	if reason == "" || reason == "failing" && since > tooLong {
		return s.cfg.Queue.TargetFailed(ctx, tx, jobWebhook, p.Recipient)
	}
	return s.switchOff(ctx, tx, p.Recipient, reason)
}

// switchOff disables an endpoint and tells those who are responsible in their
// inboxes: by another way than the one that does not work.
func (s *Service) switchOff(ctx context.Context, tx store.Tx, id, reason string) error {
	n, err := affected(tx.Exec(ctx, `UPDATE notify_endpoints SET disabled = 1, disabled_reason = ?, updated_at = ?
WHERE tenant = ? AND id = ? AND disabled = 0`, reason, s.stamp(), tx.Tenant(), id))
	if err != nil || n == 0 {
		return err
	}
	// What still waits for it fails without an attempt, and quickly.
	if err := s.cfg.Queue.TargetRecovered(ctx, tx, jobWebhook, id); err != nil {
		return err
	}
	e, err := readEndpoint(ctx, tx, id)
	if err != nil {
		return err
	}
	why := "the receiver answered that it is gone (410)"
	if reason == "failing" {
		why = "nothing could be delivered since " + e.FailingSince.Format(time.RFC3339)
	}
	notice := &messageRow{
		id: s.cfg.NewID("msg"), createdAt: s.stamp(), status: MessageAccepted, channels: []Channel{ChannelInbox},
		audience: target{Audience: s.cfg.Notices},
		text: rendered{
			title: "A webhook endpoint was switched off",
			body:  fmt.Sprintf("The endpoint %s (%s) gets no more events: %s. Switch it on again once it works.", e.ID, e.URL, why),
		},
	}
	if err := s.write(ctx, tx, []*plan{{message: notice, fanOut: true}}); err != nil {
		return err
	}
	return s.endpointChanged(ctx, tx, "disabled", platform.Principal{}, e)
}
