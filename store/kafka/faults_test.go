package kafka_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/kafka"
)

// A broker that is silent is an error within the time limit, not a call that
// hangs; a caller that gives up first is not held either.
func TestPausedBroker(t *testing.T) {
	server := teststack.Start(t, teststack.KafkaServer)
	cfg := config(t, server.URL())
	publish(t, start(t, cfg), event(acme, "s", 0))
	cfg.Timeout = 3 * time.Second
	e := start(t, cfg)
	var in inbox
	end := consume(t, e, "g", in.handle)
	until(t, "the first event", func() bool { return in.distinct() == 1 })

	server.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := e.Publish(ctx, event(acme, "s", 1)); platform.KindOf(err) != platform.KindUnavailable || ctx.Err() != nil {
		t.Errorf("Publish: %v", err)
	}
	if err := e.Check(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("Check: %v", err)
	}
	if _, err := e.Stats(ctx); platform.KindOf(err) != platform.KindUnavailable || ctx.Err() != nil {
		t.Errorf("Stats: %v", err)
	}
	short, cancel := context.WithCancel(ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := e.Publish(short, event(acme, "s", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("Publish, cancelled: %v", err)
	}
	end() // a consumer ends although nobody answers
	server.Unpause(t)

	until(t, "a publish that succeeds", func() bool { return e.Publish(t.Context(), event(acme, "s", 1), event(acme, "s", 2)) == nil })
	consume(t, e, "g", in.handle)
	until(t, "all events", func() bool { return in.distinct() == 3 })
	in.wantOrder(t, 3)
	until(t, "health", func() bool { return e.Check(t.Context()) == nil })
}

// The broker is stopped and killed under load: what was acknowledged comes, in
// order, and both sides find it again by themselves.
func TestBrokerRestarts(t *testing.T) {
	server := teststack.Start(t, teststack.KafkaServer)
	cfg := config(t, server.URL())
	cfg.Timeout = 2 * time.Second
	e := start(t, cfg)
	var in inbox
	consume(t, e, "g", in.handle)
	published := load(t, e)
	for _, end := range []func(testing.TB){server.Stop, server.Kill} {
		at := committed(t, e)
		until(t, "progress", func() bool { return committed(t, e) > at+500 })
		end(t)
		if err := e.Check(t.Context()); err == nil {
			t.Error("Check finds a broker that is gone")
		}
		server.Start(t)
	}
	each := published()
	until(t, "all events", func() bool { return in.distinct() == each*len(subjects) })
	in.wantOrder(t, each)
	t.Logf("%d duplicates", in.duplicates())
}

// Connections that broke while they were idle cost the caller nothing: Publish
// tries again by itself.
func TestPublishTriesAgain(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	var w wire
	cfg.Dial = w.dial
	e := start(t, cfg)
	for n := range 10 {
		publish(t, e, events(acme, n, n+1, subjects...)...)
		w.drop()
	}
}

// Stop ends what is under way, tries again or not, and nothing of it is left: the
// package's tests end with a look for goroutines.
func TestStopUnderLoad(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	var w wire
	cfg.Dial = w.dial
	e := start(t, cfg)
	var in inbox
	consuming := make(chan error, 1)
	go func() { consuming <- e.Consume(t.Context(), "g", in.handle) }()
	var publishing sync.WaitGroup
	for i := range 20 {
		publishing.Go(func() {
			for n := 0; ; n++ {
				if err := e.Publish(t.Context(), event(acme, subjects[i%len(subjects)], n)); err != nil {
					if platform.KindOf(err) != platform.KindUnavailable {
						t.Errorf("Publish: %v", err)
					}
					return
				}
			}
		})
	}
	until(t, "progress", func() bool { return in.distinct() > 100 })
	w.drop()
	if err := e.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	publishing.Wait()
	if err := <-consuming; err == nil {
		t.Error("Consume must say that the stream was stopped under it")
	}
}

// committed is how many events the group g has finished for good.
func committed(tb testing.TB, e *kafka.Events) (n int64) {
	tb.Helper()
	for s, err := e.Stats(tb.Context()); ; s, err = e.Stats(tb.Context()) {
		if err != nil && tb.Context().Err() == nil {
			continue // the broker has just started
		}
		for _, g := range s.Groups {
			for _, p := range g.Partitions {
				n += max(0, p.Next)
			}
		}
		return n
	}
}

// Stop returns while a consumer is about to join a group that waits for another.
func TestStopWhileJoining(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	e := start(t, cfg)
	publish(t, e, event(acme, "s", 0))
	busy, free := make(chan struct{}), make(chan struct{})
	consume(t, e, "g", func(context.Context, []platform.Event) error {
		close(busy)
		<-free
		return nil
	})
	<-busy
	second := start(t, cfg)
	done := make(chan error, 1)
	go func() {
		done <- second.Consume(t.Context(), "g", func(context.Context, []platform.Event) error { return nil })
	}()
	client := bare(t, broker)
	until(t, "the rebalance", func() bool { return groupState(t, client, cfg.Topic+"/g") == "PreparingRebalance" })
	if err := second.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if err := <-done; err == nil {
		t.Error("Consume must say that the stream was stopped under it")
	}
	close(free)
}
