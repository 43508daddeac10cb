package notify

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
	"github.com/acme/platform/store/quota"
	"github.com/acme/platform/store/retention"
)

//go:embed migrations
var migrations embed.FS

// Group is the consumer group under which the service reads the stream.
const Group = "notify"

// Service is the messages of all tenants. It is made by [New]; its methods are
// safe for concurrent use.
type Service struct {
	cfg      Config
	log      *slog.Logger
	db       store.Relational
	cross    crossings
	api      *rest.API
	rulesets *rulesets
	people   *directoryCache
	spent    *spentDays
	client   *http.Client
	live     *live // nil without a PubSub

	group   background.Group
	removal *retention.Removal
	repeats *idempotency.Keys
	last    atomic.Int64 // the newest creation time given, in microseconds
	reading atomic.Pointer[error]
}

// New returns a service and registers its jobs with the queue, which must not
// have been started. It does no I/O.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, log: cfg.Logger, db: cfg.DB, cross: newCrossings(cfg.DB),
		people: newDirectoryCache(cfg.Directory, cfg.Now),
		client: newHTTPClient(cfg.AllowPrivateNetworks),
	}
	if s.rulesets, err = newRulesets(cfg); err != nil {
		return nil, err
	}
	if s.spent, err = newSpentDays(); err != nil {
		return nil, err
	}
	if cfg.PubSub != nil {
		s.live = newLive(cfg.PubSub, cfg.MaxStreams, cfg.Logger)
	}
	s.repeats, err = idempotency.New(idempotency.Config{DB: s.db, Limits: cfg.Limits, Logger: cfg.Logger, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	s.removal = retention.New(retention.Config{DB: s.db, Logger: s.log, Now: cfg.Now}, s.tasks()...)
	s.handleJobs()
	if suspensions := cfg.Queue.Suspensions(); s.live != nil && suspensions != nil {
		suspensions.OnSuspension(s.suspensionChanged)
	}
	s.register()
	return s, nil
}

// Name is "notify".
func (*Service) Name() string { return "notify" }

// Needs implements [platform.Dependent].
func (s *Service) Needs() []any {
	return []any{s.cfg.DB, s.cfg.Sealer, s.cfg.Events, s.cfg.Queue, s.cfg.PubSub}
}

// Routes returns the HTTP operations.
func (s *Service) Routes() []platform.Route { return s.api.Routes() }

// OpenAPI describes them.
func (s *Service) OpenAPI() ([]byte, error) { return s.api.OpenAPI() }

// Start migrates the tables and begins to read the stream.
func (s *Service) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is embedded
		return err
	}
	if err := s.db.Migrate(ctx, store.Migrations{Component: "notify", Files: files}); err != nil {
		return err
	}
	if err := quota.Migrate(ctx, s.db); err != nil {
		return err
	}
	if err := s.repeats.Start(ctx); err != nil { // it makes the table of retention, too
		return err
	}
	s.group.Go(s.removal.Run) //nolint:contextcheck // it outlives the start
	s.group.Go(s.read)        //nolint:contextcheck // it outlives the start
	if s.live != nil {
		s.live.start() //nolint:contextcheck // it outlives the start
	}
	return nil
}

// EndStreams ends the live streams and refuses new ones. A host calls it when its
// server begins to shut down ([http.Server.RegisterOnShutdown]), which would wait
// for them.
func (s *Service) EndStreams() {
	if s.live != nil {
		s.live.end()
	}
}

// Stop ends the reading of the stream, and the live streams. Deliveries end with
// the queue.
func (s *Service) Stop(ctx context.Context) error {
	err := errors.Join(s.group.Stop(ctx), s.repeats.Stop(ctx))
	if s.live != nil {
		err = errors.Join(err, s.live.stop(ctx))
	}
	s.client.CloseIdleConnections()
	return err
}

// Check reports why the stream cannot be read at present.
func (s *Service) Check(context.Context) error {
	if err := s.reading.Load(); err != nil {
		return *err
	}
	return nil
}

// read consumes until the service stops. A stream that failed for good is
// tried again: until it answers, Check tells.
func (s *Service) read(ctx context.Context) {
	const least, most = time.Second, time.Minute
	pause := least
	for ctx.Err() == nil {
		began := s.cfg.Now()
		err := s.cfg.Events.Consume(ctx, Group, func(ctx context.Context, batch []platform.Event) error {
			s.reading.Store(nil)
			return s.consume(ctx, batch)
		})
		if ctx.Err() != nil || err == nil {
			return
		}
		s.reading.Store(&err)
		s.log.ErrorContext(ctx, "reading events failed", slog.String("group", Group), slog.Any("error", err))
		if s.cfg.Now().Sub(began) > most {
			pause = least
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, most)
		}
	}
}

// stamp returns the present in microseconds, later than every stamp before:
// entries of one batch keep the order of their events.
func (s *Service) stamp() int64 {
	now := s.cfg.Now().UnixMicro()
	for {
		last := s.last.Load()
		next := max(now, last+1)
		if s.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// micros turns a stored time into one for callers; a zero is no time.
func micros(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMicro(v).UTC()
}
