package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
)

// Config configures a [Consumer]. Name, DB and Events are required.
type Config struct {
	// Name is the name of the module and of its group at the stream: processes
	// that consume under one name share the events. Another name begins with the
	// oldest event that is kept. At most 100 bytes.
	Name string
	// DB is the store in which the functions work.
	DB store.Relational
	// Events is the stream.
	Events store.Events
	// Reject takes an event whose data is not of a function's type, in the
	// transaction in which the function would have been called. It may keep the
	// event; an error has the stream deliver it again. Nil passes the event over
	// after it was logged.
	Reject func(ctx context.Context, tx store.Tx, e platform.Event, cause error) error
	// Logger takes what is passed over and why the consumer ends; nil is silence.
	Logger *slog.Logger
}

// Handler is a function for a type of event. It is made by [On].
type Handler struct {
	pattern string
	// handle returns a *dataError where the data is of another type.
	handle func(context.Context, store.Tx, platform.Event) error
}

// On has f called with each event whose type fits the pattern: a type, or the
// front of one that ends in ".*", or "*" for all. The data is decoded into a T; an
// event without data gives its zero value. For data as it came, T is
// [json.RawMessage].
func On[T any](pattern string, f func(ctx context.Context, tx store.Tx, e platform.Event, data T) error) Handler {
	if f == nil {
		return Handler{pattern: pattern}
	}
	return Handler{pattern, func(ctx context.Context, tx store.Tx, e platform.Event) error {
		var data T
		if len(e.Data) > 0 {
			if err := json.Unmarshal(e.Data, &data); err != nil {
				return &dataError{err}
			}
		}
		return f(ctx, tx, e, data)
	}}
}

// dataError is why an event's data is not of a function's type.
type dataError struct{ cause error }

func (e *dataError) Error() string {
	return "the data is not of the function's type: " + e.cause.Error()
}
func (e *dataError) Unwrap() error { return e.cause }

// Consumer calls handlers with the events of a stream. It is made by [New] and a
// [platform.Module].
type Consumer struct {
	cfg      Config
	log      *slog.Logger
	handlers []Handler
	loop     background.Group

	mu    sync.Mutex
	ended error // why the loop ended by itself
}

// New returns a consumer, whose work begins with [Consumer.Start]. The first
// handler whose pattern fits takes an event; one that no pattern fits is passed
// over.
func New(cfg Config, handlers ...Handler) (*Consumer, error) {
	check := setting.For("consumer")
	check.Need(cfg.Name != "" && len(cfg.Name) <= 100, "Name", "must be 1 to 100 bytes")
	check.Need(cfg.DB != nil, "DB", "must be set")
	check.Need(cfg.Events != nil, "Events", "must be set")
	check.Need(len(handlers) > 0, "handlers", "must be given, with consumer.On")
	for _, h := range handlers {
		check.Need(h.pattern != "" && h.handle != nil, "handlers", "must have a pattern and a function")
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Consumer{cfg: cfg, log: cfg.Logger.With(slog.String("module", cfg.Name)), handlers: handlers}, nil
}

// Name is Config.Name.
func (c *Consumer) Name() string { return c.cfg.Name }

// Needs implements [platform.Dependent].
func (c *Consumer) Needs() []any { return []any{c.cfg.DB, c.cfg.Events} }

// Start begins to consume and returns at once.
func (c *Consumer) Start(context.Context) error {
	c.loop.Go(func(ctx context.Context) { //nolint:contextcheck // it must not end with the context of the start
		err := c.cfg.Events.Consume(ctx, c.cfg.Name, c.consume)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the stream ended")
		}
		c.log.ErrorContext(ctx, "the consumer ended; events wait until the program is started again", slog.Any("error", err))
		c.mu.Lock()
		c.ended = err
		c.mu.Unlock()
	})
	return nil
}

// Stop takes no more events and waits for the functions that run.
func (c *Consumer) Stop(ctx context.Context) error {
	if err := c.loop.Stop(ctx); err != nil {
		return fmt.Errorf("consumer %s: %w", c.cfg.Name, err)
	}
	return nil
}

// Check returns an error once the stream has failed for good.
func (c *Consumer) Check(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return fmt.Errorf("consumer %s: %w", c.cfg.Name, c.ended)
	}
	return nil
}

// work is an event and who takes it.
type work struct {
	event  platform.Event
	handle func(context.Context, store.Tx, platform.Event) error
}

// consume works on a batch, one tenant after the other. A tenant's trouble leaves
// the others theirs: what is done is remembered, and the batch comes again.
func (c *Consumer) consume(ctx context.Context, batch []platform.Event) error {
	var order []platform.TenantID
	byTenant := make(map[platform.TenantID][]work)
	for _, e := range batch {
		h := c.handlerOf(e.Type)
		if h == nil {
			continue
		}
		if _, ok := byTenant[e.Tenant]; !ok {
			order = append(order, e.Tenant)
		}
		byTenant[e.Tenant] = append(byTenant[e.Tenant], work{e, h})
	}
	var errs []error
	for _, tenant := range order {
		if err := c.consumeTenant(ctx, tenant, byTenant[tenant]); err != nil {
			errs = append(errs, fmt.Errorf("consumer %s: events of %s: %w", c.cfg.Name, tenant, err))
		}
	}
	return errors.Join(errs...)
}

func (c *Consumer) handlerOf(eventType string) func(context.Context, store.Tx, platform.Event) error {
	for _, h := range c.handlers {
		if platform.Grants(h.pattern, eventType) { // patterns of permissions and of types have one form
			return h.handle
		}
	}
	return nil
}

func (c *Consumer) consumeTenant(ctx context.Context, tenant platform.TenantID, events []work) error {
	return c.cfg.DB.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		for _, w := range events {
			isNew, err := tx.Once(ctx, c.cfg.Name, w.event)
			if err != nil {
				return err
			}
			if !isNew {
				continue
			}
			if err := c.call(ctx, tx, w); err != nil {
				return fmt.Errorf("event %s of type %s: %w", w.event.ID, w.event.Type, err)
			}
		}
		return nil
	})
}

func (c *Consumer) call(ctx context.Context, tx store.Tx, w work) error {
	err := w.handle(ctx, tx, w.event)
	var wrong *dataError
	if !errors.As(err, &wrong) {
		return err
	}
	c.log.ErrorContext(ctx, "an event has data that its function does not take", slog.String("event", w.event.ID),
		slog.String("type", w.event.Type), slog.String("tenant", string(w.event.Tenant)), slog.Any("error", err))
	if c.cfg.Reject == nil {
		return nil
	}
	return c.cfg.Reject(ctx, tx, w.event, err)
}
