package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// routes has the transport ask again where the partitions are. kafka-go asks in
// its own time only, but a transport that dropped its connections starts afresh;
// calls that are under way keep theirs.
type routes struct {
	transport  *kafka.Transport
	disconnect context.CancelFunc // ends what the transport has in the background

	mu   sync.Mutex
	last time.Time
}

// refreshEvery keeps many callers that fail together from asking together.
const refreshEvery = 200 * time.Millisecond

func (r *routes) refresh(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.last).Abs() < refreshEvery {
		return
	}
	r.last = now
	r.transport.CloseIdleConnections()
}

func (r *routes) close() {
	r.disconnect()
	r.transport.CloseIdleConnections()
}

// partition is where a partition is.
type partition struct {
	id     int
	leader int // a broker's id
}

// partitions returns the partitions of a topic by id, which are numbered from 0.
func (e *Events) partitions(ctx context.Context, topic string) ([]partition, error) {
	found, err := e.describe(ctx, topic)
	if err != nil {
		return nil, err
	}
	partitions := make([]partition, len(found.Partitions))
	for i, p := range found.Partitions {
		if p.ID != i {
			return nil, fmt.Errorf("kafka: topic %s: partition %d is missing", topic, i)
		}
		partitions[i] = partition{id: p.ID, leader: p.Leader.ID}
	}
	return partitions, nil
}

// describe returns what the brokers said of a topic a moment ago.
func (e *Events) describe(ctx context.Context, topic string) (kafka.Topic, error) {
	m, err := e.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return kafka.Topic{}, err
	}
	i := slices.IndexFunc(m.Topics, func(t kafka.Topic) bool { return t.Name == topic })
	if i < 0 {
		return kafka.Topic{}, kafka.UnknownTopicOrPartition
	}
	found := m.Topics[i]
	if found.Error != nil {
		return kafka.Topic{}, found.Error
	}
	if len(found.Partitions) == 0 {
		return kafka.Topic{}, kafka.LeaderNotAvailable
	}
	return found, nil
}

// bounds are the offsets of the first record of a partition and of the next one.
type bounds struct{ first, next int64 }

// ends asks the leaders for the bounds of the partitions, by id.
func (e *Events) ends(ctx context.Context, topic string, partitions []partition) (map[int]bounds, error) {
	var ask []kafka.OffsetRequest
	for _, p := range partitions {
		ask = append(ask, kafka.FirstOffsetOf(p.id), kafka.LastOffsetOf(p.id))
	}
	answer, err := e.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	if err != nil {
		return nil, failed(ctx, "list offsets", err)
	}
	found := make(map[int]bounds, len(partitions))
	var errs []error
	for _, p := range answer.Topics[topic] {
		if p.Error != nil {
			errs = append(errs, fmt.Errorf("partition %d: %w", p.Partition, p.Error))
			continue
		}
		found[p.Partition] = bounds{first: p.FirstOffset, next: p.LastOffset}
	}
	if errs != nil {
		return nil, failed(ctx, "list offsets", errors.Join(errs...))
	}
	return found, nil
}
