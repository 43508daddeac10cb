package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// liveTopic carries, for each tenant, whose inboxes have changed.
const liveTopic = "notify.inbox"

// maxUserStreams bounds the live streams of one user in one process.
const maxUserStreams = 20

// liveMessage is what processes tell each other. It wakes streams, which then
// read the store: what is lost or doubled on the way costs a moment, never the
// truth.
type liveMessage struct {
	// Users are those whose inboxes have changed; none is all of the tenant.
	Users []string `json:"users,omitempty"`
}

// live hands changes of inboxes to the streams of this process. There is one
// subscription for each tenant that has a stream here.
type live struct {
	pubsub store.PubSub
	log    *slog.Logger
	most   int // streams
	outbox *changes
	group  background.Group
	done   chan struct{} // closed when the streams are to end
	ending sync.Once

	mu      sync.Mutex
	streams int
	feeds   map[platform.TenantID]*feed
}

// feed is the streams of one tenant.
type feed struct {
	cancel context.CancelFunc
	ready  chan struct{} // closed when the subscription is in place, or err is
	err    error
	ended  chan struct{} // closed when the streams are to end
	users  map[string]map[*stream]struct{}
}

// stream is woken by each change of its user's inbox.
type stream struct {
	tenant platform.TenantID
	user   string
	wake   background.Signal
	feed   *feed
}

func newLive(pubsub store.PubSub, most int, log *slog.Logger) *live {
	return &live{
		pubsub: pubsub, log: log, most: most, outbox: newChanges(), done: make(chan struct{}),
		feeds: make(map[platform.TenantID]*feed),
	}
}

// start begins to publish.
func (l *live) start() { l.group.Go(l.publish) }

// end ends the streams, and refuses new ones.
func (l *live) end() { l.ending.Do(func() { close(l.done) }) }

// stop ends the streams and the publishing.
func (l *live) stop(ctx context.Context) error {
	l.end()
	return l.group.Stop(ctx)
}

// open returns a stream that is woken by every change from now on. The caller
// must close it. Its error is of KindLimited or KindUnavailable.
func (l *live) open(ctx context.Context, tenant platform.TenantID, user string) (*stream, error) {
	s, err := l.join(tenant, user) //nolint:contextcheck // the subscription outlives the stream that begins it
	if err != nil {
		return nil, err
	}
	select {
	case <-s.feed.ready:
		if err = s.feed.err; err == nil {
			return s, nil
		}
		err = platform.Errorf(platform.KindUnavailable, "live_unavailable", "live updates are not to be had at the moment").Because(err)
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		err = platform.Errorf(platform.KindUnavailable, "stopped", "the service is stopping")
	}
	l.close(s)
	return nil, err
}

func (l *live) join(tenant platform.TenantID, user string) (*stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams >= l.most {
		return nil, &platform.Error{
			Kind: platform.KindUnavailable, Code: "too_many_streams", Message: "this server has no room for another stream",
			RetryAfter: 10 * time.Second,
		}
	}
	f := l.feeds[tenant]
	if f == nil {
		f = l.begin(tenant)
	}
	if len(f.users[user]) >= maxUserStreams {
		return nil, platform.Errorf(platform.KindLimited, "too_many_streams", "one user has at most %d streams at once", maxUserStreams)
	}
	s := &stream{tenant: tenant, user: user, wake: background.NewSignal(), feed: f}
	if f.users[user] == nil {
		f.users[user] = make(map[*stream]struct{})
	}
	f.users[user][s] = struct{}{}
	l.streams++
	return s, nil
}

// close ends a stream, and the subscription with the tenant's last.
func (l *live) close(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
	delete(s.feed.users[s.user], s)
	if len(s.feed.users[s.user]) == 0 {
		delete(s.feed.users, s.user)
	}
	if len(s.feed.users) == 0 {
		s.feed.cancel()
		if l.feeds[s.tenant] == s.feed {
			delete(l.feeds, s.tenant)
		}
	}
}

// begin makes the feed of a tenant; the caller holds the lock.
func (l *live) begin(tenant platform.TenantID) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{cancel: cancel, ready: make(chan struct{}), ended: make(chan struct{}), users: make(map[string]map[*stream]struct{})}
	l.feeds[tenant] = f
	l.group.Go(func(group context.Context) {
		defer context.AfterFunc(group, cancel)()
		l.follow(ctx, tenant, f)
	})
	return f
}

// follow wakes the streams of a tenant until ctx is done. After a gap of any
// kind it wakes all.
func (l *live) follow(ctx context.Context, tenant platform.TenantID, f *feed) {
	pause := background.Backoff{Min: time.Second, Max: time.Minute, Rand: func() float64 { return 1 }}
	failed := 0
	for first := true; ctx.Err() == nil; first = false {
		sub, err := l.pubsub.Subscribe(ctx, tenant, liveTopic)
		if first {
			// Those who wait for it hear of its error, and their clients come
			// again.
			if f.err = err; err != nil {
				l.forget(tenant, f)
			}
			close(f.ready)
			if err != nil {
				return
			}
		}
		if err == nil {
			failed = 0
			if !first {
				l.wake(f, nil)
			}
			for m := range sub.C() {
				l.take(f, m)
			}
			err = fmt.Errorf("the subscription ended: %w", sub.Close())
		}
		if ctx.Err() != nil {
			return
		}
		failed++
		l.log.WarnContext(ctx, "no live updates", slog.String("tenant", string(tenant)), slog.Any("error", err))
		background.Sleep(ctx, pause.Pause(failed))
	}
}

// forget lets the next stream of the tenant begin again.
func (l *live) forget(tenant platform.TenantID, f *feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.feeds[tenant] == f {
		delete(l.feeds, tenant)
	}
}

func (l *live) take(f *feed, m store.Message) {
	var told liveMessage
	if m.Dropped > 0 || json.Unmarshal(m.Payload, &told) != nil {
		told.Users = nil
	}
	l.wake(f, told.Users)
}

// wake wakes the streams of users, or all of the feed where there are none.
func (l *live) wake(f *feed, users []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if users == nil {
		for _, streams := range f.users {
			for s := range streams {
				s.wake.Set()
			}
		}
		return
	}
	for _, u := range users {
		for s := range f.users[u] {
			s.wake.Set()
		}
	}
}
