package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/acme/platform/internal/setting"
)

// SMTP is the [Mailer] that gives e-mails to a mail server.
type SMTP struct {
	// Host and Port are the server's; both are required.
	Host string
	Port int
	// TLS is required: there is no silent default.
	TLS TLSPolicy
	// Username and Password, where they are set, are sent only over TLS: they
	// need TLSMandatory or TLSImplicit.
	Username, Password string
	// From is the sender, "Acme <no-reply@acme.example>"; required.
	From string
	// HELO is the name this host greets with; empty is the host's name.
	HELO string
	// Timeout bounds the connecting and the sending of one e-mail each; zero
	// is 15 s.
	Timeout time.Duration
	// TLSConfig replaces the default (TLS 1.2, the system's roots, Host).
	TLSConfig *tls.Config
}

// TLSPolicy says how the connection to the SMTP server is protected.
type TLSPolicy uint8

// The policies.
const (
	_ TLSPolicy = iota
	// TLSMandatory sends only after STARTTLS (RFC 3207).
	TLSMandatory
	// TLSOpportunistic uses STARTTLS where the server offers it. Whoever sits
	// between can take the offer away.
	TLSOpportunistic
	// TLSNone sends in the clear, for a relay on the same machine.
	TLSNone
	// TLSImplicit speaks TLS from the first byte (RFC 8314), usually on port 465.
	TLSImplicit
)

// prepare returns a copy, which the host cannot change any more.
func (s *SMTP) prepare(c *setting.Check) Mailer {
	if s == nil {
		c.Need(false, "Mail", "must not be a nil *SMTP: leave it out")
		return nil
	}
	s.check(c)
	held := *s
	return &held
}

func (s *SMTP) timeout() time.Duration { return cmp.Or(s.Timeout, 15*time.Second) }

func (s *SMTP) longest() time.Duration { return 2 * s.timeout() }

func (s *SMTP) check(c *setting.Check) {
	c.Need(s.Host != "", "Mail.SMTP.Host", "must be set")
	c.Need(s.Port > 0 && s.Port < 1<<16, "Mail.SMTP.Port", "must be 1 to 65535")
	c.Need(s.TLS >= TLSMandatory && s.TLS <= TLSImplicit, "Mail.SMTP.TLS",
		"must be set to TLSMandatory, TLSOpportunistic, TLSNone or TLSImplicit")
	_, err := mail.ParseAddress(s.From)
	c.Need(err == nil, "Mail.SMTP.From", "must be an address")
	c.Need(s.Username == "" || s.TLS == TLSMandatory || s.TLS == TLSImplicit, "Mail.SMTP.Username",
		"needs TLSMandatory or TLSImplicit, or the password could travel in the clear")
	c.Need(s.Timeout >= 0, "Mail.SMTP.Timeout", "must not be negative")
}

// Send is of [Mailer]. What fails before the server has taken the sender is the
// host's matter and passes; what the server refuses for good (RFC 5321, 5yz)
// does not.
func (s *SMTP) Send(ctx context.Context, m Mail) error {
	message, err := m.message(s.From)
	if err != nil {
		return errNoMessage(err)
	}
	conns := connections{ctx: ctx}
	defer conns.close()
	client, err := s.client(conns.dial)
	if err != nil {
		return &MailError{Reason: "smtp_config", Err: err}
	}
	if err := client.DialWithContext(ctx); err != nil {
		code, text := smtpReply(err)
		return &MailError{Reason: connectReason(err), Code: code, Response: text, Err: err}
	}
	err = client.Send(message)
	if err == nil {
		_ = client.Close() // the server has the message already
		return nil
	}
	code, text := smtpReply(err)
	out := &MailError{Reason: "network", Code: code, Response: text, Err: err}
	if code >= 400 {
		out.Reason, out.Permanent = "smtp_rejected", code >= 500
	} else if isTimeout(err) {
		out.Reason = "timeout"
	}
	return out
}

func (s *SMTP) tlsConfig() *tls.Config {
	if s.TLSConfig != nil {
		return s.TLSConfig.Clone()
	}
	return &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
}

// connections are those of one e-mail: the library looks at its own deadlines
// only, and leaves a connection open when the greeting fails.
type connections struct {
	ctx  context.Context //nolint:containedctx // the delivery's, for the life of one call
	open []net.Conn
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.open = append(c.open, conn)
	context.AfterFunc(c.ctx, func() { _ = conn.Close() }) //nolint:contextcheck // the delivery, not the dialing, ends it
	return conn, nil
}

func (c *connections) close() {
	for _, conn := range c.open {
		_ = conn.Close() // closed before, unless sending was given up
	}
}

func (s *SMTP) client(dial gomail.DialContextFunc) (*gomail.Client, error) {
	policy := map[TLSPolicy]gomail.TLSPolicy{
		TLSMandatory: gomail.TLSMandatory, TLSOpportunistic: gomail.TLSOpportunistic,
		TLSNone: gomail.NoTLS, TLSImplicit: gomail.NoTLS, // STARTTLS inside TLS makes no sense
	}[s.TLS]
	options := []gomail.Option{
		gomail.WithPort(s.Port), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(s.tlsConfig()),
		gomail.WithTimeout(s.timeout()), gomail.WithoutNoop(),
	}
	if s.TLS == TLSImplicit {
		options = append(options, gomail.WithSSL()) // it dials by itself
	} else {
		options = append(options, gomail.WithDialContextFunc(dial))
	}
	if s.HELO != "" {
		options = append(options, gomail.WithHELO(s.HELO))
	}
	if s.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(s.Username), gomail.WithPassword(s.Password))
	}
	client, err := gomail.NewClient(s.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("notify: smtp: %w", err)
	}
	return client, nil
}

// smtpReply finds the server's answer in an error.
func smtpReply(err error) (int, string) {
	var (
		reply   *textproto.Error
		refused *gomail.SendError
		code    int
		text    string
	)
	switch {
	case errors.As(err, &reply):
		code, text = reply.Code, reply.Msg
	case errors.As(err, &refused):
		code, text = refused.ErrorCode(), refused.Error()
	}
	if code == 0 { // our own words, which may name the host's network
		return 0, ""
	}
	return code, text
}

func connectReason(err error) string {
	switch {
	case isTimeout(err):
		return "timeout"
	case strings.Contains(err.Error(), "x509: ") || strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "STARTTLS"):
		return "tls"
	case strings.Contains(err.Error(), "AUTH"):
		return "smtp_auth"
	}
	return "network"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() ||
		strings.Contains(err.Error(), "i/o timeout") // a SendError keeps the text only
}
