package notify

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store/queue"
)

// Mailer takes e-mails away. [SMTP] gives them to a server, [MailFolder]
// writes them into a folder; a host can bring its own, for the API of a mail
// provider.
type Mailer interface {
	// Send takes one e-mail and returns once it is the receiver's to keep. An
	// error that is a [*MailError] with Permanent set ends the delivery; any
	// other one makes it come again later. Many goroutines call it at once; it
	// ends when ctx does. It must not log or keep the text of a mail whose
	// Secret is set.
	Send(ctx context.Context, m Mail) error
}

// Mail is one e-mail to one address.
type Mail struct {
	// ID is the delivery's, the same in each try: a Message-ID made of it
	// tells receivers of a repetition.
	ID string
	// To is one valid address, perhaps with a name.
	To mail.Address
	// Subject is one line; HTML is an alternative of Text, or empty.
	Subject, Text, HTML string
	// Date is when the mail was made, the same in each try.
	Date time.Time
	// Secret says that the text holds a secret.
	Secret bool
}

// MailError says why a [Mailer] did not take an e-mail. All of it but Err is
// shown to the tenant.
type MailError struct {
	// Reason is a stable code in snake case, such as "smtp_rejected"; empty is
	// "network".
	Reason string
	// Permanent says that another try cannot help.
	Permanent bool
	// Code is the reply code of an SMTP server; 0 is none.
	Code int
	// Response is the answer of the mail server, of which at most 1 KiB is
	// kept. It is dropped for a secret mail, which it may quote.
	Response string
	// Err is the cause.
	Err error
}

func (e *MailError) Error() string {
	return fmt.Sprintf("notify: send an e-mail: %s: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *MailError) Unwrap() error { return e.Err }

// preparedMailer is a Mailer of this package: New checks its settings and
// works with a copy of them.
type preparedMailer interface {
	Mailer
	prepare(c *setting.Check) Mailer
	// longest bounds one Send.
	longest() time.Duration
}

// runEmail is the job of one e-mail.
func (s *Service) runEmail(ctx context.Context, job queue.Job) error {
	return s.run(ctx, job, func(ctx context.Context, tenant platform.TenantID, p *pending) outcome {
		out := s.mail(ctx, tenant, p)
		s.watchMailer(ctx, out)
		return out
	})
}

// mail sends an e-mail once.
func (s *Service) mail(ctx context.Context, _ platform.TenantID, p *pending) outcome {
	switch {
	case s.cfg.Mail == nil:
		return outcome{permanent: true, reason: codeNoEmail, skipped: true}
	case p.secret.marked && !p.secret.kept:
		return outcome{permanent: true, reason: reasonExpired, skipped: true}
	case p.secret.marked && !s.cfg.Now().Before(p.secret.expires):
		return outcome{permanent: true, reason: reasonExpired, skipped: true}
	}
	err := s.cfg.Mail.Send(ctx, Mail{
		ID: p.ID, To: mail.Address{Name: p.name, Address: p.Address}, Subject: oneLine(p.text.title),
		Text: p.text.body, HTML: p.text.html, Date: p.CreatedAt, Secret: p.secret.marked,
	})
	if err == nil {
		out := outcome{delivered: true}
		if _, ok := s.cfg.Mail.(*SMTP); ok {
			out.code = 250
		}
		return out
	}
	out := outcome{reason: "network"}
	if refused := (*MailError)(nil); errors.As(err, &refused) {
		if refused.Reason != "" {
			out.reason = refused.Reason
		}
		out.permanent, out.code = refused.Permanent, refused.Code
		if !p.secret.marked {
			out.response = shortened(refused.Response)
		}
	}
	return out
}

// shortened is the beginning of an answer, as text.
func shortened(response string) string {
	response = printable([]byte(response))
	if len(response) > maxResponse {
		response = strings.ToValidUTF8(response[:maxResponse], "")
	}
	return response
}

// message is the e-mail in the form of RFC 5322.
func (m Mail) message(from string) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(from); err != nil {
		return nil, err
	}
	if err := msg.To(m.To.String()); err != nil {
		return nil, err
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Date)
	msg.SetMessageIDWithValue(m.ID + "@" + domain(from))
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday notices back
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// errNoMessage is the outcome of a mail that no message can be made of.
func errNoMessage(err error) error {
	return &MailError{Reason: "invalid_message", Permanent: true, Err: err}
}

// domain is the part of a sender after the at sign.
func domain(from string) string {
	a, err := mail.ParseAddress(from)
	if err != nil { // New has parsed it
		return "localhost"
	}
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
}
