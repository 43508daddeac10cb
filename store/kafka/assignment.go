package kafka

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform/internal/delivery"
)

// assignment is what a consumer has of the topic for one generation of its group.
type assignment struct {
	*consumer
	generation *kafka.Generation
	offsets    *offsets
	workers    []*worker
}

func (c *consumer) assign(ctx context.Context, generation *kafka.Generation) *assignment {
	a := &assignment{consumer: c, generation: generation, offsets: newOffsets(c, generation)}
	for _, p := range generation.Assignments[c.cfg.Topic] {
		a.workers = append(a.workers, &worker{consumer: c, offsets: a.offsets, partition: p.ID, from: p.Offset, size: delivery.NewSize(c.cfg.Batch)})
	}
	c.log.DebugContext(ctx, "partitions assigned", slog.String("group", c.group),
		slog.Int("generation", int(generation.ID)), slog.Int("partitions", len(a.workers)))
	return a
}

// run works until the generation ended or ctx is done, then lets the handlers
// that are at work finish, and commits what they finished.
func (a *assignment) run(ctx, ended context.Context) {
	// at is the context of the handlers, and stop, which ends first, that of
	// everything else.
	at, abort := context.WithCancel(ctx)
	defer abort()
	stop, halt := context.WithCancel(at)
	defer halt()
	defer context.AfterFunc(ended, halt)()
	if ended.Err() != nil {
		return // it ended before it began, and the group waits for nobody
	}

	var committing, working sync.WaitGroup
	committing.Go(func() { a.offsets.keep(stop, abort) })
	for _, w := range a.workers {
		working.Go(func() { w.run(at, stop) })
	}
	<-stop.Done()

	drained := make(chan struct{})
	go func() {
		working.Wait()
		close(drained)
	}()
	a.drain(ctx, drained, abort)
	committing.Wait()
	a.offsets.commitLast(ctx)
}

// drain waits for the handlers. kafka-go sends no heartbeats any more, so it does:
// a member that is not heard of loses its partitions before the others have
// waited as long as they would.
func (a *assignment) drain(ctx context.Context, drained <-chan struct{}, abort context.CancelFunc) {
	deadline := time.NewTimer(a.cfg.RebalanceTimeout * 2 / 3)
	defer deadline.Stop()
	beat := time.NewTicker(a.heartbeat())
	defer beat.Stop()
	for {
		select {
		case <-drained:
			return
		case <-deadline.C:
			a.log.WarnContext(ctx, "a handler holds up its group's rebalance; its context ends", slog.String("group", a.group))
			abort()
		case <-beat.C:
			if fenced(a.beat(ctx)) {
				a.offsets.lose()
				abort()
			}
		}
	}
}

func (a *assignment) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.heartbeat())
	defer cancel()
	answer, err := a.client.Heartbeat(ctx, &kafka.HeartbeatRequest{
		GroupID: a.id, GenerationID: a.generation.ID, MemberID: a.generation.MemberID,
	})
	if err != nil {
		return err
	}
	return answer.Error
}
