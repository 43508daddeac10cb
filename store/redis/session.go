package redis

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acme/platform/internal/background"
)

// connection is what the hub needs of a [goredis.PubSub].
type connection interface {
	Ping(ctx context.Context, payload ...string) error
	Subscribe(ctx context.Context, channels ...string) error
	Unsubscribe(ctx context.Context, channels ...string) error
	Receive(ctx context.Context) (any, error)
	Close() error
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
	var writer sync.WaitGroup
	defer func() {
		unhook()
		conn.Close()
		cancel()
		writer.Wait()
		h.lose()
	}()

	// This connects, in a cluster to any node.
	asked, done := context.WithTimeout(ctx, h.timeout)
	err = conn.Ping(asked)
	done()
	if err != nil {
		return false, err
	}
	h.begin()
	var heard atomic.Bool
	heard.Store(true)
	writer.Go(func() { h.write(ctx, conn, &heard) })
	for {
		message, err := conn.Receive(ctx)
		if err != nil {
			return true, err
		}
		heard.Store(true)
		h.receive(message)
	}
}

// write sends the commands, and closes a connection on which nothing comes,
// not even answers: the host behind it may be gone without a word. The error of
// a command is not looked at: it breaks the connection, which Receive tells.
func (h *hub) write(ctx context.Context, conn connection, heard *atomic.Bool) {
	tick := time.NewTicker(h.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
			h.mu.Lock()
			join, leave := h.joining, h.leaving
			h.joining, h.leaving = nil, nil
			h.mu.Unlock()
			if len(join) > 0 {
				_ = conn.Subscribe(ctx, join...)
			}
			if len(leave) > 0 { // without channels it would leave all
				_ = conn.Unsubscribe(ctx, leave...)
			}
		case <-tick.C:
			if !heard.Swap(false) {
				conn.Close()
				return
			}
			_ = conn.Ping(ctx)
		}
	}
}
