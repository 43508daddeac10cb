package outbox

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

//go:embed migrations
var migrations embed.FS

// TxPublisher is a [store.Events] whose events are rows of a relational store.
// With one that shares the relay's store, events move in a single transaction:
// one commit less for each batch, and no duplicates after a crash.
type TxPublisher interface {
	// PublishTx appends the events, in order, as a part of tx.
	PublishTx(ctx context.Context, tx store.CrossTx, events ...platform.Event) error
	// SharesStore reports whether a transaction of db reaches the events.
	SharesStore(db store.Relational) bool
}

// Relayed is a [TxPublisher] that moves the events of its store to itself, by a
// relay of its own: it needs no other, and [New] refuses to make one.
type Relayed interface {
	TxPublisher
	// Relay is the stream's own.
	Relay() *Relay
}

// Config configures a [Relay]. DB and Events are required.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt leave out all but DB, Events and Logger:
// InboxRetention is the one to raise with the retention of the stream.
type Config struct {
	// DB is the store whose outbox is emptied. Where it is a [store.Emitter],
	// each commit that emitted wakes the relay.
	DB store.Relational
	// Events is where the events go.
	Events store.Events
	// Logger takes failures, once when they begin and once when they end, and
	// every dead letter; nil is silence.
	Logger *slog.Logger
	// Now is the clock for ages; nil is time.Now.
	Now func() time.Time
	// Rand returns numbers evenly from [0, 1) for jitter; nil is
	// math/rand/v2.
	Rand func() float64
	// Batch is the most events that are moved at once, up to 10,000; zero is
	// 500. From PostgreSQL to a stream elsewhere up to four batches are
	// published at once while more wait.
	Batch int
	// Interval is how often the outbox is looked at unasked; zero is one
	// second. With more than four minutes the check of the store may take a relay
	// for gone while events wait.
	Interval time.Duration
	// Cooldown is the least time between two looks, so that what many callers
	// commit meanwhile leaves together; zero is 10 ms. An event after a quiet
	// time is not held up.
	Cooldown time.Duration
	// PublishTimeout bounds one publish of a batch to a stream that is not in
	// the store; zero is 15 s. On PostgreSQL it must be shorter than the time
	// limit of the store's transactions by six seconds and more.
	PublishTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause after a failure: it doubles
	// from the first to the second, and a random half of it is left out. Zero
	// is 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// InboxRetention is how long store.Tx.Once remembers events. It must be
	// longer than an event can come again: the retention of the stream, and
	// the time until somebody replays a consumer's dead letter. Zero is 30
	// days.
	InboxRetention time.Duration
	// DeadRetention is how long events are kept that no stream takes; zero is
	// 30 days.
	DeadRetention time.Duration
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	c.Batch = cmp.Or(c.Batch, 500)
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.Cooldown = cmp.Or(c.Cooldown, 10*time.Millisecond)
	c.PublishTimeout = cmp.Or(c.PublishTimeout, 15*time.Second)
	c.MinBackoff = cmp.Or(c.MinBackoff, 100*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 30*time.Second)
	c.InboxRetention = cmp.Or(c.InboxRetention, 30*24*time.Hour)
	c.DeadRetention = cmp.Or(c.DeadRetention, 30*24*time.Hour)
}

func (c *Config) validate() error {
	check := setting.For("outbox")
	check.Need(c.DB != nil, "DB", "must be set")
	check.Need(c.Events != nil, "Events", "must be set")
	own, ok := c.Events.(Relayed)
	check.Need(!ok || own.Relay() == nil || !own.SharesStore(c.DB), "Events",
		"is a stream that brings its own relay: leave this one out, and give its settings to the stream (sqlevents.Config.Relay)")
	check.Need(c.Batch >= 1 && c.Batch <= 10_000, "Batch", "must be 1 to 10,000")
	check.Need(c.Interval > 0, "Interval", "must be positive")
	check.Need(c.Cooldown > 0, "Cooldown", "must be positive")
	check.Need(c.PublishTimeout > 0, "PublishTimeout", "must be positive")
	check.Need(c.MinBackoff > 0, "MinBackoff", "must be positive")
	check.Need(c.MaxBackoff >= c.MinBackoff, "MaxBackoff", "must be at least MinBackoff")
	check.Need(c.InboxRetention > 0, "InboxRetention", "must be positive")
	check.Need(c.DeadRetention > 0, "DeadRetention", "must be positive")
	return check.Err()
}

