package notify_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"mime"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
)

// postOffice is an SMTP server in process.
type postOffice struct {
	mu      sync.Mutex
	mails   []letter
	rcpt    func(n int, to string) error // n counts from 1
	rcpts   int
	arrived chan string   // where it is set, is told of each e-mail's address
	silent  chan struct{} // where it is set, DATA is answered once it is closed
	addr    *net.TCPAddr
	auth    bool
}

type letter struct {
	from, to string
	data     string
	tls      bool
}

func (p *postOffice) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{p: p, c: c}, nil }

type session struct {
	p        *postOffice
	c        *smtp.Conn
	from, to string
	in       bool
}

func (s *session) AuthMechanisms() []string {
	if s.p.auth {
		return []string{sasl.Plain}
	}
	return nil
}

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "mailer" || password != "opensesame" {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}), nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.p.auth && !s.in {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.p.mu.Lock()
	s.p.rcpts++
	n, f := s.p.rcpts, s.p.rcpt
	s.p.mu.Unlock()
	s.to = to
	if f != nil {
		return f(n, to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.p.silent != nil {
		<-s.p.silent
		return errors.New("too late")
	}
	_, encrypted := s.c.TLSConnectionState()
	if s.p.arrived != nil {
		s.p.arrived <- s.to
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.mails = append(s.p.mails, letter{s.from, s.to, string(raw), encrypted})
	return nil
}

func (p *postOffice) all() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.mails...)
}

// open serves on loopback; a nil tls is a server without STARTTLS.
func (p *postOffice) open(t testing.TB, tlsConfig *tls.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().(*net.TCPAddr)
	srv := smtp.NewServer(p)
	srv.Domain, srv.TLSConfig = "mx.example.com", tlsConfig
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close() // the server may not know of it yet
		_ = srv.Close()
		<-done
	})
}

func (p *postOffice) config() *notify.SMTP {
	return &notify.SMTP{Host: "127.0.0.1", Port: p.addr.Port, TLS: notify.TLSNone, From: "Acme <no-reply@acme.example>", HELO: "test", Timeout: 2 * time.Second}
}

func (w *world) mailTo(template string, to ...string) string {
	w.t.Helper()
	body := map[string]any{"to": map[string]any{"emails": to}, "channels": []string{"email"}, "title": "Größe & more", "body": "Plain", "html": "<p>Rich</p>"}
	if template != "" {
		body = map[string]any{"to": map[string]any{"emails": to}, "channels": []string{"email"}, "template": template, "variables": map[string]any{"x": "a\r\nBcc: evil@example.com"}}
	}
	return w.want(201, acme, "ann", "POST", "/v1/notify/messages", body)["id"].(string)
}

func (w *world) delivery(message string) notify.Delivery {
	w.t.Helper()
	m, err := w.svc.Message(context.Background(), platform.System(acme, "test"), message)
	if err != nil || len(m.Deliveries) != 1 {
		w.t.Fatalf("got %+v, %v", m, err)
	}
	return m.Deliveries[0]
}

func TestEmail(t *testing.T) {
	p := &postOffice{}
	p.open(t, nil)
	w := start(t, func(c *notify.Config) { c.Mail = p.config() })
	m := w.want(201, acme, "ann", "POST", "/v1/notify/messages", map[string]any{
		"to": map[string]any{"users": []string{"bob"}, "emails": []string{"bob@example.com"}}, "channels": []string{"inbox", "email"},
		"title": "Größe & more", "body": "Plain", "html": "<p>Rich</p>",
	})["id"].(string)
	eventually(t, "the e-mail", func() bool { return w.delivery(m).Status == notify.DeliveryDelivered })
	if len(p.all()) != 1 {
		t.Fatalf("%d e-mails", len(p.all()))
	}
	l := p.all()[0]
	got, err := mail.ReadMessage(strings.NewReader(l.data))
	if err != nil {
		t.Fatal(err)
	}
	subject, _ := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	d := w.delivery(m)
	if subject != "Größe & more" || l.to != "bob@example.com" || l.from != "no-reply@acme.example" ||
		got.Header.Get("Message-ID") != "<"+d.ID+"@acme.example>" || !strings.Contains(got.Header.Get("To"), "User bob") {
		t.Errorf("got %q %+v %v", subject, l, got.Header)
	}
	if !strings.Contains(l.data, "multipart/alternative") || !strings.Contains(l.data, "Plain") || !strings.Contains(l.data, "<p>Rich</p>") {
		t.Errorf("got %s", l.data)
	}
	if d.Recipient != "bob" || d.Address != "bob@example.com" || len(d.Attempts) != 1 || d.Attempts[0].Outcome != "delivered" {
		t.Errorf("got %+v", d)
	}
	if n := w.inbox(acme, "bob").Unread; n != 1 {
		t.Errorf("inbox: %d", n)
	}
}

