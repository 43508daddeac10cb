package redis

import (
	"context"
	"sync"

	"github.com/acme/platform/store"
)

// subscriptionBuffer is how many messages wait for a slow receiver before
// further ones are dropped.
const subscriptionBuffer = 256

// subscription is one receiver.
type subscription struct {
	hub     *hub
	channel string
	c       chan store.Message
	ready   chan struct{} // closed when messages reach it

	mu      sync.Mutex
	isReady bool        // ready is closed
	unhook  func() bool // forgets the context; nil until follow
	dropped int
	ended   bool
}

// deliver never waits for the receiver.
func (s *subscription) deliver(payload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	if len(s.c) >= subscriptionBuffer { // only s.mu's holder sends
		s.dropped++
		return
	}
	// Each receiver has its own copy, which it may change.
	s.c <- store.Message{Payload: []byte(payload), Dropped: s.dropped}
	s.dropped = 0
}

// established notes that messages reach the subscription. One to which they come
// again is told of the gap at once: with the next message it would hear of it
// too late, and where there is none, never.
func (s *subscription) established() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isReady {
		s.isReady = true
		close(s.ready)
		return
	}
	if s.dropped == 0 || s.ended {
		return
	}
	select {
	case s.c <- store.Message{Dropped: s.dropped}:
		s.dropped = 0
	default: // another gap is still to be read
	}
}

// gap notes that messages may have been lost, nobody knows how many. One that
// was not yet ready has lost nothing.
func (s *subscription) gap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReady {
		s.dropped++
	}
}

// follow has the subscription end with ctx.
func (s *subscription) follow(ctx context.Context) {
	unhook := context.AfterFunc(ctx, s.end)
	s.mu.Lock()
	s.unhook = unhook
	s.mu.Unlock()
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
		s.hub.remove(s)
	}
}