// Relay moves events from the outbox of a store to a stream. It is made by
// [New]; its methods are safe for concurrent use.
type Relay struct {
	cfg     Config
	log     *slog.Logger
	tx      TxPublisher // nil where the stream is elsewhere
	cross   crossings
	dialect *dialect

	wake       background.Signal
	background background.Group
	// singly is how many of the next events are moved one by one, to find
	// the one that the stream refuses. Only the relay's goroutine uses it.
	singly int
}

// New returns a relay; it begins with [Relay.Start].
func New(cfg Config) (*Relay, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Relay{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "outbox")),
		wake: background.NewSignal(), dialect: &onSQLite, cross: newCrossings(cfg.DB),
	}
	if sqltx.OnPostgres(cfg.DB) {
		r.dialect = &onPostgres
	}
	if tx, ok := cfg.Events.(TxPublisher); ok && tx.SharesStore(cfg.DB) {
		r.tx = tx
	}
	return r, nil
}

// crossings are the tokens for what the relay does across tenants.
type crossings struct{ relay, heartbeat, stats, trim store.Crossing }

func newCrossings(db store.Relational) crossings {
	of := db.Crossings()
	return crossings{
		relay:     of.Grant("outbox.relay", "moves the events of all tenants to the stream, in one order"),
		heartbeat: of.Grant("outbox.heartbeat", "notes that a relay serves the outbox"),
		stats:     of.Grant("outbox.stats", "counts the events of all tenants that wait"),
		trim:      of.Grant("outbox.trim", "removes rows of the inbox and dead events that are older than the retention"),
	}
}

// Name is "outbox".
func (*Relay) Name() string { return "outbox" }

// Needs implements [platform.Dependent].
func (r *Relay) Needs() []any { return []any{r.cfg.DB, r.cfg.Events} }

// Start makes the relay's table and begins to move events, those that an
// earlier process left first. It must be called once, after the stream is
// started.
func (r *Relay) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if err := r.cfg.DB.Migrate(ctx, store.Migrations{Component: "outbox_relay", Files: files}); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if err := r.beat(ctx); err != nil {
		return err
	}
	for _, loop := range []func(context.Context){r.run, r.beatLoop, r.trimInboxLoop, r.trimDeadLoop} {
		r.background.Go(loop) //nolint:contextcheck // it must not end with the context of the start
	}
	return nil
}

// Stop ends the relay once what it is moving is moved. Events that are left wait
// for the next start.
func (r *Relay) Stop(ctx context.Context) error { return r.background.Stop(ctx) }

// busyPause is how long a relay waits for another one's turn to end.
const busyPause = 50 * time.Millisecond

func (r *Relay) run(ctx context.Context) {
	if emitter, ok := r.cfg.DB.(store.Emitter); ok {
		defer emitter.OnEmit(r.wake.Set)()
	}
	backoff := background.Backoff{Min: r.cfg.MinBackoff, Max: r.cfg.MaxBackoff, Rand: r.cfg.Rand}
	failures := 0
	for {
		err := r.drain(ctx)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errBusy) {
			// It may have looked before the last commits of this process.
			background.Sleep(ctx, min(busyPause, r.cfg.Interval))
			continue
		}
		if err != nil {
			if failures++; failures == 1 {
				r.log.WarnContext(ctx, "events cannot be published; they wait in the outbox", slog.Any("error", err))
			}
			background.Sleep(ctx, backoff.Pause(failures))
			continue
		}
		if failures > 0 {
			r.log.InfoContext(ctx, "events are published again", slog.Int("failures", failures))
			failures = 0
		}
		background.Sleep(ctx, r.cfg.Cooldown)
		r.wake.Wait(ctx, r.cfg.Interval)
	}
}
