package platformtest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/notify"
)

// mailPatience is how long [Mail.Wait] waits, in the time of the test.
const mailPatience = 10 * time.Second

// Mail is a [notify.Mailer] that keeps what it gets. It is made by [NewMail]; its
// methods are safe for concurrent use.
type Mail struct {
	mu    sync.Mutex
	all   []notify.Mail
	taken map[int]bool
	err   error
	came  chan struct{} // closed when there is more
}

// NewMail returns an empty sink, for a test that has no [Platform].
func NewMail() *Mail { return &Mail{taken: make(map[int]bool), came: make(chan struct{})} }

var _ notify.Mailer = (*Mail)(nil)

// Send implements [notify.Mailer].
func (m *Mail) Send(_ context.Context, mail notify.Mail) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.all = append(m.all, mail)
	close(m.came)
	m.came = make(chan struct{})
	return nil
}

// Fail has every further e-mail fail with err, such as a [*notify.MailError]; nil
// ends that.
func (m *Mail) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// All returns the e-mails that came, the oldest first.
func (m *Mail) All() []notify.Mail {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all)
}

// Wait returns the oldest e-mail to the address that no Wait has returned yet, and
// waits for it where it has not come. It ends the test after ten seconds.
func (m *Mail) Wait(tb testing.TB, address string) notify.Mail {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), mailPatience)
	defer cancel()
	for {
		mail, came, ok := m.take(address)
		if ok {
			return mail
		}
		select {
		case <-came:
		case <-ctx.Done():
			tb.Fatalf("platformtest: no e-mail to %s came; there are %d to others or returned before", address, len(m.All()))
		}
	}
}

func (m *Mail) take(address string) (mail notify.Mail, came <-chan struct{}, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, mail := range m.all {
		if mail.To.Address == address && !m.taken[i] {
			m.taken[i] = true
			return mail, nil, true
		}
	}
	return notify.Mail{}, m.came, false
}
