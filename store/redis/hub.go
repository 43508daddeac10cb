package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

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

	mu        sync.Mutex
	started   bool
	ended     bool
	connected bool
	topics    map[string]*topic // by channel
	// What the writer has not sent yet. As each topic has one command at
	// most, their order does not matter.
	joining, leaving []string
	wake             background.Signal // there is something to send
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
		// There is always room for a gap.
		c: make(chan store.Message, subscriptionBuffer+1), ready: make(chan struct{}),
	}
	if !h.add(s) { //nolint:contextcheck // the connection outlives the call
		return nil, errClosed()
	}
	timer := time.NewTimer(h.timeout)
	defer timer.Stop()
	select {
	case <-s.ready:
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
	defer h.mu.Unlock()
	if h.ended {
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
		s.established()
	}
	h.next(s.channel, t)
	return true
}

// remove forgets a subscription that has ended.
func (h *hub) remove(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.topics[s.channel]; t != nil {
		t.receivers = slices.DeleteFunc(t.receivers, func(o *subscription) bool { return o == s })
		h.next(s.channel, t)
	}
}

// next moves a topic on to where its receivers want it. h.mu is held.
func (h *hub) next(channel string, t *topic) {
	wanted, connected := len(t.receivers) > 0, h.connected && !h.ended
	switch {
	case !wanted && (t.state == absent || !connected):
		delete(h.topics, channel)
	case wanted && t.state == absent && connected:
		t.state = subscribing
		h.joining = append(h.joining, channel)
		h.wake.Set()
	case !wanted && t.state == subscribed:
		t.state = leaving
		h.leaving = append(h.leaving, channel)
		h.wake.Set()
	}
}

// begin has a new connection subscribe to what has receivers.
func (h *hub) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.connected = true
	for channel, t := range h.topics {
		h.next(channel, t)
	}
}

// lose notes that the connection is no more.
func (h *hub) lose() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.connected {
		return
	}
	h.connected, h.joining, h.leaving = false, nil, nil
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
	defer h.mu.Unlock()
	t := h.topics[m.Channel]
	if t == nil {
		return
	}
	switch m.Kind {
	case "subscribe":
		t.state = subscribed
		for _, s := range t.receivers {
			s.established()
		}
	case "unsubscribe":
		t.state = absent
	}
	h.next(m.Channel, t)
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
