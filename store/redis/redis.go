package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// Client is a connection pool of one Redis server or cluster. It is made by
// [Open]; its methods are safe for concurrent use.
type Client struct {
	cfg       Config
	redis     goredis.UniversalClient
	guard     *guard
	hub       *hub
	increment *goredis.Script
	tasks     background.Group
}

var (
	_ platform.Module   = (*Client)(nil)
	_ platform.Optional = (*Client)(nil)
	_ platform.Stopper  = (*Client)(nil)
)

// Open returns a client of a server that answers: a wrong address or password
// is an error here and not later. The caller must call [Client.Stop]. No error
// shows the URL.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, redis: cfg.Client, increment: goredis.NewScript(incrementScript)}
	if c.redis == nil {
		var err error
		if c.redis, err = cfg.client(); err != nil {
			return nil, err
		}
	}
	log := cfg.Logger.With(slog.String("module", "redis"))
	c.guard = &guard{ping: c.ping, timeout: cfg.Timeout, retry: cfg.Retry, log: log, tasks: &c.tasks}
	c.hub = &hub{
		connect: func(ctx context.Context) connection { return c.redis.Subscribe(ctx) },
		timeout: cfg.Timeout, heartbeat: cfg.Heartbeat, log: log, tasks: &c.tasks,
		backoff: background.Backoff{Min: cfg.Retry / 8, Max: cfg.Retry, Rand: rand.Float64},
		closed:  make(chan struct{}), topics: make(map[string]*topic), wake: background.NewSignal(),
	}
	if err := c.Check(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("redis: open: %w", err), c.Stop(ctx))
	}
	return c, nil
}

// Name implements [platform.Module].
func (*Client) Name() string { return "redis" }

// Check asks the server, also while other calls are not made because it did
// not answer.
func (c *Client) Check(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return translate(ctx, c.ping(asked))
}

// Optional implements [platform.Optional]: without Redis caches miss, limits are
// each process's own, and live messages wait for nobody; the rest goes on.
func (c *Client) Optional() bool { return true }

func (c *Client) ping(ctx context.Context) error { return c.redis.Ping(ctx).Err() }

// Stop ends the subscriptions and closes the connections, unless the client is
// the host's own. Calls after it fail.
func (c *Client) Stop(ctx context.Context) error {
	c.hub.end()
	err := c.tasks.Stop(ctx)
	if c.cfg.Client == nil {
		if closing := c.redis.Close(); closing != nil && !errors.Is(closing, goredis.ErrClosed) {
			err = errors.Join(err, closing)
		}
	}
	if err != nil {
		return fmt.Errorf("redis: stop: %w", err)
	}
	return nil
}

// call makes one call for the tenant, unless the server is known to be away.
func (c *Client) call(ctx context.Context, tenant platform.TenantID, f func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if err := tenant.Validate(); err != nil {
		return err
	}
	if c.guard.open() {
		return unavailable("store_unavailable", "the store does not answer", errAway)
	}
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	err := f(bounded)
	c.guard.report(err) //nolint:contextcheck // asking goes on after the call
	return translate(ctx, err)
}

// once is a command that must not be sent again by itself, since it may have
// been done the first time.
type once struct{ goredis.Cmder }

// NoRetry implements [goredis.Cmder].
func (once) NoRetry() bool { return true }
