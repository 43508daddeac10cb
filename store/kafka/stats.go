package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// groupCounters count what happened to a group in this process.
type groupCounters struct {
	rebalances, dead, lost atomic.Int64
}

// Stats are figures of the stream at one moment.
type Stats struct {
	// Events is about how many are kept.
	Events int64
	// Groups are the groups that the cluster remembers and those that consume
	// in this process, by name.
	Groups []GroupStats
}

// GroupStats are figures of one group of consumers.
type GroupStats struct {
	Group string
	// Lag is how many events the group has not finished.
	Lag int64
	// Oldest is the age of the oldest of them; zero where there is none.
	Oldest time.Duration
	// Partitions are the same by partition, from 0.
	Partitions []PartitionStats
	// Rebalances is how often this process got a share of the partitions, Dead
	// how many events it dead-lettered, and Lost how many were gone before it
	// could read them: all since New, which is for a counter, and the other
	// processes of the group have theirs.
	Rebalances, Dead, Lost int64
}

// PartitionStats are figures of a group in one partition.
type PartitionStats struct {
	// Next is the offset after what is finished; −1 where nothing ever was.
	Next int64
	// End is the offset after the last event.
	End int64
	// Lag is how many events are kept and not finished.
	Lag int64
	// Gone is how many are not finished and not kept any more: the group is
	// about to lose them.
	Gone int64
	// Oldest is the age of the oldest that is kept and not finished.
	Oldest time.Duration
}

// Stats asks the cluster. It makes a few requests for each group: it is for a
// metrics scrape, not for a request.
func (e *Events) Stats(ctx context.Context) (Stats, error) {
	if err := e.ready(); err != nil {
		return Stats{}, err
	}
	partitions, err := e.partitions(ctx, e.cfg.Topic)
	if err != nil {
		return Stats{}, failed(ctx, "stats", err)
	}
	all, err := e.ends(ctx, e.cfg.Topic, partitions)
	if err != nil {
		return Stats{}, err
	}
	groups, err := e.groupNames(ctx)
	if err != nil {
		return Stats{}, err
	}
	var s Stats
	for _, b := range all {
		s.Events += b.next - b.first
	}
	for _, group := range groups {
		g, err := e.groupStats(ctx, group, partitions, all)
		if err != nil {
			return Stats{}, err
		}
		s.Groups = append(s.Groups, g)
	}
	return s, nil
}

// groupNames returns the groups of this topic.
func (e *Events) groupNames(ctx context.Context) ([]string, error) {
	answer, err := e.client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, failed(ctx, "list groups", err)
	}
	var names []string
	for _, g := range answer.Groups {
		if name, ours := strings.CutPrefix(g.GroupID, e.groupID("")); ours {
			names = append(names, name)
		}
	}
	e.mu.Lock()
	for name := range e.groups {
		names = append(names, name)
	}
	e.mu.Unlock()
	slices.Sort(names)
	return slices.Compact(names), nil
}

func (e *Events) groupStats(ctx context.Context, group string, partitions []partition, all map[int]bounds) (GroupStats, error) {
	ids := make([]int, len(partitions))
	for i, p := range partitions {
		ids[i] = p.id
	}
	answer, err := e.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: e.groupID(group), Topics: map[string][]int{e.cfg.Topic: ids}})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return GroupStats{}, failed(ctx, "fetch offsets", err)
	}
	s := GroupStats{Group: group, Partitions: make([]PartitionStats, len(partitions))}
	var errs []error
	for _, o := range answer.Topics[e.cfg.Topic] {
		b, ok := all[o.Partition]
		if !ok || o.Error != nil {
			errs = append(errs, cmp.Or[error](o.Error, kafka.UnknownTopicOrPartition))
			continue
		}
		p, err := e.partitionStats(ctx, o.Partition, o.CommittedOffset, b)
		if err != nil {
			return GroupStats{}, err
		}
		s.Partitions[o.Partition] = p
		s.Lag += p.Lag
		s.Oldest = max(s.Oldest, p.Oldest)
	}
	if errs != nil {
		return GroupStats{}, failed(ctx, "fetch offsets", errors.Join(errs...))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.groups[group]; c != nil {
		s.Rebalances, s.Dead, s.Lost = c.rebalances.Load(), c.dead.Load(), c.lost.Load()
	}
	return s, nil
}

// partitionStats compares a committed offset with what the partition has.
func (e *Events) partitionStats(ctx context.Context, id int, committed int64, b bounds) (PartitionStats, error) {
	// Without an offset, or with one of a topic that was made again, the group
	// begins with the oldest.
	from := committed
	if from < 0 || from > b.next {
		from = b.first
	}
	p := PartitionStats{Next: committed, End: b.next, Gone: max(0, b.first-from)}
	from = max(from, b.first)
	if p.Lag = b.next - from; p.Lag == 0 {
		return p, nil
	}
	records, _, err := e.fetch(ctx, e.cfg.Topic, id, from)
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return p, nil // trimmed a moment ago
	}
	if err != nil {
		return p, failed(ctx, "read the oldest", err)
	}
	if len(records) > 0 {
		p.Oldest = max(0, e.cfg.Now().Sub(records[0].time))
	}
	return p, nil
}
