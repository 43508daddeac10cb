package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// Client is a connection pool of one Redis server or cluster. It is made by
// [New] and connected by [Client.Start]; its methods are safe for concurrent use.
// Before the start its calls, and those of what Cache and PubSub return, fail with
// an error of [platform.KindUnavailable] and the code "store_not_started".
type Client struct {
	cfg       Config
	settings  clientSettings // nil where the client is the host's
	increment *goredis.Script

	started atomic.Bool // the fields below are there
	redis   goredis.UniversalClient
	breaker *breaker
	hub     *hub
	tasks   *background.Group

	lifecycle sync.Mutex // held by Start and Stop
	stopped   bool
}

var (
	_ platform.Module   = (*Client)(nil)
	_ platform.Optional = (*Client)(nil)
	_ platform.Starter  = (*Client)(nil)
	_ store.Live        = (*Client)(nil)
	_ platform.Stopper  = (*Client)(nil)
)

// New returns a client that connects to nothing before [Client.Start]. No error
// shows the URL.
func New(cfg Config) (*Client, error) {
	if err := cfg.readPrefix(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, increment: goredis.NewScript(incrementScript)}
	if cfg.Client == nil {
		var err error
		if c.settings, err = cfg.settings(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Start connects and returns when the server answers: a wrong address or password
// is an error here and not later. A server that does not answer is an error of
// [platform.KindUnavailable]. The caller must call [Client.Stop] then. A Start that
// fails leaves no connection open and may be repeated; on a client that is started
// it does nothing.
func (c *Client) Start(ctx context.Context) error {
	c.lifecycle.Lock()
	defer c.lifecycle.Unlock()
	switch {
	case c.stopped:
		return errClosed()
	case c.started.Load():
		return nil
	}
	if c.redis = c.cfg.Client; c.redis == nil {
		c.redis = c.settings.client()
	}
	c.tasks = &background.Group{}
	log := c.cfg.Logger.With(slog.String("module", "redis"))
	c.breaker = &breaker{ping: c.ping, timeout: c.cfg.Timeout, retry: c.cfg.Retry, log: log, tasks: c.tasks}
	c.hub = &hub{
		connect: func(ctx context.Context) connection { return c.redis.Subscribe(ctx) },
		timeout: c.cfg.Timeout, heartbeat: c.cfg.Heartbeat, log: log, tasks: c.tasks,
		backoff: background.Backoff{Min: c.cfg.Retry / 8, Max: c.cfg.Retry, Rand: rand.Float64},
		closed:  make(chan struct{}), topics: make(map[string]*topic), wake: background.NewSignal(),
	}
	if err := c.answers(ctx); err != nil {
		return errors.Join(fmt.Errorf("redis: open: %w", err), c.disconnect())
	}
	c.started.Store(true)
	return nil
}

// Name implements [platform.Module].
func (*Client) Name() string { return "redis" }

// Check asks the server, also while other calls are not made because it did
// not answer.
func (c *Client) Check(ctx context.Context) error {
	if !c.started.Load() {
		return errNotStarted()
	}
	return c.answers(ctx)
}

func (c *Client) answers(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return translate(ctx, c.ping(asked))
}

// Optional implements [platform.Optional]: without Redis caches miss, limits are
// each process's own, and live messages wait for nobody; the rest goes on.
func (c *Client) Optional() bool { return true }

func (c *Client) ping(ctx context.Context) error { return c.redis.Ping(ctx).Err() }

// Stop ends the subscriptions and closes the connections, unless the client is
// the host's own. Calls after it fail. It may be called again, and on a client
// that was never started.
func (c *Client) Stop(ctx context.Context) error {
	c.lifecycle.Lock()
	defer c.lifecycle.Unlock()
	c.stopped = true
	if !c.started.Load() {
		return nil
	}
	c.hub.end()
	if err := errors.Join(c.tasks.Stop(ctx), c.disconnect()); err != nil {
		return fmt.Errorf("redis: stop: %w", err)
	}
	return nil
}

// disconnect closes the connections that are ours.
func (c *Client) disconnect() error {
	if c.cfg.Client != nil {
		return nil
	}
	if err := c.redis.Close(); !errors.Is(err, goredis.ErrClosed) {
		return err
	}
	return nil
}

// call makes one call for the tenant, unless the server is known to be unavailable.
func (c *Client) call(ctx context.Context, tenant platform.TenantID, f func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if err := tenant.ValidateScope(); err != nil {
		return err
	}
	if !c.started.Load() {
		return errNotStarted()
	}
	if c.breaker.open() {
		return unavailable("store_unavailable", "the store does not answer", errAway)
	}
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	err := f(bounded)
	c.breaker.report(err) //nolint:contextcheck // asking goes on after the call
	return translate(ctx, err)
}

// once is a command that must not be sent again by itself, since it may have
// been done the first time.
type once struct{ goredis.Cmder }

// NoRetry implements [goredis.Cmder].
func (once) NoRetry() bool { return true }
