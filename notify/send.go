package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

const (
	jobFanOut      = "notify.fanout"
	fanOutAttempts = 20
)

// Send brings a message to its audience. It returns once the message, the
// inbox entries and the deliveries are committed; e-mails and webhooks go out
// after that. A message whose ID the tenant has used for the same content is
// returned as it is now, with Repeated set.
//
// Errors: KindInvalid, which names each wrong field, users who are not members
// and a template that is not there among them; KindConflict "id_reused" for an
// ID that was used for something else.
func (s *Service) Send(ctx context.Context, tenant platform.TenantID, m Message) (SentMessage, error) {
	if err := tenant.Validate(); err != nil {
		return SentMessage{}, err
	}
	if err := m.validate(s.cfg.SMTP != nil); err != nil {
		return SentMessage{}, err
	}
	// The directory reads the host's own store, so it is asked before the
	// transaction; only a new message needs it, but a repeated one is rare.
	recipients, err := s.lookUp(ctx, tenant, m.To)
	if err != nil {
		return SentMessage{}, err
	}
	var sent SentMessage
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		sent, err = s.send(ctx, tx, m, recipients, false)
		return err
	})
	return sent, err
}

// SendIn is [Service.Send] in the caller's transaction: the message is sent if
// and only if that commits. The audience, where m.To names one, is looked up
// by a job after the commit, because a look-up may need the store itself;
// users who are not members are then left out without an error.
func (s *Service) SendIn(ctx context.Context, tx store.Tx, m Message) (SentMessage, error) {
	if err := tx.Tenant().Validate(); err != nil {
		return SentMessage{}, err
	}
	if err := m.validate(s.cfg.SMTP != nil); err != nil {
		return SentMessage{}, err
	}
	return s.send(ctx, tx, m, nil, !m.To.IsZero())
}

// lookUp resolves the audience of a caller, who is told which users are not
// there.
func (s *Service) lookUp(ctx context.Context, tenant platform.TenantID, to Audience) ([]Recipient, error) {
	if to.IsZero() {
		return nil, nil
	}
	found, err := s.cfg.Directory.Recipients(ctx, tenant, to)
	if err != nil {
		return nil, fmt.Errorf("notify: look up the audience: %w", err)
	}
	known := make(map[string]bool, len(found))
	for _, r := range found {
		known[r.ID] = true
	}
	var f fields
	for i, id := range to.Users {
		if !known[id] {
			f.add(fmt.Sprintf("/to/users/%d", i), "unknown", "must be the id of a member")
		}
	}
	if len(found) > MaxRecipients {
		f.add("/to", "too_many", fmt.Sprintf("must be at most %d people", MaxRecipients))
	}
	return found, f.err()
}

func (s *Service) send(ctx context.Context, tx store.Tx, m Message, recipients []Recipient, later bool) (SentMessage, error) {
	digest, err := m.digest()
	if err != nil {
		return SentMessage{}, err
	}
	if m.ID != "" {
		// Of two calls with one id, the second must find what the first wrote.
		if err := tx.Lock(ctx, "notify.message."+m.ID); err != nil {
			return SentMessage{}, err
		}
		earlier, stored, err := readMessage(ctx, tx, m.ID)
		switch {
		case err == nil && stored == digest:
			earlier.Repeated = true
			return earlier, nil
		case err == nil:
			return SentMessage{}, platform.Errorf(platform.KindConflict, "id_reused", "another message has this id")
		case !errors.Is(err, platform.ErrNotFound):
			return SentMessage{}, err
		}
	} else {
		m.ID = s.cfg.NewID("msg")
	}
	text, err := s.text(ctx, tx, m)
	if err != nil {
		return SentMessage{}, err
	}
	row := &messageRow{
		id: m.ID, createdAt: s.stamp(), status: MessageDispatched, text: text, channels: m.Channels,
		audience: target{Audience: m.To, Emails: m.Emails}, actor: m.Actor, digest: digest,
	}
	p := &plan{message: row, fanOut: later}
	if later {
		row.status = MessageAccepted
	} else {
		endpoints, err := messageEndpoints(ctx, tx, m.Channels)
		if err != nil {
			return SentMessage{}, err
		}
		s.address(p, tx.Tenant(), recipients, endpoints)
	}
	if err := s.write(ctx, tx, []*plan{p}); err != nil {
		return SentMessage{}, err
	}
	if err := s.emit(ctx, tx, "notify.message.sent", m.ID, m.Actor, map[string]any{"id": m.ID, "channels": m.Channels}); err != nil {
		return SentMessage{}, err
	}
	return p.sent(), nil
}

