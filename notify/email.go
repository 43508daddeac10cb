package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/acme/platform"
	"github.com/acme/platform/store/queue"
)

// runEmail is the job of one e-mail.
func (s *Service) runEmail(ctx context.Context, job queue.Job) error {
	return s.run(ctx, job, s.mail)
}

// mail sends an e-mail once. What fails before the server has taken the
// sender is the host's matter and passes; what the server refuses for good
// (RFC 5321, 5yz) does not.
func (s *Service) mail(ctx context.Context, _ platform.TenantID, p *pending) outcome {
	if s.cfg.SMTP == nil {
		return outcome{permanent: true, reason: codeNoEmail, skipped: true}
	}
	m, err := s.compose(p)
	if err != nil {
		return outcome{permanent: true, reason: "invalid_message"}
	}
	conns := connections{ctx: ctx}
	defer conns.close()
	client, err := s.cfg.SMTP.client(conns.dial)
	if err != nil {
		return outcome{reason: "smtp_config"}
	}
	if err := client.DialWithContext(ctx); err != nil {
		code, text := smtpReply(err)
		return outcome{code: code, response: text, reason: connectReason(err)}
	}
	err = client.Send(m)
	if err == nil {
		_ = client.Close() // the server has the message already
		return outcome{delivered: true, code: 250}
	}
	code, text := smtpReply(err)
	out := outcome{code: code, response: text, reason: "network"}
	if code >= 400 {
		out.reason, out.permanent = "smtp_rejected", code >= 500
	} else if isTimeout(err) {
		out.reason = "timeout"
	}
	return out
}

// compose makes the message of a delivery. The Message-ID is the delivery's,
// so that a repeated e-mail can be told.
func (s *Service) compose(p *pending) (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.From(s.cfg.SMTP.From); err != nil {
		return nil, err
	}
	to := mail.Address{Name: p.name, Address: p.Address}
	if err := m.To(to.String()); err != nil {
		return nil, err
	}
	m.Subject(oneLine(p.text.title))
	m.SetDateWithValue(s.cfg.Now())
	m.SetMessageIDWithValue(p.ID + "@" + s.cfg.SMTP.domain())
	m.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday notices back
	m.SetBodyString(gomail.TypeTextPlain, p.text.body)
	if p.text.html != "" {
		m.AddAlternativeString(gomail.TypeTextHTML, p.text.html)
	}
	return m, nil
}

// domain is the part of From after the at sign.
func (s *SMTP) domain() string {
	a, err := mail.ParseAddress(s.From)
	if err != nil { // New has parsed it
		return s.Host
	}
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
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
		gomail.WithTimeout(s.Timeout), gomail.WithoutNoop(),
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
	text = printable([]byte(text))
	if len(text) > maxResponse {
		text = strings.ToValidUTF8(text[:maxResponse], "")
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
