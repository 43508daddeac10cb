package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/redis"
)

// code is what an error for callers is known by.
func code(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Before its start the client and what it hands out say so, nothing is connected,
// and it can be stopped.
func TestNotStarted(t *testing.T) {
	c, err := redis.New(redis.Config{URL: "redis://127.0.0.1:1?min_idle_conns=4"})
	if err != nil {
		t.Fatal(err)
	}
	calls := methods(c)
	calls["check"] = func(ctx context.Context, _ platform.TenantID) error { return c.Check(ctx) }
	for name, call := range calls {
		if err := call(t.Context(), acme); code(err) != "store_not_started" || platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for range 2 {
		if err := c.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	if err := c.Start(t.Context()); code(err) != "store_closed" {
		t.Errorf("a start after Stop: %v", err)
	}
}

// A Start that failed may be repeated: the server was only unavailable.
func TestStartAgain(t *testing.T) {
	p := newProxy(t, server(t))
	p.loseAnswers(1000)
	c, err := redis.New(redis.Config{URL: p.url(), Prefix: newPrefix(), Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(context.Background())
	if err := c.Start(t.Context()); platform.KindOf(err) != platform.KindUnavailable {
		t.Fatalf("got %v", err)
	}
	p.loseAnswers(0)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, c.PubSub(), "topic")
	publish(t, c.PubSub(), "topic", "x")
	if m := receive(t, s); string(m.Payload) != "x" {
		t.Errorf("got %q", m.Payload)
	}
}
