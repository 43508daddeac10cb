package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// PubSub tests a [store.PubSub].
func PubSub(t *testing.T, open func(testing.TB) store.PubSub) {
	t.Helper()
	run(t, open, pubSubCases)
}

var pubSubCases = []testCase[store.PubSub]{
	{"DeliversInOrder", func(p *probe, s store.PubSub) {
		sub := p.subscribe(s, tenantA, "topic")
		for i := range 10 {
			p.must(s.Publish(p.ctx, tenantA, "topic", fmt.Appendf(nil, "%d", i)))
		}
		for i := range 10 {
			if got := p.receive(sub); got != fmt.Sprint(i) {
				p.fatalf("message %d is %q", i, got)
			}
		}
		p.must(sub.Close())
		p.must(sub.Close())
	}},
	{"ReachesEverySubscriber", func(p *probe, s store.PubSub) {
		one, two := p.subscribe(s, tenantA, "topic"), p.subscribe(s, tenantA, "topic")
		p.must(s.Publish(p.ctx, tenantA, "topic", []byte("x")))
		if a, b := p.receive(one), p.receive(two); a != "x" || b != "x" {
			p.errorf("got %q and %q", a, b)
		}
		p.must(one.Close())
		p.must(s.Publish(p.ctx, tenantA, "topic", []byte("y")))
		if got := p.receive(two); got != "y" {
			p.errorf("got %q", got)
		}
		p.must(two.Close())
	}},
	{"TenantsAndTopicsAreApart", func(p *probe, s store.PubSub) {
		sub := p.subscribe(s, tenantA, "topic")
		p.must(s.Publish(p.ctx, tenantB, "topic", []byte("other tenant")))
		p.must(s.Publish(p.ctx, platform.NoTenant, "topic", []byte("no tenant")))
		p.must(s.Publish(p.ctx, tenantA, "topic2", []byte("other topic")))
		p.must(s.Publish(p.ctx, tenantA, "topic", []byte("mine")))
		if got := p.receive(sub); got != "mine" {
			p.errorf("got %q", got)
		}
		p.must(sub.Close())
	}},
	{"NobodyListens", func(p *probe, s store.PubSub) {
		p.must(s.Publish(p.ctx, tenantA, "topic", []byte("x")))
	}},
	{"CloseEndsTheChannel", func(p *probe, s store.PubSub) {
		sub := p.subscribe(s, tenantA, "topic")
		p.must(sub.Close())
		p.ends(sub)
	}},
	{"ContextEndsTheSubscription", func(p *probe, s store.PubSub) {
		ctx, cancel := context.WithCancel(p.ctx)
		sub, err := s.Subscribe(ctx, tenantA, "topic")
		p.must(err)
		cancel()
		p.ends(sub)
		p.must(sub.Close())
	}},
	{"ASlowSubscriberHoldsNobodyUp", func(p *probe, s store.PubSub) {
		slow, quick := p.subscribe(s, tenantA, "topic"), p.subscribe(s, tenantA, "other")
		for i := range 20_000 {
			p.must(s.Publish(p.ctx, tenantA, "topic", fmt.Appendf(nil, "%d", i)))
		}
		p.must(s.Publish(p.ctx, tenantA, "other", []byte("x")))
		if got := p.receive(quick); got != "x" {
			p.errorf("got %q", got)
		}
		// What arrives late still comes in order, and says what was lost.
		next, sent := 0, 20_000
		account := func(m store.Message) {
			next += m.Dropped
			if got := string(m.Payload); got != fmt.Sprint(next) {
				p.fatalf("got message %s after %d were accounted for", got, next)
			}
			next++
		}
		for next < sent {
			select {
			case m, ok := <-slow.C():
				if !ok {
					p.fatalf("the slow subscription ended at %d", next)
				}
				account(m)
			default:
				// What was dropped at the end is told by what comes after.
				p.must(s.Publish(p.ctx, tenantA, "topic", fmt.Appendf(nil, "%d", sent)))
				sent++
				account(p.message(slow))
			}
		}
		p.must(slow.Close())
		p.must(quick.Close())
	}},
	{"SubscribersComeAndGo", func(p *probe, s store.PubSub) {
		// A subscription that is in place gets what is published then, however
		// many others of its topic begin and end meanwhile.
		parallel(8, func(g int) {
			for i := range 20 {
				if err := ownMessage(p, s, fmt.Sprintf("%d %d", g, i)); err != nil {
					p.errorf("%v", err)
					return
				}
			}
		})
	}},
	{"EachReceiverHasItsOwnCopy", func(p *probe, s store.PubSub) {
		one, two := p.subscribe(s, tenantA, "topic"), p.subscribe(s, tenantA, "topic")
		payload := []byte("text")
		p.must(s.Publish(p.ctx, tenantA, "topic", payload))
		copy(payload, "XXXX")
		copy(p.message(one).Payload, "YYYY")
		if got := p.receive(two); got != "text" {
			p.errorf("got %q", got)
		}
		p.must(one.Close())
		p.must(two.Close())
	}},
	{"Cancelled", func(p *probe, s store.PubSub) {
		sub := p.subscribe(s, tenantA, "topic")
		p.cancels(s.Publish(p.cancelled(), tenantA, "topic", []byte("ghost")), "Publish")
		_, err := s.Subscribe(p.cancelled(), tenantA, "topic")
		p.cancels(err, "Subscribe")
		p.must(s.Publish(p.ctx, tenantA, "topic", []byte("x")))
		if got := p.receive(sub); got != "x" {
			p.errorf("got %q", got)
		}
		p.must(sub.Close())
	}},
	{"BadTenant", func(p *probe, s store.PubSub) {
		for _, t := range badTenants {
			p.kind(s.Publish(p.ctx, t, "topic", nil), platform.KindNoTenant, "Publish")
			_, err := s.Subscribe(p.ctx, t, "topic")
			p.kind(err, platform.KindNoTenant, "Subscribe")
		}
	}},
}

// ownMessage subscribes, publishes, and waits for that message.
func ownMessage(p *probe, s store.PubSub, text string) error {
	sub, err := s.Subscribe(p.ctx, tenantA, "topic")
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := s.Publish(p.ctx, tenantA, "topic", []byte(text)); err != nil {
		return err
	}
	late := time.After(p.patience)
	for {
		select {
		case m, ok := <-sub.C():
			if !ok {
				return fmt.Errorf("the subscription of %q ended", text)
			}
			if string(m.Payload) == text {
				return nil
			}
		case <-late:
			return fmt.Errorf("message %q did not come", text)
		}
	}
}

func (p *probe) subscribe(s store.PubSub, tenant platform.TenantID, topic string) store.Subscription {
	sub, err := s.Subscribe(p.ctx, tenant, topic)
	p.must(err)
	return sub
}

func (p *probe) receive(sub store.Subscription) string { return string(p.message(sub).Payload) }

func (p *probe) message(sub store.Subscription) store.Message {
	select {
	case m, ok := <-sub.C():
		if !ok {
			p.fatalf("the subscription ended")
		}
		return m
	case <-time.After(p.patience):
		p.fatalf("no message came")
	}
	return store.Message{}
}

func (p *probe) ends(sub store.Subscription) {
	select {
	case _, ok := <-sub.C():
		if ok {
			p.errorf("a message came out of an ended subscription")
		}
	case <-time.After(p.patience):
		p.errorf("the channel of an ended subscription stays open")
	}
}
