package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

const (
	messageList    = "notify.messages"
	messageColumns = `id, created_at, status, reason, title, body, html, channels, inbox, rule, event, actor, digest, secret`
	// shownDeliveries is how many deliveries come with a message.
	shownDeliveries = 200
)

func scanMessage(scan func(...any) error) (m SentMessage, digest string, err error) {
	var (
		created  int64
		channels string
	)
	err = scan(&m.ID, &created, &m.Status, &m.Reason, &m.Title, &m.Body, &m.HTML, &channels, &m.Inbox,
		&m.Rule, &m.Event, &m.Actor, &digest, &m.Secret)
	m.CreatedAt, m.Channels = micros(created), splitChannels(channels)
	return m, digest, err
}

// readMessage returns a message without its deliveries, and its digest.
func readMessage(ctx context.Context, tx store.Tx, id string) (SentMessage, string, error) {
	row := tx.QueryRow(ctx, `SELECT `+messageColumns+` FROM notify_messages WHERE tenant = ? AND id = ?`, tx.Tenant(), id)
	m, digest, err := scanMessage(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return m, "", platform.NotFound("message")
	}
	if err != nil {
		return m, "", fmt.Errorf("notify: read message: %w", err)
	}
	return m, digest, nil
}

// readTarget returns the audience that is kept with an accepted message.
func readTarget(ctx context.Context, tx store.Tx, id string) (target, error) {
	var (
		t   target
		raw string
	)
	err := tx.QueryRow(ctx, `SELECT audience FROM notify_messages WHERE tenant = ? AND id = ?`, tx.Tenant(), id).Scan(&raw)
	if err == nil && raw != "" {
		err = json.Unmarshal([]byte(raw), &t)
	}
	if err != nil {
		return t, fmt.Errorf("notify: read audience: %w", err)
	}
	return t, nil
}

// Message returns a message with its deliveries. Error: KindNotFound.
func (s *Service) Message(ctx context.Context, p platform.Principal, id string) (SentMessage, error) {
	if err := p.RequireTenant(); err != nil {
		return SentMessage{}, err
	}
	var m SentMessage
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		if m, _, err = readMessage(ctx, tx, id); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+` FROM notify_deliveries
WHERE tenant = ? AND message_id = ? AND message_id <> '' ORDER BY created_at DESC, id DESC LIMIT ?`, p.Tenant, id, shownDeliveries)
		m.Deliveries, err = scanDeliveries(ctx, tx, rows, err)
		return err
	}, store.ReadOnly)
	return m, err
}

// Messages returns a page of the tenant's messages, newest first, without
// their deliveries, and the cursor of the next page. Error: KindMalformed for
// a cursor of another list.
func (s *Service) Messages(ctx context.Context, p platform.Principal, limit int, cursor string) ([]SentMessage, string, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, "", err
	}
	before, id, err := timeKey(messageList, cursor)
	if err != nil {
		return nil, "", err
	}
	var out []SentMessage
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+messageColumns+` FROM notify_messages
WHERE tenant = ? AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?`, p.Tenant, before, id, limit+1)
		out, err = collect(rows, err, func(rows *sql.Rows) (SentMessage, error) {
			m, _, err := scanMessage(rows.Scan)
			return m, err
		})
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", fmt.Errorf("notify: messages: %w", err)
	}
	out, next := page.Cut(messageList, out, limit, func(m SentMessage) []string { return timeCursor(m.CreatedAt, m.ID) })
	return out, next, nil
}
