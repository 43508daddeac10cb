package queue

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
)

// Config configures a [Queue]. DB is required.
type Config struct {
	// DB holds the jobs, in tables of the queue's own.
	DB store.Relational
	// Logger takes failures of jobs and of the store; nil is silence.
	Logger *slog.Logger
	// Now is the clock for due times and leases; nil is time.Now.
	Now func() time.Time
	// NewID makes ids of jobs; nil is platform.NewID.
	NewID func(prefix string) string
	// Rand returns numbers evenly from [0, 1) for the jitter; nil is
	// math/rand/v2. It is called by one goroutine at a time.
	Rand func() float64
	// Workers is the most jobs that run at once; zero is 16.
	Workers int
	// TenantWorkers is the most jobs of one tenant that run at once, of all
	// kinds together; zero is three quarters of Workers, so that one tenant's
	// slow jobs leave room for the others'.
	TenantWorkers int
	// Interval is how often the queue looks for jobs that other processes
	// enqueued; those of this process and those that become due need no look.
	// Zero is one second.
	Interval time.Duration
	// Lease is how long a job stays with a process that is not heard of; it
	// is renewed while the handler runs. Zero is 30 s, the least is 1 s.
	Lease time.Duration
	// Drain is how long Stop lets handlers go on before it ends their
	// contexts, at most half the time that Stop has; zero is 10 s.
	Drain time.Duration
	// DeadRetention is how long dead jobs are kept; zero is 30 days.
	DeadRetention time.Duration
}

// Queue runs durable jobs. It is made by [New]; its methods are safe for
// concurrent use, but Handle must come before Start.
type Queue struct {
	cfg Config
	log *slog.Logger
}

// New returns a queue; [Queue.Start] begins its work.
func New(cfg Config) (*Queue, error) {
	check := setting.For("queue")
	check.Need(cfg.DB != nil, "DB", "must be set")
	if err := check.Err(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = platform.NewID
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	return &Queue{cfg: cfg, log: cfg.Logger}, nil
}

// Name is "queue".
func (*Queue) Name() string { return "queue" }

// Handle registers the handler of a kind.
func (q *Queue) Handle(kind string, h Handler, opts Options) {}

// Enqueue adds a job in the caller's transaction.
func (q *Queue) Enqueue(ctx context.Context, tx store.Tx, job Job) (string, error) { return "", nil }

// Finish marks the job as done in the handler's own transaction.
func Finish(ctx context.Context, tx store.Tx, job Job) error { return nil }

// Start starts the workers.
func (q *Queue) Start(ctx context.Context) error { return nil }

// Stop drains.
func (q *Queue) Stop(ctx context.Context) error { return nil }

type claim struct{}
