package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/redis"
)

func subscribe(tb testing.TB, p store.PubSub, topic string) store.Subscription {
	tb.Helper()
	s, err := p.Subscribe(tb.Context(), acme, topic)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func publish(tb testing.TB, p store.PubSub, topic, payload string) {
	tb.Helper()
	if err := p.Publish(tb.Context(), acme, topic, []byte(payload)); err != nil {
		tb.Fatal(err)
	}
}

func receive(tb testing.TB, s store.Subscription) store.Message {
	tb.Helper()
	select {
	case m, ok := <-s.C():
		if !ok {
			tb.Fatal("the subscription ended")
		}
		return m
	case <-time.After(30 * time.Second):
		tb.Fatal("no message came")
	}
	return store.Message{}
}

// listeners returns how many connections listen to channels with the prefix.
func listeners(tb testing.TB, prefix string) (channels int, connections int64) {
	tb.Helper()
	r := raw(tb)
	names, err := r.PubSubChannels(tb.Context(), prefix+":*").Result()
	if err != nil {
		tb.Fatal(err)
	}
	counts, err := r.PubSubNumSub(tb.Context(), names...).Result()
	if err != nil {
		tb.Fatal(err)
	}
	for _, n := range counts {
		connections = max(connections, n)
	}
	return len(names), connections
}

func TestSubscriptionsShareAConnection(t *testing.T) {
	p := newProxy(t, server(t))
	prefix := newPrefix()
	c := openWith(t, redis.Config{URL: p.url() + "?pool_size=1&pipeline_pool_size=-1", Prefix: prefix})
	var subs []store.Subscription
	for i := range 100 {
		subs = append(subs, subscribe(t, c.PubSub(), fmt.Sprint("topic", i%50)))
	}
	if channels, connections := listeners(t, prefix); channels != 50 || connections != 1 {
		t.Errorf("%d channels, of which one has %d listeners", channels, connections)
	}
	if n := p.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want one for calls and one for messages", n)
	}
	for i := range 50 {
		publish(t, c.PubSub(), fmt.Sprint("topic", i), fmt.Sprint(i))
	}
	for i, s := range subs {
		if m := receive(t, s); string(m.Payload) != fmt.Sprint(i%50) {
			t.Errorf("subscription %d got %q", i, m.Payload)
		}
		s.Close()
	}
	until(t, "the server forgets the channels", func() bool {
		channels, _ := listeners(t, prefix)
		return channels == 0
	})
}

func TestSubscriptionsComeBack(t *testing.T) {
	p := newProxy(t, server(t))
	c := openWith(t, redis.Config{URL: p.url(), Prefix: newPrefix(), Retry: 20 * time.Millisecond})
	other := undisturbed(t, c)
	const topics = 20
	var subs []store.Subscription
	for i := range topics {
		subs = append(subs, subscribe(t, c.PubSub(), fmt.Sprint(i)))
	}
	for round := range 5 {
		p.breakAll()
		for i, s := range subs {
			if m := receive(t, s); m.Dropped != 1 || m.Payload != nil {
				t.Errorf("round %d, topic %d: %q after %d dropped, want a gap", round, i, m.Payload, m.Dropped)
			}
			// From then on nothing is lost.
			publish(t, other, fmt.Sprint(i), fmt.Sprint(round))
			if m := receive(t, s); m.Dropped != 0 || string(m.Payload) != fmt.Sprint(round) {
				t.Errorf("round %d, topic %d: got %q after %d dropped", round, i, m.Payload, m.Dropped)
			}
		}
	}
}

func TestEachPublisherIsInOrder(t *testing.T) {
	c := open(t)
	const publishers, each = 8, 30 // fewer than a receiver has room for
	s := subscribe(t, c.PubSub(), "topic")
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if err := c.PubSub().Publish(t.Context(), acme, "topic", fmt.Appendf(nil, "%d %d", p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := make([]int, publishers)
	for range publishers * each {
		m := receive(t, s)
		var p, i int
		if _, err := fmt.Sscan(string(m.Payload), &p, &i); err != nil || m.Dropped != 0 {
			t.Fatalf("%q after %d dropped: %v", m.Payload, m.Dropped, err)
		}
		if i != next[p] {
			t.Fatalf("publisher %d: got %d, want %d", p, i, next[p])
		}
		next[p]++
	}
	wg.Wait()
}

func TestStopEndsSubscriptions(t *testing.T) {
	c := open(t)
	s := subscribe(t, c.PubSub(), "topic")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.PubSub().Subscribe(ctx, acme, "topic"); err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-s.C(); ok {
		t.Error("a message after Stop")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSubscribeRefusesWithoutServer(t *testing.T) {
	p := newProxy(t, server(t))
	c := openWith(t, redis.Config{URL: p.url(), Prefix: newPrefix(), Timeout: time.Second})
	p.listener.Close()
	p.breakAll()
	_, err := c.PubSub().Subscribe(t.Context(), acme, "topic")
	if err == nil || !strings.Contains(err.Error(), "not confirmed") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.PubSub().Subscribe(ctx, acme, "topic"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