func TestNoHeaderInjection(t *testing.T) {
	p := &postOffice{}
	p.open(t, nil)
	w := start(t, func(c *notify.Config) { c.Mail = p.config() })
	w.want(201, acme, "ann", "POST", "/v1/notify/templates", `{"name":"t","title":"{{.x}}","body":"b"}`)
	m := w.mailTo("t", "ann@example.com")
	eventually(t, "the e-mail", func() bool { return w.delivery(m).Status == notify.DeliveryDelivered })
	got, err := mail.ReadMessage(strings.NewReader(p.all()[0].data))
	if err != nil || got.Header.Get("Bcc") != "" || !strings.Contains(got.Header.Get("Subject"), "Bcc: evil@example.com") {
		t.Errorf("got %v, %v", got.Header, err)
	}
	for _, bad := range []string{"a@example.com\r\nRCPT TO:<b@example.com>", "A <a@example.com>", "a@example.com, b@example.com", "a"} {
		w.want(422, acme, "ann", "POST", "/v1/notify/messages", map[string]any{"to": map[string]any{"emails": []string{bad}}, "channels": []string{"email"}, "title": "x"})
	}
}

func TestRefusedEmail(t *testing.T) {
	for name, c := range map[string]struct {
		code   int
		status notify.DeliveryStatus
	}{
		"permanent": {550, notify.DeliveryFailed},
		"temporary": {451, notify.DeliveryPending},
	} {
		t.Run(name, func(t *testing.T) {
			p := &postOffice{rcpt: func(n int, _ string) error {
				if n == 1 {
					return &smtp.SMTPError{Code: c.code, EnhancedCode: smtp.EnhancedCode{c.code / 100, 1, 1}, Message: "no such box"}
				}
				return nil
			}}
			p.open(t, nil)
			w := start(t, func(c *notify.Config) {
				c.Mail = p.config()
				c.Rand = func() float64 { return 0 }
			})
			m := w.mailTo("", "nobody@example.com")
			eventually(t, "the attempt", func() bool { return len(w.delivery(m).Attempts) == 1 })
			d := w.delivery(m)
			if d.Status != c.status || d.Reason != "smtp_rejected" || d.Attempts[0].Code != c.code || !strings.Contains(d.Attempts[0].Response, "no such box") {
				t.Fatalf("got %+v", d)
			}
			if c.status == notify.DeliveryPending {
				if in := time.Until(d.NextAttempt); in <= 0 || in > 5*time.Second {
					t.Errorf("next attempt in %s", in)
				}
				return
			}
			if out := w.want(202, acme, "ann", "POST", "/v1/notify/messages/"+m+"/retry", nil); out["retried"] != 1.0 {
				t.Errorf("got %v", out)
			}
			eventually(t, "the retry", func() bool { return w.delivery(m).Status == notify.DeliveryDelivered })
		})
	}
}

func TestUnreachableServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{addr: l.Addr().(*net.TCPAddr)}
	_ = l.Close()
	w := start(t, func(c *notify.Config) { c.Mail = p.config() })
	m := w.mailTo("", "a@example.com")
	eventually(t, "the attempt", func() bool { return len(w.delivery(m).Attempts) == 1 })
	if d := w.delivery(m); d.Status != notify.DeliveryPending || d.Reason != "network" || d.NextAttempt.IsZero() {
		t.Errorf("got %+v", d)
	}
}

func TestSlowServer(t *testing.T) {
	p := &postOffice{silent: make(chan struct{})}
	p.open(t, nil)
	t.Cleanup(func() { close(p.silent) })
	w := start(t, func(c *notify.Config) {
		server := p.config()
		server.Timeout = 200 * time.Millisecond
		c.Mail = server
	})
	m := w.mailTo("", "a@example.com")
	eventually(t, "the attempt", func() bool { return len(w.delivery(m).Attempts) == 1 })
	if d := w.delivery(m); d.Status != notify.DeliveryPending || d.Reason != "timeout" {
		t.Errorf("got %+v", d)
	}
}

// certificate is for 127.0.0.1, signed by itself.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestMandatoryTLS(t *testing.T) {
	cert, pool := certificate(t)
	for name, c := range map[string]struct {
		server *tls.Config
		roots  *x509.CertPool
		reason string
	}{
		"offered":     {&tls.Config{Certificates: []tls.Certificate{cert}}, pool, ""},
		"not offered": {nil, pool, "tls"},
		"not trusted": {&tls.Config{Certificates: []tls.Certificate{cert}}, x509.NewCertPool(), "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &postOffice{auth: c.server != nil}
			p.open(t, c.server)
			w := start(t, func(cfg *notify.Config) {
				server := p.config()
				cfg.Mail = server
				server.TLS = notify.TLSMandatory
				server.Username, server.Password = "mailer", "opensesame"
				server.TLSConfig = &tls.Config{RootCAs: c.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
			})
			m := w.mailTo("", "a@example.com")
			eventually(t, "the attempt", func() bool { return len(w.delivery(m).Attempts) == 1 })
			d := w.delivery(m)
			if d.Reason != c.reason || (c.reason == "") != (d.Status == notify.DeliveryDelivered) {
				t.Fatalf("got %+v", d)
			}
			if c.reason == "" && !p.all()[0].tls || c.reason != "" && len(p.all()) != 0 {
				t.Errorf("sent in the clear: %+v", p.all())
			}
		})
	}
}
