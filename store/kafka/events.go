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

	lifecycle sync.Mutex      // held by Start
	started   chan struct{}   // closed when the topics are there, and then these are:
	dialer    *dialer         // what Stop closes is read under mu
	client    *kafka.Client   //
	routes    *routes         //
	maxBatch  int             // the most bytes that the topic takes in one batch
	lifetime  context.Context //nolint:containedctx // it is the stream's own
	end       context.CancelFunc

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
		started: make(chan struct{}), groups: make(map[string]*groupCounters),
	}
	e.lifetime, e.end = context.WithCancel(context.Background())
	return e, nil
}

// Name is "kafka".
func (*Events) Name() string { return "kafka" }

// Start makes the topics that are missing and checks that they keep what the
// stream promises, as far as the cluster lets it be seen; what cannot be seen is
// logged. The modules that consume are started after it. A cluster that is
// unavailable is an error of KindUnavailable; any other error says what is to be
// changed. A Start that fails leaves no connection open and may be repeated; on a
// stream that is started it does nothing.
func (e *Events) Start(ctx context.Context) error {
	e.lifecycle.Lock()
	defer e.lifecycle.Unlock()
	select {
	case <-e.started:
		return nil
	default:
	}
	if !e.connect() {
		return errStopped
	}
	maxBatch, err := e.prepare(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.stopped:
		err = errStopped
	case err != nil && passing(err):
		err = failed(ctx, "start", err)
	case err != nil:
		err = fmt.Errorf("kafka: start: %w", err)
	}
	if err != nil {
		e.disconnect()
		return err
	}
	e.maxBatch = maxBatch
	close(e.started)
	return nil
}

// connect makes the client, whose connections are opened when they are needed.
// It reports whether it did: not after Stop.
func (e *Events) connect() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.dialer = newDialer(e.cfg.Dial)
	network, disconnect := context.WithCancel(context.Background())
	transport := &kafka.Transport{
		Context: network,
		Dial:    e.dialer.DialContext, ClientID: e.cfg.ClientID, TLS: e.cfg.TLS, SASL: e.cfg.SASL,
		// Of a large cluster only what is used here; and a new leader, or a
		// new partition, is known within two seconds.
		MetadataTopics: []string{e.cfg.Topic, e.deadTopic}, MetadataTTL: 2 * time.Second,
	}
	e.client = &kafka.Client{Addr: kafka.TCP(e.cfg.Brokers...), Timeout: e.cfg.Timeout, Transport: transport}
	e.routes = &routes{transport: transport, disconnect: disconnect}
	return true
}

// disconnect closes the connections, with e.mu held. It may be called again.
func (e *Events) disconnect() {
	if e.routes != nil {
		e.routes.close()
		e.dialer.cutAll()
	}
}

// Stop ends all Consume calls, each once its handler has returned, waits for
// them, and closes the connections. Handlers that have not returned when ctx is
// done are left behind, unable to finish anything. A stream that was never
// started is stopped by it as well.
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
	e.mu.Lock()
	e.disconnect()
	e.mu.Unlock()
	return errors.Join(err, background.Wait(ctx, &e.leaving))
}

// Optional implements [platform.Optional]: without Kafka events wait in the outbox
// and calls succeed.
func (e *Events) Optional() bool { return true }

// Check reports whether every partition has a leader that answers.
func (e *Events) Check(ctx context.Context) error {
	if err := e.ready(); err != nil {
		return err
	}
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
		return errNotStarted
	}
	if e.lifetime.Err() != nil {
		return unavailable("use", errStopped)
	}
	return nil
}
