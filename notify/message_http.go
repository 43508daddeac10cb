package notify

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

// messageBody bounds a message: text, HTML and variables together.
const messageBody = 512 << 10

type sendInput struct {
	Body struct {
		ID string `json:"id,omitempty" doc:"Makes the call idempotent: the same id and content again is the same message" maxLength:"64"`
		To struct {
			Users    []string `json:"users,omitempty" maxItems:"1000"`
			Roles    []string `json:"roles,omitempty" maxItems:"100"`
			Everyone bool     `json:"everyone,omitempty"`
			Emails   []string `json:"emails,omitempty" maxItems:"100" doc:"Further addresses, for the channel email; needs the permission notify.emails.external and a verified sender"`
		} `json:"to,omitempty" doc:"Who gets it in the inbox or by e-mail" example:"{\"everyone\": true}"`
		Channels  []string       `json:"channels" minItems:"1" maxItems:"3" enum:"inbox,email,webhook" doc:"inbox, email, webhook" example:"[\"inbox\"]"`
		Template  string         `json:"template,omitempty" doc:"Id or name of a template" maxLength:"100"`
		Variables map[string]any `json:"variables,omitempty"`
		Title     string         `json:"title,omitempty" doc:"Where there is no template" example:"Hello"`
		Body      string         `json:"body,omitempty" doc:"Plain text" example:"It works."`
		HTML      string         `json:"html,omitempty" doc:"An alternative to body for e-mail"`
	}
}

type messageWire struct {
	ID              string         `json:"id"`
	Status          string         `json:"status" doc:"accepted, dispatched or failed"`
	Reason          string         `json:"reason,omitempty"`
	Title           string         `json:"title"`
	Body            string         `json:"body"`
	HTML            string         `json:"html,omitempty"`
	Secret          bool           `json:"secret,omitempty" doc:"Whether the text held a secret: then nothing shows it"`
	Channels        []string       `json:"channels"`
	Rule            string         `json:"rule,omitempty"`
	Event           string         `json:"event,omitempty"`
	Actor           string         `json:"actor,omitempty"`
	CreatedAt       time.Time      `json:"created_at"`
	InboxRecipients int            `json:"inbox_recipients"`
	Deliveries      []deliveryWire `json:"deliveries,omitempty"`
}

type deliveryWire struct {
	ID          string        `json:"id"`
	Channel     string        `json:"channel"`
	Message     string        `json:"message,omitempty"`
	EventID     string        `json:"event_id,omitempty"`
	EventType   string        `json:"event_type,omitempty"`
	Recipient   string        `json:"recipient,omitempty" doc:"Id of the user or endpoint"`
	Address     string        `json:"address,omitempty"`
	Status      string        `json:"status" doc:"pending, delivered or failed"`
	Reason      string        `json:"reason,omitempty"`
	NextAttempt *time.Time    `json:"next_attempt_at,omitempty"`
	CreatedAt   time.Time     `json:"created_at"`
	UpdatedAt   time.Time     `json:"updated_at"`
	Attempts    []attemptWire `json:"attempts"`
}

type attemptWire struct {
	N          int       `json:"n"`
	Time       time.Time `json:"time"`
	DurationMS int64     `json:"duration_ms"`
	Outcome    string    `json:"outcome" doc:"delivered, retry or failed"`
	Code       int       `json:"code,omitempty" doc:"HTTP status or SMTP reply code"`
	Reason     string    `json:"reason,omitempty"`
	Response   string    `json:"response,omitempty" doc:"The beginning of the answer"`
}

func wireMessage(m SentMessage) messageWire {
	w := messageWire{
		ID: m.ID, Status: string(m.Status), Reason: m.Reason, Title: m.Title, Body: m.Body, HTML: m.HTML, Secret: m.Secret,
		Channels: texts(m.Channels), Rule: m.Rule, Event: m.Event, Actor: m.Actor, CreatedAt: m.CreatedAt, InboxRecipients: m.Inbox,
	}
	for _, d := range m.Deliveries {
		w.Deliveries = append(w.Deliveries, wireDelivery(d))
	}
	return w
}

