package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// bulk inserts rows with a few constant statements of 64, 16, 4 and 1 rows,
// which the store keeps prepared.
type bulk struct {
	width int
	texts [len(bulkSizes)]string
}

var bulkSizes = [...]int{64, 16, 4, 1}

// upsert adds to each statement what happens where a row is there already.
func (b *bulk) upsert(clause string) *bulk {
	for i := range b.texts {
		b.texts[i] += " ON CONFLICT " + clause
	}
	return b
}

func newBulk(table string, columns ...string) *bulk {
	b := &bulk{width: len(columns)}
	head := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES "
	row := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
	for i, n := range bulkSizes {
		b.texts[i] = head + row + strings.Repeat(", "+row, n-1)
	}
	return b
}

// exec inserts the rows whose values stand one after the other in args.
func (b *bulk) exec(ctx context.Context, tx store.Tx, args []any) error {
	for i, n := range bulkSizes {
		for len(args) >= n*b.width {
			if _, err := tx.Exec(ctx, b.texts[i], args[:n*b.width]...); err != nil {
				return err
			}
			args = args[n*b.width:]
		}
	}
	return nil
}

var (
	insertMessages = newBulk("notify_messages", "tenant", "id", "created_at", "status", "reason", "title", "body",
		"html", "channels", "audience", "inbox", "rule", "event", "actor", "digest", "secret")
	insertInbox  = newBulk("notify_inbox", "tenant", "user_id", "created_at", "message_id")
	insertUnread = newBulk("notify_unread", "tenant", "user_id", "unread").upsert(
		"(tenant, user_id) DO UPDATE SET unread = notify_unread.unread + excluded.unread")
	insertDeliveries = newBulk("notify_deliveries", "tenant", "id", "message_id", "event_id", "event_type", "channel",
		"recipient", "address", "name", "status", "reason", "attempts", "tries", "created_at", "updated_at", "body")
)

// plan is what one cause leads to: rows that are all made before the
// transaction which writes them.
type plan struct {
	message    *messageRow // nil for an event that only goes to endpoints
	inbox      []string    // user ids
	deliveries []deliveryRow
	fanOut     bool // the audience is looked up by a job
	stored     bool // the message is there already
	secret     *secretText
}

type messageRow struct {
	id            string
	createdAt     int64
	status        MessageStatus
	reason        string
	text          rendered
	channels      []Channel
	audience      target
	rule, event   string
	actor, digest string
}

// target is the audience as it is kept with a message until it is looked up,
// and what its text is made of where that has the same job to wait for.
type target struct {
	Audience
	Emails    []string       `json:"emails,omitempty"`
	Exclude   string         `json:"exclude,omitempty"`
	Template  string         `json:"template,omitempty"` // its id
	Variables map[string]any `json:"variables,omitempty"`
}

type deliveryRow struct {
	id                  string
	message             string
	eventID, eventType  string
	channel             Channel
	recipient           string
	address, name, body string
	status              DeliveryStatus
	reason              string
	createdAt           int64
}

// write inserts the rows of all plans and enqueues their jobs.
func (s *Service) write(ctx context.Context, tx store.Tx, plans []*plan) error {
	var (
		tenant                      = tx.Tenant()
		messages, inbox, deliveries []any
		unread                      = make(map[string]int)
	)
	for _, p := range plans {
		if m := p.message; m != nil {
			audience := ""
			if p.fanOut {
				raw, err := json.Marshal(m.audience)
				if err != nil { // strings always marshal
					return err
				}
				audience = string(raw)
			}
			if !p.stored {
				messages = append(messages, tenant, m.id, m.createdAt, m.status, m.reason, m.text.title, m.text.body,
					m.text.html, joinChannels(m.channels), audience, len(p.inbox), m.rule, m.event, m.actor, m.digest, bit(p.secret != nil))
			}
			for _, user := range p.inbox {
				inbox = append(inbox, tenant, user, m.createdAt, m.id)
				unread[user]++
			}
		}
		for _, d := range p.deliveries {
			deliveries = append(deliveries, tenant, d.id, d.message, d.eventID, d.eventType, d.channel,
				d.recipient, d.address, d.name, d.status, d.reason, 0, 0, d.createdAt, d.createdAt, d.body)
		}
	}
	if err := insertMessages.exec(ctx, tx, messages); err != nil {
		return fmt.Errorf("notify: write messages: %w", err)
	}
	if err := insertInbox.exec(ctx, tx, inbox); err != nil {
		return fmt.Errorf("notify: write inbox: %w", err)
	}
	if err := s.addUnread(ctx, tx, unread); err != nil {
		return err
	}
	if err := insertDeliveries.exec(ctx, tx, deliveries); err != nil {
		return fmt.Errorf("notify: write deliveries: %w", err)
	}
	if err := s.writeSecrets(ctx, tx, plans); err != nil {
		return err
	}
	for _, p := range plans {
		if err := s.enqueue(ctx, tx, p); err != nil {
			return fmt.Errorf("notify: enqueue: %w", err)
		}
	}
	return nil
}

