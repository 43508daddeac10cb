package platform

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Module is a part of a platform: a store, a service, a gateway, or a part of
// the host's own. What more it can do it says by implementing [Starter],
// [Stopper], [Checker], [Optional], [Dependent], [Router], [Describer],
// [Explainer] or [HealthReporter].
type Module interface {
	// Name is unique in a platform, lower case, stable: it appears in logs,
	// in health reports and in errors.
	Name() string
}

// Starter is a [Module] with work in the background or to do at start.
type Starter interface {
	// Start returns once the module works. The context bounds the start only:
	// what goes on in the background must not end with it.
	Start(ctx context.Context) error
}

// Stopper is a [Module] that has something to end.
type Stopper interface {
	// Stop ends what Start began and waits for it, at most until ctx is done.
	// It is called once, also where Start failed.
	Stop(ctx context.Context) error
}

// Checker is a [Module] whose health can be asked.
type Checker interface {
	// Check returns nil where the module can serve. It is called often and
	// must honour ctx.
	Check(ctx context.Context) error
}

// Optional is a [Checker] without which the platform still serves, if slower or
// later: a failed check of it is reported and leaves the platform ready. A
// cache whose absence costs time is one, and a stream that events wait for.
type Optional interface {
	Checker
	// Optional reports whether that is so; it does not change.
	Optional() bool
}

// Router is a [Module] that serves HTTP.
type Router interface {
	Module
	// Routes returns the operations. The result does not change after the
	// module was made.
	Routes() []Route
}

// Describer is a [Router] that describes its routes.
type Describer interface {
	// OpenAPI returns an OpenAPI 3.1 document in JSON with the paths of
	// Routes and the components they refer to.
	OpenAPI() ([]byte, error)
}

// HealthReporter is a [Module] that tells others how the platform is, such as
// a gateway with a route for it. [New] hands it the function.
type HealthReporter interface {
	ReportHealth(health func(context.Context) Health)
}

// Config configures a [Platform]. The zero value is valid.
type Config struct {
	// Logger takes what happens at start and stop; nil is silence.
	Logger *slog.Logger
	// CheckTimeout bounds one health check of one module; zero is 2 s.
	CheckTimeout time.Duration
	// Elsewhere are modules that the others need (see [Dependent]) and that the
	// host starts and stops itself.
	Elsewhere []Module
}

// Platform is a set of modules with one lifecycle. It is made by [New]; its
// methods are safe for concurrent use.
type Platform struct {
	log          *slog.Logger
	checkTimeout time.Duration
	modules      []Module

	mu    sync.Mutex
	state state

	starting sync.Mutex // held while modules are started or stopped
	started  int        // how many modules, from the front, Start was called on

	stopped chan struct{} // closed when Stop has ended, and then
	stopErr error         // is what it returned
}

type state uint8

const (
	stateNew state = iota
	stateStarting
	stateStarted
	stateStopped
)

// ErrStopped is returned by [Platform.Start] once [Platform.Stop] was called.
var ErrStopped = errors.New("platform: stopped")

// New makes a platform of modules, which [Platform.Start] starts in the given
// order: what others need comes first. It fails on a nil module, on two of one
// name, and on a set that lacks what one of its modules needs.
func New(cfg Config, modules ...Module) (*Platform, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.CheckTimeout <= 0 {
		cfg.CheckTimeout = 2 * time.Second
	}
	seen := make(map[string]bool, len(modules))
	for i, m := range modules {
		if m == nil {
			return nil, fmt.Errorf("platform: module %d is nil", i)
		}
		name := m.Name()
		if name == "" {
			return nil, fmt.Errorf("platform: module %d (%T) has no name", i, m)
		}
		if seen[name] {
			return nil, fmt.Errorf("platform: two modules are called %q", name)
		}
		seen[name] = true
	}
	if err := checkNeeds(modules, cfg.Elsewhere); err != nil {
		return nil, err
	}
	p := &Platform{
		log: cfg.Logger, checkTimeout: cfg.CheckTimeout,
		modules: modules, stopped: make(chan struct{}),
	}
	for _, m := range modules {
		if r, ok := m.(HealthReporter); ok {
			r.ReportHealth(p.Health)
		}
	}
	return p, nil
}

// Start starts the modules one after the other and returns when all have
// started. If one fails, or ctx ends, those that were started are stopped in
// reverse and the error names the module. Start works once.
func (p *Platform) Start(ctx context.Context) error {
	p.mu.Lock()
	switch p.state {
	case stateStopped:
		p.mu.Unlock()
		return ErrStopped
	case stateStarting, stateStarted:
		p.mu.Unlock()
		return errors.New("platform: already started")
	case stateNew:
	}
	p.state = stateStarting
	p.mu.Unlock()

	if err := p.startAll(ctx); err != nil {
		if errors.Is(err, ErrStopped) {
			return err
		}
		// The caller's context may be what ended: stopping must not.
		return errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
	}
	p.log.InfoContext(ctx, "platform started", slog.Int("modules", len(p.modules)))
	return nil
}

// startAll holds starting, so that a Stop meanwhile waits for the module that
// is being started and then finds it among the started.
func (p *Platform) startAll(ctx context.Context) error {
	p.starting.Lock()
	defer p.starting.Unlock()
	for _, m := range p.modules {
		if p.inState(stateStopped) {
			return ErrStopped
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("platform: start %s: %w", m.Name(), err)
		}
		p.started++
		if s, ok := m.(Starter); ok {
			if err := s.Start(ctx); err != nil {
				return fmt.Errorf("platform: start %s: %w", m.Name(), err)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateStopped {
		return ErrStopped
	}
	p.state = stateStarted
	return nil
}

func (p *Platform) inState(s state) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == s
}

// Stop stops the started modules in reverse order, each at most until ctx is
// done, and returns their errors joined. Every call waits for the first to
// end and returns the same; Stop before Start makes Start fail.
func (p *Platform) Stop(ctx context.Context) error {
	p.mu.Lock()
	if p.state == stateStopped {
		p.mu.Unlock()
		select {
		case <-p.stopped:
			return p.stopErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.state = stateStopped
	p.mu.Unlock()

	p.starting.Lock()
	defer p.starting.Unlock()
	var errs []error
	for _, m := range slices.Backward(p.modules[:p.started]) {
		if s, ok := m.(Stopper); ok {
			if err := s.Stop(ctx); err != nil {
				errs = append(errs, fmt.Errorf("platform: stop %s: %w", m.Name(), err))
			}
		}
	}
	p.stopErr = errors.Join(errs...)
	close(p.stopped)
	p.log.InfoContext(ctx, "platform stopped", slog.Int("errors", len(errs)))
	return p.stopErr
}
