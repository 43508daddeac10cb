package standard

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// Parts are what a platform is made of, for calls from Go and for the modules of
// the host.
type Parts struct {
	// DB, Documents, Cache, PubSub and Events are the stores.
	DB        store.Relational
	Documents store.Documents
	Cache     store.Cache
	PubSub    store.PubSub
	Events    store.Events
	// Sealer encrypts secrets of the modules that are stored.
	Sealer store.Sealer
	// Jobs runs durable work in the background. A module registers its handlers
	// when it is made.
	Jobs *queue.Queue
	// Accounts are the people; Users is package user, and nil where the host
	// has accounts of its own.
	Accounts Accounts
	Users    *user.Service
	// Records, Metrics and Messages are the other services.
	Records  *data.Service
	Metrics  *analytics.Service
	Messages *notify.Service
	// Limits and Scans are for modules that bound what a tenant does.
	Limits platform.LimitsFunc
	Scans  *store.Scans
	// Logger, Now and NewID are those of all parts.
	Logger *slog.Logger
	Now    func() time.Time
	NewID  func(prefix string) string
}

// Platform is the whole platform. It is made by [New] or [Open]; it serves HTTP,
// and its methods are safe for concurrent use.
type Platform struct {
	Parts
	// Gateway serves the operations of all parts.
	Gateway *gateway.Gateway

	modules *platform.Platform
}

var _ http.Handler = (*Platform)(nil)

// Open is [New] and [Platform.Start]. The caller must call [Platform.Close].
func Open(ctx context.Context, cfg Config) (*Platform, error) {
	p, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := p.Start(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// New assembles the platform. It does no I/O: a setting that is wrong, and a
// module that lacks what it needs, is an error here; a store that does not answer
// is one of [Platform.Start].
func New(cfg Config) (*Platform, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := openStores(cfg)
	if err != nil {
		return nil, err
	}
	p := &Platform{Parts: Parts{
		DB: s.db, Documents: s.documents, Cache: s.cache, PubSub: s.pubsub, Events: s.events, Sealer: s.sealer,
		Limits: cfg.Limits, Scans: s.scans, Logger: cfg.Logger, Now: cfg.Now, NewID: cfg.NewID,
	}}
	if err := p.assemble(cfg, s); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Platform) assemble(cfg Config, s *stores) error {
	for _, step := range []func(Config, *stores) error{
		p.makeJobs, p.makeAccounts, p.makeMessages, p.makeRecords, p.makeMetrics,
	} {
		if err := step(cfg, s); err != nil {
			return err
		}
	}
	services := []platform.Module{p.Records, p.Metrics, p.Messages}
	if m, ok := itself(p.Accounts).(platform.Module); ok {
		services = append([]platform.Module{m}, services...)
	}
	if cfg.Modules != nil {
		own, err := cfg.Modules(p.Parts)
		if err != nil {
			return named("Modules", err)
		}
		services = append(services, own...)
	}
	if err := p.makeGateway(cfg, services); err != nil {
		return err
	}
	// What others stand on starts first and stops last; the jobs start after
	// the modules whose handlers they call.
	all := append(append(s.modules, services...), p.Jobs, p.Gateway)
	var err error
	p.modules, err = platform.New(platform.Config{Logger: cfg.Logger, CheckTimeout: cfg.CheckTimeout}, all...)
	return err
}

// Start connects the stores, brings their tables to the newest form, and begins
// the work in the background. It returns when the platform serves. After an
// error nothing is left open, and the Platform cannot be started again: where a
// store did not answer ([platform.ErrUnavailable]), make a new one.
func (p *Platform) Start(ctx context.Context) error { return p.modules.Start(ctx) }

// Explain says what was assembled, a line for each module in the order of their
// start: over which stores, with which limits. It holds no secret.
func (p *Platform) Explain() string { return p.modules.Explain() }

// Close ends the streams and the work in the background, and closes the stores,
// each at most until ctx is done. The host's server is stopped before.
func (p *Platform) Close(ctx context.Context) error {
	p.EndStreams()
	return p.modules.Stop(ctx)
}

// EndStreams ends answers that have no end of their own. It is for
// [http.Server.RegisterOnShutdown]: a server that stops waits for its requests,
// and these would go on.
func (p *Platform) EndStreams() {
	p.Messages.EndStreams()
	p.Gateway.EndStreams()
}

// ServeHTTP serves one request. The path must be without Gateway.BasePath: the
// host strips it, as with [http.StripPrefix].
func (p *Platform) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.Gateway.ServeHTTP(w, r) }

// Health asks every part.
func (p *Platform) Health(ctx context.Context) platform.Health { return p.modules.Health(ctx) }