func wireDelivery(d Delivery) deliveryWire {
	w := deliveryWire{
		ID: d.ID, Channel: string(d.Channel), Message: d.Message, EventID: d.EventID, EventType: d.EventType,
		Recipient: d.Recipient, Address: d.Address, Status: string(d.Status), Reason: d.Reason,
		NextAttempt: optional(d.NextAttempt), CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
		Attempts: make([]attemptWire, 0, len(d.Attempts)),
	}
	for _, a := range d.Attempts {
		w.Attempts = append(w.Attempts, attemptWire{
			N: a.N, Time: a.Time, DurationMS: a.Duration.Milliseconds(), Outcome: a.Outcome,
			Code: a.Code, Reason: a.Reason, Response: a.Response,
		})
	}
	return w
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func texts(channels []Channel) []string {
	out := make([]string, len(channels))
	for i, c := range channels {
		out[i] = string(c)
	}
	return out
}

func channelsOf(names []string) []Channel {
	out := make([]Channel, len(names))
	for i, n := range names {
		out[i] = Channel(n)
	}
	return out
}

// wires turns a page of things into a page of their wire forms.
func wires[T, W any](list []T, next string, wire func(T) W) *ok[page.Output[W]] {
	out := &ok[page.Output[W]]{}
	out.Body.Data, out.Body.NextCursor = make([]W, len(list)), next
	for i, v := range list {
		out.Body.Data[i] = wire(v)
	}
	return out
}

type sendOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     messageWire
}

func (s *Service) registerMessages() {
	handle(s, with(operation("notify.messages.send", http.MethodPost, "/v1/notify/messages", permMessagesWrite, "Send a message"),
		http.StatusCreated, messageBody), s.httpSend)
	handle(s, operation("notify.messages.list", http.MethodGet, "/v1/notify/messages", permMessagesRead, "List messages, newest first"), s.httpMessages)
	handle(s, operation("notify.messages.get", http.MethodGet, "/v1/notify/messages/{id}", permMessagesRead, "Get a message with its deliveries"), s.httpMessage)
	handle(s, with(operation("notify.messages.retry", http.MethodPost, "/v1/notify/messages/{id}/retry", permMessagesWrite,
		"Try the failed deliveries of a message again"), http.StatusAccepted, 0), s.httpRetry)
	handle(s, with(operation("notify.deliveries.retry", http.MethodPost, "/v1/notify/deliveries/{id}/retry", permMessagesWrite,
		"Try a failed delivery again"), http.StatusAccepted, 0), s.httpRetryDelivery)
}

func (s *Service) httpSend(ctx context.Context, p platform.Principal, in *sendInput) (*sendOutput, error) {
	b := &in.Body
	if len(b.To.Emails) > 0 {
		if err := s.mayMailOutside(ctx, p); err != nil {
			return nil, err
		}
	}
	sent, err := s.Send(ctx, p, Message{
		ID: b.ID, To: Audience{Users: b.To.Users, Roles: b.To.Roles, Everyone: b.To.Everyone}, Emails: b.To.Emails,
		Channels: channelsOf(b.Channels), Template: b.Template, Variables: b.Variables,
		Title: b.Title, Body: b.Body, HTML: b.HTML,
	}, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	out := &sendOutput{Status: http.StatusCreated, Location: "/v1/notify/messages/" + sent.ID, Body: wireMessage(sent)}
	if sent.Repeated {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (s *Service) httpMessages(ctx context.Context, p platform.Principal, in *page.Input) (*ok[page.Output[messageWire]], error) {
	list, next, err := s.Messages(ctx, p, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return wires(list, next, wireMessage), nil
}

func (s *Service) httpMessage(ctx context.Context, p platform.Principal, in *byID) (*ok[messageWire], error) {
	m, err := s.Message(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	return &ok[messageWire]{wireMessage(m)}, nil
}

type retryWire struct {
	Retried int `json:"retried" doc:"How many deliveries are tried again"`
}

func (s *Service) httpRetry(ctx context.Context, p platform.Principal, in *byID) (*ok[retryWire], error) {
	n, err := s.Retry(ctx, p, in.ID, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &ok[retryWire]{retryWire{n}}, nil
}

func (s *Service) httpRetryDelivery(ctx context.Context, p platform.Principal, in *byID) (*ok[deliveryWire], error) {
	d, err := s.RetryDelivery(ctx, p, in.ID, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &ok[deliveryWire]{wireDelivery(d)}, nil
}
