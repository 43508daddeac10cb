package notify

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
)

// Channel is a way to bring a message.
type Channel string

// The channels.
const (
	// ChannelInbox is the inbox in the product, one per user.
	ChannelInbox Channel = "inbox"
	// ChannelEmail is e-mail over [Config.Mail].
	ChannelEmail Channel = "email"
	// ChannelWebhook is the tenant's endpoints that take the event type
	// [MessageEventType].
	ChannelWebhook Channel = "webhook"
)

// MessageEventType is the type of the CloudEvent by which endpoints get the
// messages of the webhook channel.
const MessageEventType = "notify.message"

// Limits of one message.
const (
	// MaxRecipients is the most people one message goes to.
	MaxRecipients = 10_000
	maxUsers      = 1000
	maxRoles      = 100
	maxEmails     = 100
	maxVariables  = 64 << 10
)

// Message is what a caller of [Service.Send] wants to be said.
type Message struct {
	// ID makes the call idempotent: a second message of the tenant with the
	// same ID and content is the first one. At most 64 letters, digits, '_'
	// and '-'; empty is a new message.
	ID string
	// To names people of the tenant; Emails are further addresses, at most
	// 100, for the e-mail channel. One of them is needed, unless the webhook
	// channel is the only one.
	To     Audience
	Emails []string
	// Channels are the ways to bring it, at least one.
	Channels []Channel
	// Template is the id or name of a template, rendered with Variables, at
	// most 64 KiB as JSON. Or Title and Body are the text, as it is: Title is
	// one line of at most 500 bytes, Body at most 64 KiB.
	Template    string
	Variables   map[string]any
	Title, Body string
	// HTML is an alternative of Body for e-mail, at most 256 KiB. It is sent
	// as it is.
	HTML string
	// Secret says that the text holds a secret, such as the token of an
	// invitation: it goes to Emails, by the e-mail channel alone, without a
	// Template. The text is
	// kept apart from the message, nothing ever serves it, and it is removed
	// in the transaction that records the end of its delivery. It takes no
	// part in the comparison of messages with the same ID.
	Secret bool `json:",omitempty"`
	// Expires is when a secret text has lost its use: it is then not sent any
	// more, and removed. Zero is seven days after now.
	Expires time.Time `json:"-"`
}

// MessageStatus is how far a message has come.
type MessageStatus string

// The statuses of a message.
const (
	// MessageAccepted: who gets it is still to be looked up.
	MessageAccepted MessageStatus = "accepted"
	// MessageDispatched: it is in the inboxes, and its deliveries are there.
	MessageDispatched MessageStatus = "dispatched"
	// MessageFailed: it could not be made; Reason says why.
	MessageFailed MessageStatus = "failed"
)

// SentMessage is a message with what became of it.
type SentMessage struct {
	ID     string
	Status MessageStatus
	Reason string // of MessageFailed
	// Title, Body and HTML are empty where Secret is set.
	Title, Body string
	HTML        string
	Secret      bool
	Channels    []Channel
	// Rule and Event are the ids of what made it, or "".
	Rule, Event string
	Actor       string
	CreatedAt   time.Time
	// Inbox is how many inboxes it is in.
	Inbox int
	// Deliveries are the newest 200 deliveries by e-mail and webhook; only
	// [Service.Message] fills them.
	Deliveries []Delivery
	// Repeated is set by [Service.Send] where the ID was known already.
	Repeated bool
}

var messageID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// validate reports everything that is wrong with the message itself.
func (m *Message) validate(email bool) error {
	var f fields
	if m.ID != "" && !messageID.MatchString(m.ID) {
		f.add("/id", "format", "must be at most 64 letters, digits, '_' and '-'")
	}
	f.audience("/to", m.To)
	f.channels(m.Channels, email)
	if len(m.Emails) > maxEmails {
		f.add("/to/emails", "too_long", fmt.Sprintf("must be at most %d addresses", maxEmails))
	}
	for i, a := range m.Emails {
		if !validAddress(a) {
			f.add(fmt.Sprintf("/to/emails/%d", i), "format", "must be an e-mail address")
		}
	}
	if len(m.Emails) > 0 && !slices.Contains(m.Channels, ChannelEmail) {
		f.add("/to/emails", "channel", "addresses need the channel email")
	}
	if m.To.IsZero() && len(m.Emails) == 0 && !slices.Equal(m.Channels, []Channel{ChannelWebhook}) {
		f.add("/to", "required", "must name users, roles, everyone or e-mail addresses")
	}
	if m.Secret {
		m.validateSecret(&f)
	}
	m.validateText(&f)
	return f.err()
}

