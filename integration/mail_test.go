package integration

import (
	"bytes"
	"context"
	"io"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// letter is an e-mail.
type letter struct {
	to, subject, text string
}

func readLetter(raw []byte) (letter, error) {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return letter{}, err
	}
	to, err := mail.ParseAddress(m.Header.Get("To"))
	if err != nil {
		return letter{}, err
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	return letter{to.Address, m.Header.Get("Subject"), string(text)}, err
}

// mailFolder is where a server of the place writes its e-mails.
func (p place) mailFolder() string {
	if dir := p.of("--mail-dir"); dir != "" {
		return dir
	}
	return filepath.Join(p.of("--data"), "mail")
}

// letters are the e-mails in the folder of the place, the oldest first.
func (p place) letters() (all []letter, err error) {
	files, err := filepath.Glob(filepath.Join(p.mailFolder(), "*.eml"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		l, err := readLetter(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

var invitationToken = regexp.MustCompile(`it_[A-Za-z0-9_-]+`)

// invited waits for the newest invitation of the address, and returns its token.
func (p place) invited(ctx context.Context, email string) (token string, ok bool) {
	for ctx.Err() == nil {
		all, err := p.letters()
		if err != nil {
			return "", false
		}
		for _, l := range all {
			if l.to == email && invitationToken.MatchString(l.text) {
				token = invitationToken.FindString(l.text)
			}
		}
		if token != "" {
			return token, true
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return "", false
}

// mailServer is an SMTP server that keeps what it gets.
type mailServer struct {
	addr string

	mu   sync.Mutex
	sent []letter
}

func receiveMail(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mailServer{addr: l.Addr().String()}
	server := smtp.NewServer(m)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return m
}

// flags have a server send its mail here.
func (m *mailServer) flags() []string {
	return []string{"--smtp-addr", m.addr, "--smtp-from", "platform@example.com", "--smtp-tls", "none"}
}

func (m *mailServer) all() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]letter(nil), m.sent...)
}

// NewSession implements smtp.Backend.
func (m *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) { return mailSession{m}, nil }

type mailSession struct{ server *mailServer }

func (mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (mailSession) Reset()                               {}
func (mailSession) Logout() error                        { return nil }

func (s mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	l, err := readLetter(raw)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.sent = append(s.server.sent, l)
	return err
}

// secretOf is the part of a token that nobody else can know.
func secretOf(token string) string { return token[strings.LastIndexByte(token[:40], '_')+1:] }
