package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
	"github.com/acme/platform/store"
)

// heartbeats are sent ten times in a session, so that a consumer notices soon
// when another joins or leaves.
const heartbeatsPerSession = 10

// leaveTime is how long Consume waits to have left its group. One that was about
// to join can take longer, and does so behind the caller's back.
const leaveTime = time.Second

// Consume is as [store.Events] says; package kafka tells the rest. It may be
// called before Start, for which it then waits. The handler is called for one
// batch at a time unless Config.Concurrency is more. It returns an error where
// the group has no name, or one of more than 100 bytes, and after Stop.
func (e *Events) Consume(ctx context.Context, group string, h store.EventHandler) error {
	if group == "" || len(group) > 100 {
		return fmt.Errorf("kafka: a group needs a name of 1 to 100 bytes")
	}
	counters, err := e.join(group)
	if err != nil {
		return err
	}
	defer e.consuming.Done()

	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.lifetime, cancel)() //nolint:contextcheck // two contexts end it

	select {
	case <-e.started:
		c := &consumer{
			Events: e, group: group, id: e.groupID(group), handle: h, counters: counters,
			slots:   make(chan struct{}, e.cfg.Concurrency),
			cluster: delivery.Trouble{Log: e.log, What: "the cluster fails", Group: group},
			handler: delivery.Trouble{Log: e.log, What: "the handler fails", Group: group},
		}
		if ctx.Err() == nil {
			err = c.run(ctx)
		}
	case <-ctx.Done():
	}
	if err == nil && outer.Err() == nil {
		return errStopped
	}
	return err
}

// groupID is the name of a group in the cluster, where topics and other programs
// have groups too. A topic's name has no slash.
func (e *Events) groupID(group string) string { return e.cfg.Topic + "/" + group }

// consumer is one call of Consume.
type consumer struct {
	*Events
	group, id string
	handle    store.EventHandler
	counters  *groupCounters
	slots     chan struct{} // one for each handler that may be at work
	cluster   delivery.Trouble
	handler   delivery.Trouble
}

// run is a member of the group until ctx is done.
func (c *consumer) run(ctx context.Context) error {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: c.id, Brokers: c.cfg.Brokers, Topics: []string{c.cfg.Topic},
		Dialer: &kafka.Dialer{
			ClientID: c.cfg.ClientID, DialFunc: c.dialer.DialContext, Timeout: c.cfg.Timeout,
			TLS: c.cfg.TLS, SASLMechanism: c.cfg.SASL,
		},
		GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		// A topic that grows is shared again; otherwise nobody reads the new partitions.
		WatchPartitionChanges: true,
		SessionTimeout:        c.cfg.SessionTimeout, HeartbeatInterval: c.heartbeat(),
		RebalanceTimeout: c.cfg.RebalanceTimeout, JoinGroupBackoff: time.Second,
		Timeout: c.cfg.Timeout, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return fmt.Errorf("kafka: group %s: %w", c.group, err)
	}
	for ctx.Err() == nil {
		generation, err := group.Next(ctx)
		switch {
		case err == nil:
			c.cluster.End(ctx)
			c.counters.rebalances.Add(1)
			c.serve(ctx, group, generation)
		case !errors.Is(err, kafka.RebalanceInProgress):
			c.cluster.Begin(ctx, err)
		}
	}
	left := make(chan struct{})
	c.leaving.Go(func() {
		_ = group.Close()
		close(left)
	})
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	select {
	case <-left:
	case <-patience.Done():
	}
	return nil
}

// serve works on the partitions of a generation until it ends or ctx is done.
func (c *consumer) serve(ctx context.Context, group *kafka.ConsumerGroup, generation *kafka.Generation) {
	done := make(chan struct{})
	// The group joins its next generation when what was started in this one has
	// returned: until then nobody else has the partitions.
	generation.Start(func(ended context.Context) {
		defer close(done)
		c.assign(ctx, generation).run(ctx, ended)
		if ctx.Err() != nil {
			// It would join once more unless it knows that it is closed, which
			// is when there is no next generation.
			c.leaving.Go(func() { _ = group.Close() })
			_, _ = group.Next(context.WithoutCancel(ctx))
		}
	})
	<-done
}

func (c *consumer) heartbeat() time.Duration {
	return max(c.cfg.SessionTimeout/heartbeatsPerSession, 100*time.Millisecond)
}

// readBackoff is the pause before the cluster is asked again. It stays short: a
// cluster that comes back must not find its consumers asleep.
func (c *consumer) readBackoff() background.Backoff {
	return background.Backoff{Min: 50 * time.Millisecond, Max: 2 * time.Second, Rand: c.cfg.Rand}
}
