package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// connection is what the hub needs of a [goredis.PubSub].
type connection interface {
	Ping(ctx context.Context, payload ...string) error
	Subscribe(ctx context.Context, channels ...string) error
	Unsubscribe(ctx context.Context, channels ...string) error
	Receive(ctx context.Context) (any, error)
	Close() error
}

// hub shares one connection among the subscriptions of a client. A connection
// that breaks is replaced and never mended, so that no confirmation of an old
// one is taken for one of the new; go-redis would mend it.
type hub struct {
	connect            func(ctx context.Context) connection
	timeout, heartbeat time.Duration
	backoff            background.Backoff
	log                *slog.Logger
	tasks              *background.Group
	closed             chan struct{}

	mu      sync.Mutex
	started bool
	ended   bool
	conn    connection        // nil while there is none
	topics  map[string]*topic // by channel
}

// topic is a channel with receivers, or one that is being left. At most one
// command of a topic is on its way: then a confirmation is that of the command.
type topic struct {
	state     topicState
	receivers []*subscription
}

type topicState uint8

const (
	absent      topicState = iota // the server knows nothing of it
	subscribing                   // SUBSCRIBE is on its way
	subscribed                    // messages come
	leaving                       // UNSUBSCRIBE is on its way
)

// subscribe returns when messages of the channel reach the subscription.
func (h *hub) subscribe(ctx context.Context, channel string) (*subscription, error) {
	s := &subscription{
		hub: h, channel: channel,
		c: make(chan store.Message, subscriptionBuffer), placed: make(chan struct{}),
	}
	if !h.add(s) {
		return nil, errClosed()
	}
	timer := time.NewTimer(h.timeout)
	defer timer.Stop()
	select {
	case <-s.placed:
		s.follow(ctx)
		return s, nil
	case <-ctx.Done():
		s.end()
		return nil, fmt.Errorf("redis: %w", ctx.Err())
	case <-h.closed:
		s.end()
		return nil, errClosed()
	case <-timer.C:
		s.end()
		return nil, unavailable("store_unavailable", "the store does not answer", errUnconfirmed)
	}
}

var errUnconfirmed = errors.New("redis: the subscription was not confirmed in time")

// add reports whether it did; a hub that has ended takes none.
func (h *hub) add(s *subscription) bool {
	h.mu.Lock()
	if h.ended {
		h.mu.Unlock()
		return false
	}
	if !h.started {
		h.started = true
		h.tasks.Go(h.run)
	}
	t := h.topics[s.channel]
	if t == nil {
		t = &topic{}
		h.topics[s.channel] = t
	}
	t.receivers = append(t.receivers, s)
	if t.state == subscribed {
		s.place()
	}
	send := h.next(s.channel, t)
	h.mu.Unlock()
	send()
	return true
}

// remove forgets a subscription that has ended.
func (h *hub) remove(s *subscription) {
	h.mu.Lock()
	t := h.topics[s.channel]
	if t == nil {
		h.mu.Unlock()
		return
	}
	t.receivers = slices.DeleteFunc(t.receivers, func(o *subscription) bool { return o == s })
	send := h.next(s.channel, t)
	h.mu.Unlock()
	send()
}

// next moves a topic on to where its receivers want it, and returns what sends
// the command for it, to be called without the lock. A command that fails
// breaks the connection, so its error is not looked at: the next connection
// makes up for it.
func (h *hub) next(channel string, t *topic) (send func()) {
	wanted, conn := len(t.receivers) > 0, h.conn
	if h.ended { // the connection goes anyway
		conn = nil
	}
	switch {
	case !wanted && (t.state == absent || conn == nil):
		delete(h.topics, channel)
	case wanted && t.state == absent && conn != nil:
		t.state = subscribing
		return func() { _ = conn.Subscribe(context.Background(), channel) }
	case !wanted && t.state == subscribed:
		t.state = leaving
		return func() { _ = conn.Unsubscribe(context.Background(), channel) }
	}
	return func() {}
}

// run keeps a connection until ctx is done.
func (h *hub) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		if worked, err := h.session(ctx); worked {
			failures = 1
			if ctx.Err() == nil {
				h.log.WarnContext(ctx, "redis: the connection of the subscriptions broke; messages may be lost", slog.Any("error", err))
			}
		} else {
			failures++
		}
		background.Sleep(ctx, h.backoff.Pause(failures))
	}
}

// session is the life of one connection. It reports whether there was one, and
// why it ended.
func (h *hub) session(ctx context.Context) (worked bool, err error) {
	conn := h.connect(ctx)
	ctx, cancel := context.WithCancel(ctx)
	// Closing is what ends a Receive.
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	var beating sync.WaitGroup
	defer func() {
		unhook()
		conn.Close()
		cancel()
		beating.Wait()
		h.lose()
	}()

	// This connects, in a cluster to any node.
	asked, done := context.WithTimeout(ctx, h.timeout)
	err = conn.Ping(asked)
	done()
	if err != nil {
		return false, err
	}
	h.adopt(ctx, conn)
	var heard atomic.Bool
	heard.Store(true)
	beating.Go(func() { h.beat(ctx, conn, &heard) })
	for {
		message, err := conn.Receive(ctx)
		if err != nil {
			return true, err
		}
		heard.Store(true)
		h.receive(message)
	}
}

// adopt subscribes a new connection to what has receivers.
func (h *hub) adopt(ctx context.Context, conn connection) {
	h.mu.Lock()
	h.conn = conn
	var channels []string
	for channel, t := range h.topics {
		t.state = subscribing
		channels = append(channels, channel)
	}
	h.mu.Unlock()
	if len(channels) > 0 {
		_ = conn.Subscribe(ctx, channels...) // its error ends the connection
	}
}

// lose notes that the connection is no more.
func (h *hub) lose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return
	}
	h.conn = nil
	for channel, t := range h.topics {
		t.state = absent
		if len(t.receivers) == 0 {
			delete(h.topics, channel)
		}
		for _, s := range t.receivers {
			s.gap()
		}
	}
}

// beat closes a connection on which nothing comes, not even answers: the host
// behind it may be gone without a word.
func (h *hub) beat(ctx context.Context, conn connection, heard *atomic.Bool) {
	tick := time.NewTicker(h.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !heard.Swap(false) {
			conn.Close()
			return
		}
		_ = conn.Ping(ctx) // its error ends the connection
	}
}

func (h *hub) receive(message any) {
	switch m := message.(type) {
	case *goredis.Message:
		h.mu.Lock()
		defer h.mu.Unlock()
		if t := h.topics[m.Channel]; t != nil {
			for _, s := range t.receivers {
				s.deliver(m.Payload)
			}
		}
	case *goredis.Subscription:
		h.confirmed(m)
	}
}

// confirmed takes the server's answer to the command of a topic.
func (h *hub) confirmed(m *goredis.Subscription) {
	h.mu.Lock()
	t := h.topics[m.Channel]
	if t == nil {
		h.mu.Unlock()
		return
	}
	switch m.Kind {
	case "subscribe":
		t.state = subscribed
		for _, s := range t.receivers {
			s.place()
		}
	case "unsubscribe":
		t.state = absent
	}
	send := h.next(m.Channel, t)
	h.mu.Unlock()
	send()
}

// end ends the subscriptions and takes no more. The connection ends with the
// tasks.
func (h *hub) end() {
	h.mu.Lock()
	if h.ended {
		h.mu.Unlock()
		return
	}
	h.ended = true
	close(h.closed)
	var all []*subscription
	for _, t := range h.topics {
		all = append(all, t.receivers...)
	}
	h.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
}
