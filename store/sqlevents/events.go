package sqlevents

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
)

//go:embed migrations
var migrations embed.FS

// Config configures [Events]. DB is required.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt leave out all but DB and Logger: Retention is the one to
// raise where a consumer may be away for longer than a week.
type Config struct {
	// DB holds the stream.
	DB store.Relational
	// Logger takes failures, once when they begin and once when they end; nil
	// is silence.
	Logger *slog.Logger
	// Now is the clock for leases and retention; nil is time.Now.
	Now func() time.Time
	// NewID names the holders of leases; nil is platform.NewID.
	NewID func(prefix string) string
	// Rand returns numbers evenly from [0, 1) for jitter and may be called by
	// many goroutines at once; nil is math/rand/v2.
	Rand func() float64
	// Batch is the most events that a handler gets at once; zero is 500.
	Batch int
	// Interval is how often a consumer looks for events that other processes
	// published; those of this process wake it. Zero is one second.
	Interval time.Duration
	// Lease is how long a group waits for a consumer that is not heard of
	// before another takes over; zero is 30 s, the least is 1 s.
	Lease time.Duration
	// MinBackoff and MaxBackoff bound the pause before a failed batch is
	// delivered again: it doubles from the first to the second, and a random
	// half of it is left out. Zero is 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// Retention is how long events are kept; zero is 7 days, the least is one
	// minute.
	Retention time.Duration
	// Relay are the settings of the stream's own relay, which moves to the stream
	// what transactions of DB emit. Its DB and Events must be left out; Logger,
	// Now and Rand are the stream's where they are left out.
	Relay outbox.Config
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewID == nil {
		c.NewID = platform.NewID
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	c.Batch = cmp.Or(c.Batch, 500)
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.Lease = cmp.Or(c.Lease, 30*time.Second)
	c.MinBackoff = cmp.Or(c.MinBackoff, 100*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 30*time.Second)
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	if c.Relay.Logger == nil {
		c.Relay.Logger = c.Logger
	}
	if c.Relay.Now == nil {
		c.Relay.Now = c.Now
	}
	if c.Relay.Rand == nil {
		c.Relay.Rand = c.Rand
	}
}

func (c *Config) validate() error {
	check := setting.For("events")
	check.Need(c.DB != nil, "DB", "must be set")
	check.Need(c.Batch >= 1 && c.Batch <= 10_000, "Batch", "must be 1 to 10,000")
	check.Need(c.Interval > 0, "Interval", "must be positive")
	check.Need(c.Lease >= time.Second, "Lease", "must be at least 1 s")
	check.Need(c.MinBackoff > 0, "MinBackoff", "must be positive")
	check.Need(c.MaxBackoff >= c.MinBackoff, "MaxBackoff", "must be at least MinBackoff")
	check.Need(c.Retention >= time.Minute, "Retention", "must be at least one minute")
	check.Need(c.Relay.DB == nil, "Relay.DB", "must be left out: it is Config.DB")
	check.Need(c.Relay.Events == nil, "Relay.Events", "must be left out: it is this stream")
	return check.Err()
}

// Events is a durable stream in a relational store. It is made by [New]; its
// methods are safe for concurrent use.
type Events struct {
	cfg Config
	log *slog.Logger
	// backoff is the pause before a failed batch, or a failed look, is tried again.
	backoff background.Backoff
	cross   crossings
	relay   *outbox.Relay

	started    chan struct{}   // closed when the tables are there
	lifetime   context.Context //nolint:containedctx // it is the stream's own
	end        context.CancelFunc
	background background.Group

	mu        sync.Mutex
	stopped   bool
	consuming sync.WaitGroup
	waiting   map[background.Signal]struct{} // one for each Consume call
}

var _ store.Events = (*Events)(nil)

// New returns a stream. It is usable once [Events.Start] has returned.
func New(cfg Config) (*Events, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Events{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "events")),
		backoff: background.Backoff{Min: cfg.MinBackoff, Max: cfg.MaxBackoff, Rand: cfg.Rand},
		cross:   newCrossings(cfg.DB),
		started: make(chan struct{}), waiting: make(map[background.Signal]struct{}),
	}
	relay := cfg.Relay
	relay.DB, relay.Events = cfg.DB, e
	var err error
	if e.relay, err = outbox.New(relay); err != nil {
		return nil, fmt.Errorf("events: Config.Relay: %w", err)
	}
	e.lifetime, e.end = context.WithCancel(context.Background())
	return e, nil
}

// Relay is the stream's own, for its figures. It starts and stops with the
// stream; nobody else starts it.
func (e *Events) Relay() *outbox.Relay { return e.relay }

// crossings are the tokens for what the stream does across tenants.
type crossings struct{ publish, consume, stats, trim store.Crossing }

func newCrossings(db store.Relational) crossings {
	of := db.Crossings()
	return crossings{
		publish: of.Grant("events.publish", "appends the events of many tenants to one log"),
		consume: of.Grant("events.consume", "hands the events of all tenants to groups of consumers, and keeps their leases and offsets"),
		stats:   of.Grant("events.stats", "counts the events of all tenants and how far the groups are behind"),
		trim:    of.Grant("events.trim", "removes events that are older than the retention"),
	}
}

// Name is "events".
func (*Events) Name() string { return "events" }

// Needs implements [platform.Dependent].
func (e *Events) Needs() []any { return []any{e.cfg.DB} }

// Start makes the tables, begins to trim what is older than the retention, and
// starts the relay, which moves to the stream what an earlier process left in the
// outbox, and then what is emitted. It must be called once, before the modules that
// consume are started. In a store that is open in one process alone
// ([store.Exclusive]) it ends the leases that an earlier process left.
func (e *Events) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if err := e.cfg.DB.Migrate(ctx, store.Migrations{Component: "events", Files: files}); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if store.IsExclusive(e.cfg.DB) {
		if err := e.endLeases(ctx); err != nil {
			return err
		}
	}
	if err := e.relay.Start(ctx); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	e.background.Go(e.trimLoop) //nolint:contextcheck // it must not end with the context of the start
	close(e.started)
	return nil
}

// errStopped is what Consume returns when the stream was stopped under it.
var errStopped = errors.New("events: stopped")

// Stop ends the relay and all Consume calls, each once its handler has returned,
// and waits for them.
func (e *Events) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.end()
	err := background.Wait(ctx, &e.consuming)
	if err != nil {
		err = fmt.Errorf("events: a handler did not return: %w", err)
	}
	return errors.Join(err, e.relay.Stop(ctx), e.background.Stop(ctx))
}

// join counts a Consume call in and gives it a channel that wakes it when there
// may be something to do.
func (e *Events) join() (wake background.Signal, leave func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil, nil, errStopped
	}
	e.consuming.Add(1)
	wake = background.NewSignal()
	e.waiting[wake] = struct{}{}
	return wake, func() {
		e.mu.Lock()
		delete(e.waiting, wake)
		e.mu.Unlock()
		e.consuming.Done()
	}, nil
}

// wakeAll tells every Consume call of this process to look. A call that is busy
// looks when it has done what it does.
func (e *Events) wakeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for wake := range e.waiting {
		wake.Set()
	}
}
