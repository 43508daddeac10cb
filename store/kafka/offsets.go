package kafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/internal/delivery"
)

// commitEvery is the longest time that a finished batch waits for its offset to
// be committed: all partitions of a consumer then cost ten requests a second.
const commitEvery = 100 * time.Millisecond

// offsets is how far a generation has come, in memory and in the cluster. It
// holds offsets that follow what is finished without a gap, since a worker takes
// one batch of its partition after the other.
type offsets struct {
	*consumer
	generation *kafka.Generation
	changed    background.Signal
	failing    delivery.Trouble

	mu     sync.Mutex
	done   map[int]int64
	stored map[int]int64
	lost   bool // the group went on without this consumer
}

func newOffsets(c *consumer, generation *kafka.Generation) *offsets {
	return &offsets{
		consumer: c, generation: generation, changed: background.NewSignal(),
		failing: delivery.Trouble{Log: c.log, What: "offsets are not committed", Group: c.group},
		done:    make(map[int]int64), stored: make(map[int]int64),
	}
}

// finish says that a partition is done up to the offset next. It never goes
// back, but where a topic was made again (reset).
func (o *offsets) finish(partition int, next int64, reset bool) {
	o.mu.Lock()
	if was, ok := o.done[partition]; reset || !ok || next > was {
		o.done[partition] = next
	}
	o.mu.Unlock()
	o.changed.Set()
}

// lose says that nothing can be committed any more.
func (o *offsets) lose() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lost = true
}

// keep commits what is finished until ctx is done. Where the group has gone on
// without this consumer it calls lost.
func (o *offsets) keep(ctx context.Context, lost context.CancelFunc) {
	for {
		select {
		case <-o.changed:
		case <-ctx.Done():
			return
		}
		pause := commitEvery
		if err := o.commit(ctx); fenced(err) {
			o.log.WarnContext(ctx, "consumer lost its partitions", slog.String("group", o.group), slog.Any("error", err))
			lost()
			return
		} else if err != nil {
			pause = time.Second
			o.changed.Set()
		}
		background.Sleep(ctx, pause)
	}
}

// commitLast commits although ctx is done: what was finished should not come
// again.
func (o *offsets) commitLast(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	if err := o.commit(ctx); err != nil {
		o.log.WarnContext(ctx, "consumer could not commit its last offsets; events will come again",
			slog.String("group", o.group), slog.Any("error", err))
	}
}

// commit commits for the generation, which the cluster refuses once there is a
// later one.
func (o *offsets) commit(ctx context.Context) error {
	commits := o.pending()
	if len(commits) == 0 {
		return nil
	}
	answer, err := o.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: o.id, GenerationID: int(o.generation.ID), MemberID: o.generation.MemberID,
		Topics: map[string][]kafka.OffsetCommit{o.cfg.Topic: commits},
	})
	if err == nil {
		var errs []error
		for _, p := range answer.Topics[o.cfg.Topic] {
			errs = append(errs, p.Error)
		}
		err = errors.Join(errs...)
	}
	switch {
	case fenced(err):
		o.lose()
		return err
	case errors.Is(err, kafka.RebalanceInProgress):
		return err // the generation is about to end, and commits once more then
	case err != nil:
		o.failing.Begin(ctx, err)
		return err
	}
	o.failing.End(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range commits {
		o.stored[c.Partition] = c.Offset
	}
	return nil
}

func (o *offsets) pending() []kafka.OffsetCommit {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lost {
		return nil
	}
	var commits []kafka.OffsetCommit
	for partition, next := range o.done {
		if was, ok := o.stored[partition]; !ok || was != next {
			commits = append(commits, kafka.OffsetCommit{Partition: partition, Offset: next})
		}
	}
	return commits
}
