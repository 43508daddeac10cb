package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
)

// The figures of a group that stands still, by partition and in all.
func TestStats(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	now := time.Now().Truncate(time.Millisecond)
	cfg.Now = func() time.Time { return now }
	e := start(t, cfg)
	publish(t, e, events(acme, 0, 10, subjects...)...)
	var in inbox
	end := consume(t, e, "g", in.handle)
	until(t, "all events", func() bool { return in.distinct() == 80 })
	end()
	if g := groupStats(t, e, "g"); g.Lag != 0 || g.Oldest != 0 || g.Rebalances != 1 {
		t.Errorf("after all: %+v", g)
	}
	publish(t, e, events(acme, 10, 15, subjects...)...)
	now = now.Add(time.Minute)
	publish(t, e, events(acme, 15, 16, subjects...)...)
	now = now.Add(time.Minute)
	// Another process sees the same, but not what this one counted.
	other := start(t, cfg)
	g := groupStats(t, other, "g")
	if g.Lag != 48 || g.Oldest != 2*time.Minute || g.Rebalances != 0 {
		t.Errorf("behind: %+v", g)
	}
	var sum int64
	for _, p := range g.Partitions {
		sum += p.Lag
		if p.Lag != p.End-p.Next || p.Gone != 0 {
			t.Errorf("partition %+v", p)
		}
	}
	if sum != g.Lag {
		t.Errorf("partitions have %d, the group %d", sum, g.Lag)
	}
	s, err := e.Stats(t.Context())
	if err != nil || s.Events != 128 || len(s.Groups) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Stats(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Retention took what a group had not finished: it goes on with what is kept, and
// the loss is counted and logged.
func TestRetentionPassedAGroup(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	cfg.Partitions = 1
	e := start(t, cfg)
	publish(t, e, events(acme, 0, 10, "s")...)
	var in inbox
	end := consume(t, e, "g", in.handle)
	until(t, "ten events", func() bool { return in.distinct() == 10 })
	end()
	publish(t, e, events(acme, 10, 50, "s")...)
	trim(t, broker, cfg.Topic, 0, 30)
	if g := groupStats(t, e, "g"); g.Lag != 20 || g.Partitions[0].Gone != 20 || g.Lost != 0 {
		t.Errorf("before: %+v", g)
	}
	end = consume(t, e, "g", in.handle)
	until(t, "the rest", func() bool { return in.distinct() == 30 })
	end()
	if g := groupStats(t, e, "g"); g.Lag != 0 || g.Partitions[0].Gone != 0 || g.Lost != 20 {
		t.Errorf("after: %+v", g)
	}
	if got := in.all(); got[10].ID != event(acme, "s", 30).ID {
		t.Errorf("went on with %s", got[10].ID)
	}
	// A group that is new has lost nothing.
	var late inbox
	consume(t, e, "late", late.handle)
	until(t, "what is kept", func() bool { return late.distinct() == 20 })
	if g := groupStats(t, e, "late"); g.Lost != 0 {
		t.Errorf("a new group: %+v", g)
	}
}

// An offset beyond the end is one of a topic that was deleted and made again: the
// group begins with the oldest, since doing it twice is better than not at all.
func TestOffsetBeyondTheEnd(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	cfg.Partitions = 1
	e := start(t, cfg)
	publish(t, e, events(acme, 0, 10, "s")...)
	client := bare(t, broker)
	until(t, "the commit", func() bool {
		answer, err := client.OffsetCommit(t.Context(), &kafkago.OffsetCommitRequest{
			GroupID: cfg.Topic + "/g", GenerationID: -1,
			Topics: map[string][]kafkago.OffsetCommit{cfg.Topic: {{Partition: 0, Offset: 1000}}},
		})
		return err == nil && answer.Topics[cfg.Topic][0].Error == nil
	})
	var in inbox
	end := consume(t, e, "g", in.handle)
	until(t, "all events", func() bool { return in.distinct() == 10 })
	end()
	if g := groupStats(t, e, "g"); g.Lag != 0 || g.Partitions[0].Next != 10 {
		t.Errorf("%+v", g)
	}
}

// Markers of transactions are no events, and do not stop a group that meets one
// at the end; what was written in a transaction may have been aborted, which the
// client does not tell, so it becomes a dead letter.
func TestTransactions(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := impatient(t, broker)
	cfg.Partitions = 1
	e := start(t, cfg)
	publish(t, e, event(acme, "s", 0))
	abort(t, broker, cfg.Topic)
	publish(t, e, event(acme, "s", 1))
	abort(t, broker, cfg.Topic)
	var in inbox
	end := consume(t, e, "g", in.handle)
	until(t, "the events", func() bool { return in.distinct() == 2 })
	until(t, "the end of the partition", func() bool { return groupStats(t, e, "g").Lag == 0 })
	end()
	if got := in.all(); len(got) != 2 {
		t.Errorf("%d events", len(got))
	}
	if g := groupStats(t, e, "g"); g.Dead != 2 {
		t.Errorf("%+v", g)
	}
}

// abort writes an event in a transaction and aborts it.
func abort(tb testing.TB, broker, topic string) {
	tb.Helper()
	c := bare(tb, broker)
	ctx := tb.Context()
	id := platform.NewID("tx")
	coordinate := func(what string, f func() error) {
		tb.Helper()
		until(tb, what, func() bool { return f() == nil })
	}
	var producer *kafkago.InitProducerIDResponse
	coordinate("the producer id", func() (err error) {
		producer, err = c.InitProducerID(ctx, &kafkago.InitProducerIDRequest{TransactionalID: id, TransactionTimeoutMs: 60_000})
		return errors.Join(err, errOf(producer))
	})
	p := producer.Producer
	coordinate("the partition", func() error {
		answer, err := c.AddPartitionsToTxn(ctx, &kafkago.AddPartitionsToTxnRequest{
			TransactionalID: id, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch,
			Topics: map[string][]kafkago.AddPartitionToTxn{topic: {{Partition: 0}}},
		})
		if err != nil {
			return err
		}
		return answer.Topics[topic][0].Error
	})
	produceInTx(tb, c, topic, id, p.ProducerID, int16(p.ProducerEpoch))
	coordinate("the end", func() error {
		answer, err := c.EndTxn(ctx, &kafkago.EndTxnRequest{TransactionalID: id, ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch})
		if err != nil {
			return err
		}
		return answer.Error
	})
}

func errOf(r *kafkago.InitProducerIDResponse) error {
	if r == nil {
		return nil
	}
	return r.Error
}