// digest is of all that the caller said.
func (m *Message) digest() (string, error) {
	raw, err := json.Marshal(m) //nolint:musttag // nobody reads it again
	if err != nil {
		return "", platform.Invalid(platform.Field{Path: "/variables", Code: "format", Detail: "must be JSON values"}).Because(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
}

// text is the message's own or that of its template.
func (s *Service) text(ctx context.Context, tx store.Tx, m Message) (rendered, error) {
	if m.Template == "" {
		return rendered{title: m.Title, body: m.Body, html: m.HTML}, nil
	}
	t, err := readTemplate(ctx, tx, m.Template)
	if errors.Is(err, platform.ErrNotFound) {
		return rendered{}, platform.Invalid(platform.Field{Path: "/template", Code: "unknown", Detail: "must be the id or name of a template"})
	}
	if err != nil {
		return rendered{}, err
	}
	c, err := compile(t.Title, t.Body, t.HTML)
	if err != nil {
		return rendered{}, err
	}
	data, err := variables(m.Variables)
	if err != nil {
		return rendered{}, err
	}
	return c.render(data, "/variables")
}

// address turns the audience into inbox entries and deliveries.
func (s *Service) address(p *plan, tenant platform.TenantID, recipients []Recipient, endpoints []string) {
	m := p.message
	for _, c := range m.channels {
		switch c {
		case ChannelInbox:
			p.inbox = make([]string, 0, len(recipients))
			for _, r := range recipients {
				p.inbox = append(p.inbox, r.ID)
			}
		case ChannelEmail:
			for _, r := range recipients {
				if r.Email != "" {
					p.deliveries = append(p.deliveries, s.email(m, r))
				}
			}
			for _, a := range m.audience.Emails {
				if !slices.ContainsFunc(recipients, func(r Recipient) bool { return r.Email == a }) {
					p.deliveries = append(p.deliveries, s.email(m, Recipient{Email: a}))
				}
			}
		case ChannelWebhook:
			if len(endpoints) == 0 {
				continue
			}
			body := messageEnvelope(tenant, m)
			for _, e := range endpoints {
				p.deliveries = append(p.deliveries, deliveryRow{
					id: s.cfg.NewID("dlv"), message: m.id, eventID: m.id, eventType: MessageEventType, channel: ChannelWebhook,
					recipient: e, body: body, status: DeliveryPending, createdAt: m.createdAt,
				})
			}
		}
	}
}

func (s *Service) email(m *messageRow, r Recipient) deliveryRow {
	d := deliveryRow{
		id: s.cfg.NewID("dlv"), message: m.id, channel: ChannelEmail, recipient: r.ID,
		address: r.Email, name: oneLine(r.Name), status: DeliveryPending, createdAt: m.createdAt,
	}
	switch {
	case s.cfg.SMTP == nil: // a rule from a time when there was a server
		d.status, d.reason = DeliveryFailed, codeNoEmail
	case !validAddress(r.Email):
		d.status, d.reason = DeliveryFailed, "invalid_address"
	}
	return d
}

// sent is the message as it stands right after it was written.
func (p *plan) sent() SentMessage {
	m := p.message
	return SentMessage{
		ID: m.id, Status: m.status, Reason: m.reason, Title: m.text.title, Body: m.text.body, HTML: m.text.html,
		Channels: m.channels, Rule: m.rule, Event: m.event, Actor: m.actor, CreatedAt: micros(m.createdAt), Inbox: len(p.inbox),
	}
}

// runFanOut looks up the audience of an accepted message and writes what
// follows, once.
func (s *Service) runFanOut(ctx context.Context, job queue.Job) error {
	id, err := jobID(job)
	if err != nil {
		return err
	}
	var (
		m   SentMessage
		to  target
		row *messageRow
	)
	err = s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		if m, _, err = readMessage(ctx, tx, id); err != nil {
			return err
		}
		to, err = readTarget(ctx, tx, id)
		return err
	}, store.ReadOnly)
	if err != nil {
		return err
	}
	row = &messageRow{
		id: m.ID, createdAt: m.CreatedAt.UnixMicro(), channels: m.Channels, audience: to,
		text: rendered{m.Title, m.Body, m.HTML}, rule: m.Rule, event: m.Event, actor: m.Actor,
	}
	var recipients []Recipient
	if !to.IsZero() {
		if recipients, err = s.cfg.Directory.Recipients(ctx, job.Tenant, to.Audience); err != nil {
			return fmt.Errorf("notify: look up the audience: %w", err)
		}
	}
	recipients = without(recipients, to.Exclude)
	status, reason := MessageDispatched, ""
	if len(recipients) > MaxRecipients {
		recipients, to.Emails, status, reason = nil, nil, MessageFailed, "too_many_recipients"
	}
	return s.db.InTenant(ctx, job.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := queue.Finish(ctx, tx, job); err != nil {
			return err
		}
		p := &plan{message: row, stored: true}
		if status == MessageDispatched {
			endpoints, err := messageEndpoints(ctx, tx, row.channels)
			if err != nil {
				return err
			}
			s.address(p, job.Tenant, recipients, endpoints)
		}
		result, err := tx.Exec(ctx, `UPDATE notify_messages SET status = ?, reason = ?, audience = '', inbox = ?
WHERE tenant = ? AND id = ? AND status = ?`, status, reason, len(p.inbox), job.Tenant, id, MessageAccepted)
		if err != nil {
			return fmt.Errorf("notify: dispatch: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err // dispatched by an earlier run
		}
		return s.write(ctx, tx, []*plan{p})
	})
}

// without returns recipients without the user of that id. It does not change
// its argument.
func without(recipients []Recipient, id string) []Recipient {
	i := slices.IndexFunc(recipients, func(r Recipient) bool { return id != "" && r.ID == id })
	if i < 0 {
		return recipients
	}
	return slices.Concat(recipients[:i], recipients[i+1:])
}
