package queue

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

//go:embed migrations
var migrations embed.FS

// Config configures a [Queue]. DB is required.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt leave out all but DB, Logger and Suspensions: Workers is
// the one to raise where handlers wait for other servers, and Lease the one to
// lower where the jobs of a process that was killed must not wait.
type Config struct {
	// DB holds the jobs, in a table of the queue's own.
	DB store.Relational
	// Logger takes failures of jobs and of the store; nil is silence.
	Logger *slog.Logger
	// Now is the clock for due times and leases; nil is time.Now.
	Now func() time.Time
	// NewID makes ids of jobs and names of workers; nil is platform.NewID.
	NewID func(prefix string) string
	// Rand returns numbers evenly from [0, 1) for the jitter and is called by
	// one goroutine at a time; nil is math/rand/v2.
	Rand func() float64
	// Workers is the most jobs of one kind that run at once, where
	// Options.Concurrency does not say it; zero is 16, the most 1,000. Each
	// kind has workers of its own, so that none waits for another.
	Workers int
	// TenantWorkers is the most jobs of one kind that run at once for one
	// tenant, where Options.TenantConcurrency does not say it; zero is three
	// quarters of the kind's workers, so that one tenant's slow jobs leave
	// room for the others'.
	TenantWorkers int
	// Limits say which tenants have one share of the workers
	// ([platform.Limits.Share]) and, for kinds with Options.Limit, how large
	// it is. Nil gives each tenant a share of its own and the defaults.
	Limits platform.LimitsFunc
	// Suspensions say whose jobs wait; nil is nobody's.
	Suspensions platform.Suspensions
	// Interval is how often the queue looks for jobs that other processes
	// enqueued; those of this process, and those that it knows will become
	// due, need no look. Zero is one second.
	Interval time.Duration
	// Lease is how long a job stays with a process that is not heard of; it
	// is renewed while the handler runs. Zero is 30 s, the least is 1 s.
	Lease time.Duration
	// Drain is how long Stop lets handlers go on before it ends their
	// contexts, at most half of the time that Stop has; zero is 10 s.
	Drain time.Duration
	// DeadRetention is how long dead jobs are kept; zero is 30 days.
	DeadRetention time.Duration
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
	c.Workers = cmp.Or(c.Workers, 16)
	c.Interval = cmp.Or(c.Interval, time.Second)
	c.Lease = cmp.Or(c.Lease, 30*time.Second)
	c.Drain = cmp.Or(c.Drain, 10*time.Second)
	c.DeadRetention = cmp.Or(c.DeadRetention, 30*24*time.Hour)
}

func (c *Config) validate() error {
	check := setting.For("queue")
	check.Need(c.DB != nil, "DB", "must be set")
	check.Need(c.Workers >= 1 && c.Workers <= 1000, "Workers", "must be 1 to 1,000")
	check.Need(c.TenantWorkers >= 0, "TenantWorkers", "must not be negative")
	check.Need(c.Interval > 0, "Interval", "must be positive")
	check.Need(c.Lease >= time.Second, "Lease", "must be at least 1 s")
	check.Need(c.Drain > 0, "Drain", "must be positive")
	check.Need(c.DeadRetention > 0, "DeadRetention", "must be positive")
	return check.Err()
}

// Queue runs durable jobs. It is made by [New]; its methods are safe for
// concurrent use.
type Queue struct {
	cfg   Config
	log   *slog.Logger
	owner string // names this process's leases

	cross      crossings
	statements *statements
	standings  *standings

	wake       background.Signal
	background background.Group
	handlers   sync.WaitGroup
	lifetime   context.Context //nolint:containedctx // of the handlers, which no call outlives
	cancel     context.CancelCauseFunc

	mu       sync.Mutex
	started  bool
	stopping bool
	kinds    []*kind
	running  map[jobKey]*run
	results  []result // not stored yet
}

// kind is a registered kind of job. What changes is guarded by Queue.mu.
type kind struct {
	name    string
	handle  Handler
	options Options

	running    running
	oneAtATime bool
	// cursor is the tenant that was served last, and turns counts those of
	// targets. Only the batcher uses them.
	cursor platform.TenantID
	turns  int
}

// jobKey is a claim of a job: the same job claimed again has another fence.
type jobKey struct {
	tenant platform.TenantID
	id     string
	fence  int64
}

// New returns a queue. Its work begins with [Queue.Start].
func New(cfg Config) (*Queue, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	q := &Queue{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "queue")),
		owner: cfg.NewID("que"), statements: onSQLite, wake: background.NewSignal(),
		running: make(map[jobKey]*run), standings: newStandings(cfg), cross: newCrossings(cfg.DB),
	}
	if sqltx.OnPostgres(cfg.DB) {
		q.statements = onPostgres
	}
	q.lifetime, q.cancel = context.WithCancelCause(context.Background())
	if cfg.Suspensions != nil {
		cfg.Suspensions.OnSuspension(q.suspensionChanged)
	}
	return q, nil
}

