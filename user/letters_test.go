package user_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// letters keeps the mails that a service sends. Its in is a change of a Config.
type letters struct {
	mu   sync.Mutex
	all  []user.Mail
	came chan struct{} // closed when there is more
	// refuse is asked before a mail is taken; nil takes all.
	refuse func(user.Mail) error
}

// origin is where the links of mails lead.
const origin = "https://app.example.com"

// in has a service send its mails here, by a queue of its own.
func (l *letters) in(c *user.Config) {
	jobs, err := queue.New(queue.Config{DB: c.DB, Now: c.Now, Logger: c.Logger})
	if err != nil {
		panic(err)
	}
	c.Mail, c.Jobs, c.Links = l.put, jobs, user.Links{Origin: origin}
}

func (l *letters) put(_ context.Context, m user.Mail) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		if err := l.refuse(m); err != nil {
			return err
		}
	}
	l.all = append(l.all, m)
	if l.came != nil {
		close(l.came)
		l.came = nil
	}
	return nil
}

// sent returns the mails that came to the address, of all kinds or of one.
func (l *letters) sent(email string, kinds ...user.MailKind) (found []user.Mail) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if m.To == email && (len(kinds) == 0 || slices.Contains(kinds, m.Kind)) {
			found = append(found, m)
		}
	}
	return found
}

// token waits for the first mail of the kind and returns the token of its link.
func (l *letters) token(ctx context.Context, email string, kind user.MailKind) (user.Secret, error) {
	for ctx.Err() == nil {
		if found := l.sent(email, kind); len(found) > 0 {
			_, token, _ := strings.Cut(string(found[0].Link), "#token=")
			return user.Secret(token), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "", ctx.Err()
}

// wait returns the n-th mail of the kind to the address, from 1.
func (l *letters) wait(tb testing.TB, email string, kind user.MailKind, n int) user.Mail {
	tb.Helper()
	late := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		if l.came == nil {
			l.came = make(chan struct{})
		}
		came := l.came
		l.mu.Unlock()
		if found := l.sent(email, kind); len(found) >= n {
			return found[n-1]
		}
		select {
		case <-came:
		case <-late:
			tb.Fatalf("mail %d of the kind %s to %s has not come", n, kind, email)
		}
	}
}

// to is the token of the first invitation to the address.
func (l *letters) to(tb testing.TB, email string) user.Secret {
	tb.Helper()
	return tokenOf(tb, l.wait(tb, email, user.MailInvitation, 1))
}

// tokenOf is the token in the link of a mail.
func tokenOf(tb testing.TB, m user.Mail) user.Secret {
	tb.Helper()
	page, token, ok := strings.Cut(string(m.Link), "#token=")
	if !ok || !strings.HasPrefix(page, origin+"/") {
		tb.Fatalf("the link of a mail of the kind %s leads to %s", m.Kind, page)
	}
	return user.Secret(token)
}
