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
	"github.com/acme/platform/store/idempotency"
	"github.com/acme/platform/store/quota"
)

// Send brings a message to its audience. It returns once the message, the
// inbox entries and the deliveries are committed; e-mails and webhooks go out
// after that. A message whose ID the tenant has used for the same content is
// returned as it is now, with Repeated set.
//
// Errors: KindInvalid, which names each wrong field, users who are not members,
// a template that is not there and one whose rendering fails or takes more than
// it may among them; KindConflict "id_reused" for an ID that was used for
// something else; KindLimited "rate_exceeded" beyond one of the limits of the
// day: "notify.messages", "notify.emails", "notify.emails_per_sender" (of
// p.Subject; a system principal has no such limit) and
// "notify.emails_per_recipient".
func (s *Service) Send(ctx context.Context, p platform.Principal, m Message, keys ...*platform.IdempotencyKey) (SentMessage, error) {
	if err := p.RequireTenant(); err != nil {
		return SentMessage{}, err
	}
	if err := m.validate(s.cfg.Mail != nil); err != nil {
		return SentMessage{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.messages.send", m)
	if err != nil {
		return SentMessage{}, err
	}
	if kept, err := call.Kept(ctx, p.Tenant); err != nil || kept {
		return s.sentBefore(ctx, p, call, err)
	}
	d, earlier, err := s.draft(ctx, p, m)
	if err != nil || earlier != nil {
		return deref(earlier), err
	}
	// The directory reads the host's own store, so it is asked before the
	// transaction; only a new message needs it, but a repeated one is rare.
	if d.recipients, err = s.lookUp(ctx, p.Tenant, m.To); err != nil {
		return SentMessage{}, err
	}
	if d.limits, err = s.cfg.Limits.Of(ctx, p.Tenant); err != nil {
		return SentMessage{}, err
	}
	var sent SentMessage
	err = inTenantLarge(ctx, s, p, call, &sent, &sent.ID, sentMessage, func(ctx context.Context, tx store.Tx) error {
		sent, err = s.send(ctx, tx, d)
		return err
	})
	return sent, err
}

// sentBefore returns the answer that is kept for the call: what the message
// needs to be written, such as its template, may be gone since.
func (s *Service) sentBefore(ctx context.Context, p platform.Principal, call *idempotency.Call, err error) (SentMessage, error) {
	if err != nil {
		return SentMessage{}, err
	}
	var sent SentMessage
	err = inTenantLarge(ctx, s, p, call, &sent, &sent.ID, sentMessage, func(context.Context, store.Tx) error {
		return platform.Errorf(platform.KindConflict, "idempotency_expired", "the key was forgotten at this moment; try again")
	})
	return sent, err
}

// sentMessage reads a message as Send returns it.
func sentMessage(ctx context.Context, tx store.Tx, id string) (SentMessage, error) {
	m, _, err := readMessage(ctx, tx, id)
	return m, err
}

// SendIn is [Service.Send] in the caller's transaction: the message is sent if
// and only if that commits. A job does after the commit what does not belong
// into a transaction: it looks up the audience, where m.To names one, because
// that may need the store itself, and leaves out users who are not members
// without an error; and it renders the template, as that stands by then. Until
// then the message has no text, and one whose text cannot be made becomes a
// failed message with the reason. So does one that exceeds a limit of the tenant;
// what needs no such job, as it names addresses or endpoints alone, is counted
// and not refused. Error beside those of Send: KindNoTenant "wrong_tenant" where p
// and tx disagree about the tenant.
func (s *Service) SendIn(ctx context.Context, p platform.Principal, tx store.Tx, m Message) (SentMessage, error) {
	if err := p.RequireTenant(); err != nil {
		return SentMessage{}, err
	}
	if p.Tenant != tx.Tenant() {
		return SentMessage{}, platform.Errorf(platform.KindNoTenant, "wrong_tenant", "the principal is of another tenant than the transaction")
	}
	if err := m.validate(s.cfg.Mail != nil); err != nil {
		return SentMessage{}, err
	}
	digest, err := m.digest(sender(p).Subject)
	if err != nil {
		return SentMessage{}, err
	}
	d := draft{Message: m, by: sender(p), digest: digest, text: rendered{m.Title, m.Body, m.HTML}, limits: counted(), later: !m.To.IsZero() || m.Template != ""}
	return s.send(ctx, tx, d)
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

// draft is a message about to be written.
type draft struct {
	Message
	by         platform.Principal
	digest     string
	text       rendered
	recipients []Recipient
	limits     platform.Limits
	later      bool // a job looks up the audience and renders the template
}

func (s *Service) send(ctx context.Context, tx store.Tx, d draft) (SentMessage, error) {
	if d.ID != "" {
		// Of two calls with one id, the second must find what the first wrote.
		if err := tx.Lock(ctx, "notify.message."+d.ID); err != nil {
			return SentMessage{}, err
		}
		if earlier, err := repeated(ctx, tx, d.ID, d.digest); err != nil || earlier != nil {
			return deref(earlier), err
		}
	} else {
		d.ID = s.cfg.NewID("msg")
	}
	row := &messageRow{
		id: d.ID, createdAt: s.stamp(), status: MessageDispatched, text: d.text, channels: d.Channels,
		audience: target{Audience: d.To, Emails: d.Emails}, actor: d.by.Subject, digest: d.digest,
	}
	p := &plan{message: row, fanOut: d.later}
	if d.Secret {
		p.secret, row.text = s.secretText(d.Message), rendered{}
	}
	if d.later {
		row.status = MessageAccepted
		if d.Template != "" {
			t, err := givenTemplate(ctx, tx, d.Template)
			if err != nil {
				return SentMessage{}, err
			}
			row.audience.Template, row.audience.Variables = t.ID, d.Variables
		}
	} else {
		endpoints, err := messageEndpoints(ctx, tx, d.Channels)
		if err != nil {
			return SentMessage{}, err
		}
		s.address(p, tx.Tenant(), d.recipients, endpoints)
	}
	emails, _ := mails(p)
	if err := quota.Take(ctx, tx, s.cfg.Now(), append(charges(d.limits, p), mailCharges(d.limits, emails...)...)...); err != nil {
		return SentMessage{}, err
	}
	if err := s.write(ctx, tx, []*plan{p}); err != nil {
		return SentMessage{}, err
	}
	if err := s.emit(ctx, tx, "notify.message.sent", d.ID, d.by, map[string]any{"id": d.ID, "channels": d.Channels}); err != nil {
		return SentMessage{}, err
	}
	return p.sent(), nil
}

// repeated returns the message that has the id already, or nil.
func repeated(ctx context.Context, tx store.Tx, id, digest string) (*SentMessage, error) {
	earlier, stored, err := readMessage(ctx, tx, id)
	switch {
	case errors.Is(err, platform.ErrNotFound):
		return nil, nil //nolint:nilnil // nil is "none"
	case err != nil:
		return nil, err
	case stored != digest:
		return nil, platform.Errorf(platform.KindConflict, "id_reused", "another message has this id")
	}
	earlier.Repeated = true
	return &earlier, nil
}

func deref(m *SentMessage) SentMessage {
	if m == nil {
		return SentMessage{}
	}
	return *m
}

// sender is the user who causes what p sends: the holder of an API key too, and
// nobody where the host itself sends.
func sender(p platform.Principal) platform.Principal {
	if p.Kind == platform.PrincipalSystem {
		return platform.Principal{}
	}
	return p
}

// digest is of who sends, and of all that they said but a secret.
func (m *Message) digest(actor string) (string, error) {
	said := struct {
		Message
		Actor string
	}{*m, actor}
	if m.Secret { // even a digest could be guessed from
		said.Title, said.Body, said.HTML = "", "", ""
	}
	raw, err := json.Marshal(said) //nolint:musttag // nobody reads it again
	if err != nil {
		return "", platform.Invalid(platform.Field{Path: "/variables", Code: "format", Detail: "must be JSON values"}).Because(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16]), nil
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
			for i, a := range m.audience.Emails {
				known := slices.Contains(m.audience.Emails[:i], a) ||
					slices.ContainsFunc(recipients, func(r Recipient) bool { return r.Email == a })
				if !known {
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
	case s.cfg.Mail == nil: // a rule from a time when there was a server
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
		ID: m.id, Status: m.status, Reason: m.reason, Title: m.text.title, Body: m.text.body, HTML: m.text.html, Secret: p.secret != nil,
		Channels: m.channels, Rule: m.rule, Event: m.event, Actor: m.actor, CreatedAt: micros(m.createdAt), Inbox: len(p.inbox),
	}
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
