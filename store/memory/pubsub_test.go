package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
)

func subscribe(t *testing.T, p *memory.PubSub, ctx context.Context, tenant platform.TenantID, topic string) store.Subscription {
	t.Helper()
	s, err := p.Subscribe(ctx, tenant, topic)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t *testing.T, p *memory.PubSub, tenant platform.TenantID, topic, payload string) {
	t.Helper()
	if err := p.Publish(t.Context(), tenant, topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
}

func TestPubSub(t *testing.T) {
	p := memory.NewPubSub()
	publish(t, p, acme, "news", "before")
	a := subscribe(t, p, t.Context(), acme, "news")
	b := subscribe(t, p, t.Context(), acme, "news")
	others := []store.Subscription{
		subscribe(t, p, t.Context(), zeta, "news"), subscribe(t, p, t.Context(), acme, "other"),
	}
	publish(t, p, acme, "news", "1")
	publish(t, p, acme, "news", "2")
	for name, s := range map[string]store.Subscription{"a": a, "b": b} {
		for _, payload := range []string{"1", "2"} {
			m := <-s.C()
			if string(m.Payload) != payload || m.Dropped != 0 {
				t.Errorf("%s got %q, %d dropped; want %q", name, m.Payload, m.Dropped, payload)
			}
			m.Payload[0] = 'X' // its own copy
		}
	}
	for _, s := range append(others, a, b) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if m, ok := <-s.C(); ok {
			t.Errorf("got %q", m.Payload)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	publish(t, p, acme, "news", "after")
}

func TestSlowReceiver(t *testing.T) {
	p := memory.NewPubSub()
	s := subscribe(t, p, t.Context(), acme, "news")
	const sent, room = 300, 256
	for i := range sent {
		publish(t, p, acme, "news", fmt.Sprint(i))
	}
	for i := range room {
		if m := <-s.C(); string(m.Payload) != fmt.Sprint(i) || m.Dropped != 0 {
			t.Fatalf("message %d: got %q, %d dropped", i, m.Payload, m.Dropped)
		}
	}
	publish(t, p, acme, "news", "next")
	publish(t, p, acme, "news", "after")
	if m := <-s.C(); string(m.Payload) != "next" || m.Dropped != sent-room {
		t.Errorf("got %q, %d dropped", m.Payload, m.Dropped)
	}
	if m := <-s.C(); string(m.Payload) != "after" || m.Dropped != 0 {
		t.Errorf("got %q, %d dropped", m.Payload, m.Dropped)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSubscriptionEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := memory.NewPubSub()
		ctx, cancel := context.WithCancel(t.Context())
		s := subscribe(t, p, ctx, acme, "news")
		cancel()
		synctest.Wait()
		publish(t, p, acme, "news", "late")
		if m, ok := <-s.C(); ok {
			t.Errorf("got %q", m.Payload)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := p.Subscribe(ctx, acme, "news"); !errors.Is(err, context.Canceled) {
			t.Errorf("Subscribe with a done context: %v", err)
		}
		if err := p.Publish(ctx, acme, "news", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Publish with a done context: %v", err)
		}
		if _, err := p.Subscribe(t.Context(), "", "news"); !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("Subscribe without tenant: %v", err)
		}
		if err := p.Publish(t.Context(), "", "news", nil); !errors.Is(err, platform.ErrNoTenant) {
			t.Errorf("Publish without tenant: %v", err)
		}
	})
}

func TestPubSubAtOnce(t *testing.T) {
	p := memory.NewPubSub()
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 200 {
				s, err := p.Subscribe(t.Context(), acme, "news")
				if err != nil {
					t.Error(err)
					return
				}
				if err := p.Publish(t.Context(), acme, "news", []byte(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
				<-s.C()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
}