func (m *Message) validateText(f *fields) {
	if m.Template != "" {
		if m.Title != "" || m.Body != "" || m.HTML != "" {
			f.add("/template", "conflict", "give a template or a title and body, not both")
		}
		if raw, err := json.Marshal(m.Variables); err != nil || len(raw) > maxVariables {
			f.add("/variables", "too_long", fmt.Sprintf("must be JSON of at most %d bytes", maxVariables))
		}
		return
	}
	if len(m.Variables) > 0 {
		f.add("/variables", "conflict", "variables need a template")
	}
	if strings.TrimSpace(m.Title) == "" {
		f.add("/title", "required", "must not be empty without a template")
	}
	if len(m.Title) > maxTitle || m.Title != oneLine(m.Title) {
		f.add("/title", "format", fmt.Sprintf("must be one line of at most %d bytes without control characters or space around it", maxTitle))
	}
	f.text("/body", m.Body)
	f.text("/html", m.HTML)
	if len(m.Body) > maxBody {
		f.add("/body", "too_long", fmt.Sprintf("must be at most %d bytes", maxBody))
	}
	if len(m.HTML) > maxHTML {
		f.add("/html", "too_long", fmt.Sprintf("must be at most %d bytes", maxHTML))
	}
}

// validAddress accepts a bare address: with a name or a comment around it, it
// could hold more than one.
func validAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254
}

// fields collects what is wrong with an input.
type fields []platform.Field

func (f *fields) add(path, code, detail string) {
	*f = append(*f, platform.Field{Path: path, Code: code, Detail: detail})
}

// text refuses what no store of text need take.
func (f *fields) text(path, s string) {
	if s != storable(s) {
		f.add(path, "format", "must be UTF-8 without U+0000")
	}
}

func (f *fields) err() error {
	if *f == nil {
		return nil
	}
	e := platform.Invalid(*f...)
	if len(*f) == 1 && (*f)[0].Code == codeNoEmail {
		e.Code = codeNoEmail
	}
	return e
}

// codeNoEmail says that the host has no way for e-mail.
const codeNoEmail = "email_not_configured"

func (f *fields) audience(path string, a Audience) {
	if len(a.Users) > maxUsers {
		f.add(path+"/users", "too_long", fmt.Sprintf("must be at most %d users", maxUsers))
	}
	if len(a.Roles) > maxRoles {
		f.add(path+"/roles", "too_long", fmt.Sprintf("must be at most %d roles", maxRoles))
	}
	for _, list := range []struct {
		name   string
		values []string
	}{{"/users", a.Users}, {"/roles", a.Roles}} {
		for i, v := range list.values {
			if v == "" || len(v) > 128 {
				f.add(fmt.Sprintf("%s%s/%d", path, list.name, i), "format", "must be 1 to 128 bytes")
			}
		}
	}
}

func (f *fields) channels(channels []Channel, email bool) {
	if len(channels) == 0 {
		f.add("/channels", "required", "must name inbox, email or webhook")
	}
	seen := make(map[Channel]bool)
	for i, c := range channels {
		path := fmt.Sprintf("/channels/%d", i)
		switch {
		case seen[c]:
			f.add(path, "duplicate", "each channel once")
		case c == ChannelEmail && !email:
			f.add(path, codeNoEmail, "this installation has neither a mail server nor a mail folder")
		case c != ChannelInbox && c != ChannelEmail && c != ChannelWebhook:
			f.add(path, "unknown", "must be inbox, email or webhook")
		}
		seen[c] = true
	}
}