// Follow has the queue take Config.Suspensions and Config.Limits from what is made
// after it, where the configuration says neither: accounts whose mails it sends. A
// nil argument changes nothing. Like [Queue.Handle] it panics after Start.
func (q *Queue) Follow(suspensions platform.Suspensions, limits platform.LimitsFunc) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started {
		panic("queue: Follow after Start")
	}
	if q.cfg.Limits == nil {
		q.cfg.Limits = limits
	}
	if q.cfg.Suspensions == nil && suspensions != nil {
		q.cfg.Suspensions = suspensions
		suspensions.OnSuspension(q.suspensionChanged)
	}
	q.standings = newStandings(q.cfg)
}

// crossings are the tokens for what the queue does across tenants.
type crossings struct{ work, stats, trim, own store.Crossing }

func newCrossings(db store.Relational) crossings {
	of := db.Crossings()
	return crossings{
		work:  of.Grant("queue.work", "claims the jobs of all tenants, renews their leases and stores their results"),
		stats: of.Grant("queue.stats", "counts the jobs of all tenants"),
		trim:  of.Grant("queue.trim", "removes dead jobs that are older than the retention"),
		own:   of.Grant("queue.own", "lists and retries the dead jobs of the installation itself, which are no tenant's"),
	}
}

// Name is "queue".
func (*Queue) Name() string { return "queue" }

// Needs implements [platform.Dependent].
func (q *Queue) Needs() []any { return []any{q.cfg.DB, q.cfg.Suspensions} }

// Handle registers the handler of a kind. Like [net/http.ServeMux.Handle] it
// panics on a mistake of the program: a kind without name or with two handlers,
// a nil handler, negative options, or a call after Start.
func (q *Queue) Handle(kindName string, h Handler, opts Options) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.started:
		panic("queue: Handle after Start")
	case kindName == "" || len(kindName) > maxKind:
		panic("queue: a kind needs a name of 1 to 100 bytes")
	case h == nil:
		panic("queue: nil handler for " + kindName)
	case opts.MaxAttempts < 0 || opts.Timeout < 0 || opts.Concurrency < 0 || opts.TenantConcurrency < 0 ||
		opts.TargetConcurrency < 0 || opts.Backoff < 0 || opts.MaxBackoff < 0:
		panic("queue: negative option for " + kindName)
	}
	if q.kindNamed(kindName) {
		panic("queue: two handlers for " + kindName)
	}
	q.kinds = append(q.kinds, &kind{
		name: kindName, handle: h, options: opts.withDefaults(q.cfg), running: newRunning(),
	})
}

// kindNamed reports whether a handler has the kind. The caller holds mu.
func (q *Queue) kindNamed(name string) bool {
	return slices.ContainsFunc(q.kinds, func(k *kind) bool { return k.name == name })
}

// handles reports whether this process runs jobs of the kind: the others find out
// by themselves.
func (q *Queue) handles(kindName string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.kindNamed(kindName)
}

// Start makes the table and begins to run jobs, first those that an earlier
// process left: once their leases have ended, and at once in a store that is open
// in one process alone ([store.Exclusive]). It must be called once.
func (q *Queue) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if err := q.cfg.DB.Migrate(ctx, store.Migrations{Component: "queue", Files: files}); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if store.IsExclusive(q.cfg.DB) {
		if err := q.takeBack(ctx); err != nil {
			return err
		}
	}
	q.mu.Lock()
	q.started = true
	q.mu.Unlock()
	for _, loop := range []func(context.Context){q.runBatcher, q.trimLoop} {
		q.background.Go(loop) //nolint:contextcheck // it must not end with the context of the start
	}
	return nil
}

// Stop claims no more jobs and lets handlers go on for Config.Drain; then their
// contexts end, and what they do not finish is put back, its attempt not counted.
// A handler that does not return until ctx is done keeps its job for the length
// of the lease; Stop then returns an error that says how many there are.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	q.stopping = true
	q.mu.Unlock()

	drain := q.cfg.Drain
	if deadline, ok := ctx.Deadline(); ok {
		drain = min(drain, time.Until(deadline)/2)
	}
	draining, end := context.WithTimeout(ctx, drain)
	defer end()
	left := background.Wait(draining, &q.handlers)
	q.cancel(ErrStopping)
	if left != nil {
		if left = background.Wait(ctx, &q.handlers); left != nil {
			left = fmt.Errorf("queue: %d handlers did not return: %w", q.handling(), left)
		}
	}
	// The batcher stores the last results before it ends.
	if err := q.background.Stop(ctx); err != nil && left == nil {
		left = fmt.Errorf("queue: %w", err)
	}
	return left
}

// handling returns how many handlers are at work.
func (q *Queue) handling() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, k := range q.kinds {
		n += k.running.total
	}
	return n
}
