package user

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
	"github.com/acme/platform/store/retention"
)

//go:embed migrations
var migrations embed.FS

// Service is accounts, organizations, access and its audit. It is made by
// [New]; its methods are safe for concurrent use after [Service.Start].
type Service struct {
	cfg   Config
	db    store.Relational
	cross crossings
	log   *slog.Logger
	now   func() time.Time
	newID func(string) string

	roles       map[string][]string // built-in and the host's; read only
	passwords   *hasher
	throttle    throttle
	keys        *keyring
	credentials *credentials
	changes     *versions
	suspensions *suspensions
	policies    *policies
	plain       *index // of organizations without rules of their own
	freshness   freshness
	watchers    policyWatchers
	failures    chan lateRecord
	late        late
	usage       keyUsage
	uses        grantUses
	cookieName  string
	// How much of the audit one call looks at, and checks; tests have less.
	auditScan, verifyBatches int
	exportReach              int64
	tasks                    background.Group
	repeats                  *idempotency.Keys
	removal                  *retention.Removal // of old audit records
	api                      *rest.API
}

// New makes a service. It does no I/O.
func New(cfg Config) (*Service, error) {
	ownClock := cfg.Now != nil
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, db: cfg.DB, log: cfg.Logger, now: cfg.Now, newID: cfg.NewID,
		cross:       newCrossings(cfg.DB),
		roles:       mergeRoles(cfg.Roles),
		passwords:   newHasher(cfg.PasswordConcurrency, cfg.PasswordQueue, cfg.PasswordMemory/1024),
		throttle:    newThrottle(cfg.Cache),
		keys:        newKeyring(cfg),
		credentials: newCredentialCache(),
		changes:     newVersions(),
		suspensions: newSuspensions(),
		policies:    newPolicies(),
		freshness:   freshness{now: cfg.Now, ttl: cfg.VerifyTTL.Microseconds(), exact: ownClock},
		failures:    make(chan lateRecord, lateQueue),
		cookieName:  cfg.cookieName(),
		auditScan:   auditScan, verifyBatches: verifyBatches, exportReach: exportReach,
	}
	s.plain = &index{shared: compileShared(s.roles)}
	var err error
	s.throttle.sprayed = s.noteSpraying
	s.repeats, err = idempotency.New(idempotency.Config{DB: cfg.DB, Limits: cfg.Limits, Logger: cfg.Logger, Now: cfg.Now})
	if err != nil {
		return nil, err
	}
	s.removal = s.backgroundTasks()
	s.usage.last = make(map[keyRef]time.Time)
	s.api = s.routes()
	if cfg.Mail != nil {
		s.handleMails()
	}
	return s, nil
}

// Name returns "user".
func (s *Service) Name() string { return "user" }

// Needs implements [platform.Dependent].
func (s *Service) Needs() []any {
	needs := []any{s.cfg.DB, s.cfg.Sealer, s.cfg.Cache, s.cfg.PubSub}
	if s.cfg.Jobs != nil {
		needs = append(needs, s.cfg.Jobs)
	}
	return needs
}

// Start brings the tables to their newest form, makes the first signing key
// and begins the work in the background.
func (s *Service) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is embedded
		return err
	}
	if err := s.db.Migrate(ctx, store.Migrations{Component: "user", Files: files}); err != nil {
		return err
	}
	if err := s.keys.start(ctx); err != nil {
		return err
	}
	if err := s.repeats.Start(ctx); err != nil {
		return err
	}
	if s.cfg.PubSub != nil {
		if err := s.startListening(ctx); err != nil {
			return err
		}
	}
	if s.cfg.AuditRetention.least() != 0 {
		if err := retention.Migrate(ctx, s.db); err != nil {
			return err
		}
		s.tasks.Go(s.removal.Run) //nolint:contextcheck // the same
	}
	if s.freshness.noting() {
		s.tasks.Go(s.freshness.note) //nolint:contextcheck // it outlives the start
	}
	s.tasks.Go(s.maintain) //nolint:contextcheck // it outlives the start
	return nil
}

// Stop ends the work in the background and writes down what it still holds.
func (s *Service) Stop(ctx context.Context) error {
	if err := errors.Join(s.tasks.Stop(ctx), s.repeats.Stop(ctx)); err != nil {
		return err
	}
	s.writeLate(ctx, true)
	return errors.Join(s.writeUsage(ctx), s.writeUses(ctx))
}

// maintainEvery is how often last-used times are written, keys looked after
// and ended sessions removed.
const maintainEvery = 30 * time.Second

// maintain does what needs no request to wait for it.
func (s *Service) maintain(ctx context.Context) {
	ticker := time.NewTicker(maintainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-s.failures:
			s.writeFailure(ctx, f)
		case <-ticker.C:
			s.endWindow(ctx, false)
			for name, task := range map[string]func(context.Context) error{
				"api key usage": s.writeUsage, "session use": s.writeUses, "signing keys": s.keys.maintain, "ended sessions": s.purgeSessions,
				"devices": s.purgeDevices, "half-done sign-ins": s.purgePending, "mails": s.purgeMails,
				"erasures of the audit": s.eraseAudits,
			} {
				if err := task(ctx); err != nil && ctx.Err() == nil {
					s.log.ErrorContext(ctx, "user: maintenance failed", slog.String("task", name), slog.Any("error", err))
				}
			}
		}
	}
}

// Routes returns the operations over HTTP.
func (s *Service) Routes() []platform.Route {
	routes := slices.Clone(s.api.Routes())
	for i := range routes {
		routes[i].Handler = withRequest(routes[i].Handler)
	}
	return routes
}

// OpenAPI describes the operations.
func (s *Service) OpenAPI() ([]byte, error) { return s.api.OpenAPI() }
