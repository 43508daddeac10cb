package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// Events is a durable stream in a topic. It is made by [New]; its methods are
// safe for concurrent use.
type Events struct {
	cfg       Config
	log       *slog.Logger
	deadTopic string
	// backoff is the pause before a failed batch, or a failed call, is tried again.
	backoff background.Backoff

	dialer *dialer
	client *kafka.Client
	routes routes

	started  chan struct{}   // closed when the topics are there, and then
	maxBatch int             // is the most bytes that the topic takes in one batch
	lifetime context.Context //nolint:containedctx // it is the stream's own
	end      context.CancelFunc

	mu        sync.Mutex
	stopped   bool
	consuming sync.WaitGroup // Consume calls
	leaving   sync.WaitGroup // of groups, after the calls
	groups    map[string]*groupCounters
}

var _ store.Events = (*Events)(nil)

// New returns a stream. It connects to nothing before [Events.Start].
func New(cfg Config) (*Events, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Events{
		cfg: cfg, log: cfg.Logger.With(slog.String("module", "kafka")), deadTopic: cfg.Topic + ".dead",
		backoff: background.Backoff{Min: cfg.MinBackoff, Max: cfg.MaxBackoff, Rand: cfg.Rand},
		dialer:  newDialer(cfg.Dial), started: make(chan struct{}), groups: make(map[string]*groupCounters),
	}
	network, disconnect := context.WithCancel(context.Background())
	transport := &kafka.Transport{
		Context: network,
		Dial:    e.dialer.DialContext, ClientID: cfg.ClientID, TLS: cfg.TLS, SASL: cfg.SASL,
		// Of a large cluster only what is used here; and a new leader, or a
		// new partition, is known within two seconds.
		MetadataTopics: []string{cfg.Topic, e.deadTopic}, MetadataTTL: 2 * time.Second,
	}
	e.client = &kafka.Client{Addr: kafka.TCP(cfg.Brokers...), Timeout: cfg.Timeout, Transport: transport}
	e.routes.transport, e.routes.disconnect = transport, disconnect
	e.lifetime, e.end = context.WithCancel(context.Background())
	return e, nil
}

// Name is "kafka".
func (*Events) Name() string { return "kafka" }

// Start makes the topics that are missing and checks that they keep what the
// stream promises, as far as the cluster lets it be seen; what cannot be seen is
// logged. It must be called once, before the modules that consume are started.
// A cluster that is away is an error of KindUnavailable; any other error says what
// is to be changed.
func (e *Events) Start(ctx context.Context) error {
	if e.lifetime.Err() != nil {
		return errStopped
	}
	maxBatch, err := e.prepare(ctx)
	switch {
	case err != nil && passing(err):
		return failed(ctx, "start", err)
	case err != nil:
		return fmt.Errorf("kafka: start: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errStopped
	}
	e.maxBatch = maxBatch
	close(e.started)
	return nil
}

// Stop ends all Consume calls, each once its handler has returned, waits for
// them, and closes the connections. Handlers that have not returned when ctx is
// done are left behind, unable to finish anything.
func (e *Events) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.end()
	err := background.Wait(ctx, &e.consuming)
	if err != nil {
		err = fmt.Errorf("kafka: a handler did not return: %w", err)
	}
	// Who was about to join a group can leave it only then, which may take as
	// long as a rebalance does.
	patience, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	_ = background.Wait(patience, &e.leaving)
	e.routes.close()
	e.dialer.cutAll()
	return errors.Join(err, background.Wait(ctx, &e.leaving))
}

// Optional implements [platform.Optional]: without Kafka events wait in the outbox
// and calls succeed.
func (e *Events) Optional() bool { return true }

// Check reports whether every partition has a leader that answers.
func (e *Events) Check(ctx context.Context) error {
	partitions, err := e.partitions(ctx, e.cfg.Topic)
	if err == nil {
		_, err = e.ends(ctx, e.cfg.Topic, partitions)
	}
	if err != nil {
		return failed(ctx, "check", err)
	}
	return nil
}

// join counts a Consume call in.
func (e *Events) join(group string) (*groupCounters, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil, errStopped
	}
	e.consuming.Add(1)
	c := e.groups[group]
	if c == nil {
		c = new(groupCounters)
		e.groups[group] = c
	}
	return c, nil
}

// ready reports whether the stream can be used, as an error for a caller.
func (e *Events) ready() error {
	select {
	case <-e.started:
	default:
		return unavailable("use", errors.New("not started"))
	}
	if e.lifetime.Err() != nil {
		return unavailable("use", errStopped)
	}
	return nil
}
