package kafka_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/kafka"
)

// code is what an error for callers is known by.
func code(err error) string {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// New dials nobody, and before Start every call but Consume, which waits, says so.
func TestNotStarted(t *testing.T) {
	e, err := kafka.New(kafka.Config{
		Brokers: []string{"127.0.0.1:1"}, Topic: "t", Plaintext: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("it dials before the start")
			return nil, errors.New("no")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"Publish": func(ctx context.Context) error { return e.Publish(ctx, event(acme, "s", 0)) },
		"Check":   e.Check,
		"Stats":   func(ctx context.Context) error { _, err := e.Stats(ctx); return err },
		"Dead":    func(ctx context.Context) error { _, err := e.Dead(ctx, kafka.DeadQuery{}); return err },
		"Replay":  func(ctx context.Context) error { return e.Replay(ctx, "0-1") },
	} {
		if err := call(t.Context()); code(err) != "store_not_started" || platform.KindOf(err) != platform.KindUnavailable {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for range 2 {
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A Start that failed leaves no connection open and may be repeated.
func TestStartAgain(t *testing.T) {
	cfg := config(t, teststack.Kafka(t))
	var open, refused atomic.Int64
	var refuse atomic.Bool
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		// The first connection goes through, so that there is one to close.
		if open.Load() > 0 && refuse.Load() {
			refused.Add(1)
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		open.Add(1)
		return &counted{Conn: c, open: &open}, nil
	}
	e, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	refuse.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { failed <- e.Start(ctx) }()
	until(t, "it is refused", func() bool { return refused.Load() > 0 })
	cancel()
	if err := <-failed; err == nil {
		t.Fatal("it started")
	}
	until(t, "the connections are closed", func() bool { return open.Load() == 0 })
	refuse.Store(false)
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, e, event(acme, "s", 0))
	if err := e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the connections are closed", func() bool { return open.Load() == 0 })
}

// counted is a connection that counts itself out.
type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}
