package notify_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// client is the other end of a stream. It takes what is written at once, or as
// little as the test wants.
type client struct {
	header http.Header
	status int
	lines  chan string   // each event or comment, without the line ends
	stuck  chan struct{} // while it is not closed, nothing is taken

	mu       sync.Mutex
	deadline time.Time
}

func newClient() *client {
	c := &client{header: http.Header{}, lines: make(chan string, 100), stuck: make(chan struct{})}
	close(c.stuck)
	return c
}

func (c *client) Header() http.Header { return c.header }

func (c *client) WriteHeader(status int) { c.status = status }

func (c *client) Flush() {}

func (c *client) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

func (c *client) Write(b []byte) (int, error) {
	c.mu.Lock()
	left := time.Until(c.deadline)
	c.mu.Unlock()
	select {
	case <-c.stuck:
	case <-time.After(left):
		return 0, os.ErrDeadlineExceeded
	}
	c.lines <- strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", " ")
	return len(b), nil
}

// event waits for the next event and returns its data.
func (c *client) event(t testing.TB) (unread int, latest string) {
	t.Helper()
	for {
		select {
		case line := <-c.lines:
			if line == ":" {
				continue
			}
			data, ok := strings.CutPrefix(line, "event: inbox data: ")
			var e struct {
				Unread int
				Latest string
			}
			if err := json.Unmarshal([]byte(data), &e); !ok || err != nil {
				t.Fatalf("got %q, %v", line, err)
			}
			return e.Unread, e.Latest
		case <-time.After(20 * time.Second):
			t.Fatal("no event came")
		}
	}
}

// stream connects a user and returns the client, a function by which the client
// leaves, and a channel that is closed when the handler has returned.
func (w *world) stream(tenant platform.TenantID, user string) (c *client, leave func(), ended chan struct{}) {
	c = newClient()
	leave, ended = w.connect(c, tenant, user)
	return c, leave, ended
}

func (w *world) connect(c *client, tenant platform.TenantID, user string) (leave func(), ended chan struct{}) {
	ctx, leave := context.WithCancel(platform.WithPrincipal(context.Background(),
		platform.Principal{Tenant: tenant, Subject: user, Kind: platform.PrincipalUser}))
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		w.mux.ServeHTTP(c, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/notify/inbox/stream", nil))
	}()
	return leave, ended
}

func (w *world) send(tenant platform.TenantID, users ...string) string {
	w.t.Helper()
	m, err := w.svc.Send(context.Background(), platform.System(tenant, "test"), notify.Message{
		To: notify.Audience{Users: users}, Channels: []notify.Channel{notify.ChannelInbox}, Title: "Hi",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return m.ID
}

// withBus configures a service that speaks to others over bus.
func withBus(bus store.PubSub) func(*notify.Config) {
	return func(c *notify.Config) { c.PubSub = bus }
}
