package analytics

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
	"github.com/acme/platform/store/retention"
)

//go:embed migrations
var migrationFiles embed.FS

// Config configures a [Service].
type Config struct {
	// DB keeps the events. It must be set.
	DB store.Relational
	// Logger takes faults of the HTTP layer; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// NewID makes the ids of events that come without one; nil is
	// [platform.NewID].
	NewID func(prefix string) string
	// MaxRows is how many events one question may read; zero is 5,000,000,
	// some seconds of one core.
	MaxRows int
	// MaxGroups is how many distinct users, values of a property, or values
	// in one interval a question may hold in memory, some 150 bytes each;
	// zero is 1,000,000.
	MaxGroups int
	// Retention is how long events are kept after they came in, whenever they
	// happened, at least a day; zero is 400 days, and a negative one keeps them
	// for ever. Old ones are removed in small steps, by one replica at a time,
	// within hours.
	Retention time.Duration
	// Limits returns the limits of a tenant; nil is the defaults. Limits.Scans
	// bounds its questions, Limits.EventsPerDay what it sends.
	Limits platform.LimitsFunc
	// Scans bounds the questions of all tenants that read much. The services of
	// a process are given one and the same; nil is one of the service's own.
	Scans *store.Scans
	// MaxPending is how many events may wait for their transaction, over all
	// tenants; beyond it Ingest answers KindUnavailable. Zero is 50,000.
	MaxPending int
}

// Service takes events and answers questions about them. Its methods are safe
// for concurrent use, from the end of Start to the call of Stop.
type Service struct {
	db        store.Relational
	cross     store.Crossing
	now       func() time.Time
	newID     func(prefix string) string
	maxRows   int
	maxGroups int
	log       *slog.Logger
	retention time.Duration
	limits    platform.LimitsFunc
	scans     *store.Scans
	batches   *batcher
	api       *rest.API
	loops     background.Group
	removal   *retention.Removal
}

var (
	_ platform.Starter   = (*Service)(nil)
	_ platform.Stopper   = (*Service)(nil)
	_ platform.Describer = (*Service)(nil)
	_ platform.Router    = (*Service)(nil)
)

// New makes a service. It touches no store before [Service.Start].
func New(cfg Config) (*Service, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = platform.NewID
	}
	cfg.MaxRows = cmp.Or(cfg.MaxRows, 5_000_000)
	cfg.MaxGroups = cmp.Or(cfg.MaxGroups, 1_000_000)
	cfg.MaxPending = cmp.Or(cfg.MaxPending, 50_000)
	cfg.Retention = cmp.Or(cfg.Retention, defaultRetention)
	c := setting.For("analytics")
	c.Need(cfg.DB != nil, "DB", "must be set")
	c.Need(cfg.MaxRows > 0, "MaxRows", "must not be negative")
	c.Need(cfg.MaxGroups > 0, "MaxGroups", "must not be negative")
	c.Need(cfg.MaxPending >= MaxEvents, "MaxPending", fmt.Sprintf("must be at least %d, one full request", MaxEvents))
	c.Need(cfg.Retention < 0 || cfg.Retention >= leastRetention, "Retention", "must be at least a day, or negative for none")
	if err := c.Err(); err != nil {
		return nil, err
	}
	if cfg.Scans == nil {
		var err error
		if cfg.Scans, err = store.NewScans(store.ScanConfig{}); err != nil {
			return nil, err
		}
	}
	s := &Service{
		limits: cfg.Limits, scans: cfg.Scans, log: cfg.Logger, retention: cfg.Retention,
		db: cfg.DB, now: cfg.Now, newID: cfg.NewID,
		cross:   cfg.DB.Crossings().Grant("analytics.retention", "finds the next tenant with events that may be past their time"),
		maxRows: cfg.MaxRows, maxGroups: cfg.MaxGroups,
	}
	s.batches = newBatcher(cfg.MaxPending, s.write)
	s.removal = retention.New(retention.Config{DB: s.db, Logger: s.log, Now: s.now}, s.tasks()...)
	s.api = newAPI(s, cfg.Logger)
	return s, nil
}

// Name returns "analytics".
func (s *Service) Name() string { return "analytics" }

// Needs implements [platform.Dependent].
func (s *Service) Needs() []any { return []any{s.db} }

// Start brings the tables to their newest form, and begins to remove events that
// have been kept for long enough.
func (s *Service) Start(ctx context.Context) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err == nil {
		err = s.db.Migrate(ctx, store.Migrations{Component: "analytics", Files: files})
	}
	if err != nil {
		return fmt.Errorf("analytics: migrate: %w", err)
	}
	if err := quota.Migrate(ctx, s.db); err != nil {
		return err
	}
	if err := retention.Migrate(ctx, s.db); err != nil {
		return err
	}
	s.loops.Go(s.removal.Run) //nolint:contextcheck // it outlives the start
	return nil
}

// Stop refuses new events and waits until those that were taken are committed
// or refused, at most until ctx is done.
func (s *Service) Stop(ctx context.Context) error {
	if err := errors.Join(s.loops.Stop(ctx), s.batches.stop(ctx)); err != nil {
		return fmt.Errorf("analytics: stop: %w", err)
	}
	return nil
}

// Routes returns the HTTP operations.
func (s *Service) Routes() []platform.Route { return s.api.Routes() }

// OpenAPI describes the HTTP operations.
func (s *Service) OpenAPI() ([]byte, error) { return s.api.OpenAPI() }