func (s *Service) enqueue(ctx context.Context, tx store.Tx, p *plan) error {
	if p.fanOut {
		_, err := s.cfg.Queue.Enqueue(ctx, tx, queue.Job{Kind: jobFanOut, Payload: jobPayload(p.message.id), UniqueKey: p.message.id})
		if err != nil {
			return err
		}
	}
	for _, d := range p.deliveries {
		if d.status != DeliveryPending {
			continue
		}
		if err := s.enqueueDelivery(ctx, tx, d.id, d.channel, d.recipient); err != nil {
			return err
		}
	}
	return nil
}

// enqueueDelivery makes the job of a delivery. The recipient of a webhook is the
// endpoint, which is the target that may hang or fail.
func (s *Service) enqueueDelivery(ctx context.Context, tx store.Tx, id string, c Channel, recipient string) error {
	job := queue.Job{Kind: jobWebhook, Payload: jobPayload(id), Target: recipient}
	if c == ChannelEmail {
		job.Kind, job.Target = jobEmail, ""
	}
	_, err := s.cfg.Queue.Enqueue(ctx, tx, job)
	return err
}

// addUnread raises the counters that the inbox list answers from, by user: two
// messages to the same people must not wait for each other.
func (s *Service) addUnread(ctx context.Context, tx store.Tx, unread map[string]int) error {
	users := slices.Sorted(maps.Keys(unread))
	rows := make([]any, 0, len(unread)*insertUnread.width)
	for _, user := range users {
		rows = append(rows, tx.Tenant(), user, unread[user])
	}
	if err := insertUnread.exec(ctx, tx, rows); err != nil {
		return fmt.Errorf("notify: count unread: %w", err)
	}
	s.inboxChanged(tx, users)
	return nil
}

// inboxChanged tells the live streams of users, after the commit.
func (s *Service) inboxChanged(tx store.Tx, users []string) {
	if s.live == nil || len(users) == 0 {
		return
	}
	tenant := tx.Tenant()
	tx.AfterCommit(func() { s.live.outbox.add(tenant, users...) })
}

func joinChannels(channels []Channel) string {
	switch len(channels) {
	case 0:
		return ""
	case 1:
		return string(channels[0])
	}
	parts := make([]string, len(channels))
	for i, c := range channels {
		parts[i] = string(c)
	}
	return strings.Join(parts, ",")
}

func splitChannels(s string) []Channel {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	channels := make([]Channel, len(parts))
	for i, p := range parts {
		channels[i] = Channel(p)
	}
	return channels
}

// jobPayload is the JSON of an id, which holds nothing that needs escaping.
func jobPayload(id string) json.RawMessage { return json.RawMessage(`"` + id + `"`) }

func jobID(job queue.Job) (string, error) {
	var id string
	if err := json.Unmarshal(job.Payload, &id); err != nil {
		return "", queue.Discard(fmt.Errorf("notify: job %s has no id: %w", job.ID, err))
	}
	return id, nil
}

// emit writes an event of this service to the outbox.
func (s *Service) emit(ctx context.Context, tx store.Tx, eventType, subject string, by platform.Principal, data any) error {
	raw, err := json.Marshal(data)
	if err != nil { // strings and lists of them always marshal
		return err
	}
	actor, onBehalfOf := by.Attribution()
	return tx.Emit(ctx, platform.Event{
		ID: s.cfg.NewID("evt"), Source: "/notify", Type: eventType, Tenant: tx.Tenant(),
		Subject: subject, Time: s.cfg.Now().UTC(), Actor: actor, OnBehalfOf: onBehalfOf, Data: raw,
	})
}

// bit stores a bool in an integer column, the same in every dialect.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
