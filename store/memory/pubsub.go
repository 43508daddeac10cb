package memory

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

var _ store.PubSub = (*PubSub)(nil)

// subscriptionBuffer is how many messages wait for a slow receiver before
// further ones are dropped.
const subscriptionBuffer = 256

// PubSub carries messages between goroutines of one process. It is made by
// [NewPubSub] and safe for concurrent use.
type PubSub struct {
	mu     sync.RWMutex
	topics map[topicKey][]*subscription
}

type topicKey struct {
	tenant platform.TenantID
	topic  string
}

// NewPubSub returns a PubSub without subscribers.
func NewPubSub() *PubSub { return &PubSub{topics: make(map[topicKey][]*subscription)} }

// Publish implements [store.PubSub]. It never waits for a receiver: when 256
// messages wait for one, it drops the new one for this receiver and counts it.
func (p *PubSub) Publish(ctx context.Context, tenant platform.TenantID, topic string, payload []byte) error {
	if err := alive(ctx); err != nil {
		return err
	}
	if err := tenant.ValidateScope(); err != nil {
		return err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, s := range p.topics[topicKey{tenant, topic}] {
		s.deliver(payload)
	}
	return nil
}

// Subscribe implements [store.PubSub].
func (p *PubSub) Subscribe(ctx context.Context, tenant platform.TenantID, topic string) (store.Subscription, error) {
	if err := alive(ctx); err != nil {
		return nil, err
	}
	if err := tenant.ValidateScope(); err != nil {
		return nil, err
	}
	s := &subscription{pubsub: p, key: topicKey{tenant, topic}, c: make(chan store.Message, subscriptionBuffer)}
	p.mu.Lock()
	p.topics[s.key] = append(p.topics[s.key], s)
	p.mu.Unlock()

	unhook := context.AfterFunc(ctx, s.end)
	s.mu.Lock()
	s.unhook = unhook
	s.mu.Unlock()
	return s, nil
}

func (p *PubSub) remove(s *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(p.topics[s.key], func(o *subscription) bool { return o == s })
	if len(rest) == 0 {
		delete(p.topics, s.key)
		return
	}
	p.topics[s.key] = rest
}

// subscription is one receiver.
type subscription struct {
	pubsub *PubSub
	key    topicKey
	c      chan store.Message

	mu      sync.Mutex
	unhook  func() bool // forgets the context; nil until Subscribe has set it
	dropped int
	ended   bool
}

func (s *subscription) deliver(payload []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	select {
	// Each receiver has its own copy, which it may change.
	case s.c <- store.Message{Payload: bytes.Clone(payload), Dropped: s.dropped}:
		s.dropped = 0
	default:
		s.dropped++
	}
}

// C implements [store.Subscription].
func (s *subscription) C() <-chan store.Message { return s.c }

// Close implements [store.Subscription].
func (s *subscription) Close() error {
	s.mu.Lock()
	unhook := s.unhook
	s.mu.Unlock()
	if unhook != nil {
		unhook()
	}
	s.end()
	return nil
}

func (s *subscription) end() {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	if !ended {
		close(s.c)
	}
	s.mu.Unlock()
	if !ended {
		s.pubsub.remove(s)
	}
}
