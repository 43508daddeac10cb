package kafka_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/acme/platform/store/kafka"
)

// wire is the network of one process, which can be cut for good.
type wire struct {
	mu    sync.Mutex
	conns []net.Conn
	cut   bool
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		c.Close()
		return nil, errors.New("the network is cut")
	}
	w.conns = append(w.conns, c)
	return c, nil
}

// kill ends every connection and allows no other, as the end of a process does.
func (w *wire) kill() { w.end(true) }

// drop ends every connection.
func (w *wire) drop() { w.end(false) }

func (w *wire) end(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// bare returns kafka-go's own client.
func bare(tb testing.TB, broker string) *kafkago.Client {
	tb.Helper()
	transport := &kafkago.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return &kafkago.Client{Addr: kafkago.TCP(broker), Timeout: patience, Transport: transport}
}

// put writes records as another program would.
func put(tb testing.TB, broker, topic string, partition int, records ...kafkago.Record) {
	tb.Helper()
	until(tb, "the write", func() bool {
		answer, err := bare(tb, broker).Produce(tb.Context(), &kafkago.ProduceRequest{
			Topic: topic, Partition: partition, RequiredAcks: kafkago.RequireAll, Records: kafkago.NewRecordReader(records...),
		})
		return err == nil && answer.Error == nil
	})
}

// get reads what is in a partition.
func get(tb testing.TB, broker, topic string, partition int) []kafkago.Message {
	tb.Helper()
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: []string{broker}, Topic: topic, Partition: partition, MaxWait: 100_000_000})
	defer r.Close()
	answer, err := bare(tb, broker).ListOffsets(tb.Context(), &kafkago.ListOffsetsRequest{Topics: map[string][]kafkago.OffsetRequest{
		topic: {kafkago.FirstOffsetOf(partition), kafkago.LastOffsetOf(partition)},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	b := answer.Topics[topic][0]
	var all []kafkago.Message
	for n := b.FirstOffset; n < b.LastOffset; n++ {
		m, err := r.ReadMessage(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// deleteRecords is a request that kafka-go does not have: it moves the beginning
// of a partition, as retention does.
type deleteRecords struct {
	Topics    []deleteTopic `kafka:"min=v0,max=v1"`
	TimeoutMs int32         `kafka:"min=v0,max=v1"`
}

type deleteTopic struct {
	Name       string            `kafka:"min=v0,max=v1"`
	Partitions []deletePartition `kafka:"min=v0,max=v1"`
}

type deletePartition struct {
	Index  int32 `kafka:"min=v0,max=v1"`
	Offset int64 `kafka:"min=v0,max=v1"`
}

func (*deleteRecords) ApiKey() protocol.ApiKey { return protocol.DeleteRecords }

func (r *deleteRecords) Broker(c protocol.Cluster) (protocol.Broker, error) {
	t := r.Topics[0]
	b, ok := c.Brokers[c.Topics[t.Name].Partitions[t.Partitions[0].Index].Leader]
	if !ok {
		return b, protocol.ErrNoLeader
	}
	return b, nil
}

type deletedRecords struct {
	ThrottleTimeMs int32          `kafka:"min=v0,max=v1"`
	Topics         []deletedTopic `kafka:"min=v0,max=v1"`
}

type deletedTopic struct {
	Name       string             `kafka:"min=v0,max=v1"`
	Partitions []deletedPartition `kafka:"min=v0,max=v1"`
}

type deletedPartition struct {
	Index     int32 `kafka:"min=v0,max=v1"`
	Low       int64 `kafka:"min=v0,max=v1"`
	ErrorCode int16 `kafka:"min=v0,max=v1"`
}

func (*deletedRecords) ApiKey() protocol.ApiKey { return protocol.DeleteRecords }

var register = sync.OnceFunc(func() { protocol.Register(&deleteRecords{}, &deletedRecords{}) })

// trim removes what is before an offset.
func trim(tb testing.TB, broker, topic string, partition int, offset int64) {
	tb.Helper()
	register()
	c := bare(tb, broker)
	until(tb, "the trim", func() bool {
		answer, err := c.Transport.RoundTrip(tb.Context(), c.Addr, &deleteRecords{
			TimeoutMs: 5000,
			Topics:    []deleteTopic{{Name: topic, Partitions: []deletePartition{{Index: int32(partition), Offset: offset}}}},
		})
		return err == nil && answer.(*deletedRecords).Topics[0].Partitions[0].ErrorCode == 0
	})
}

func groupStats(tb testing.TB, e *kafka.Events, group string) kafka.GroupStats {
	tb.Helper()
	s, err := e.Stats(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	for _, g := range s.Groups {
		if g.Group == group {
			return g
		}
	}
	return kafka.GroupStats{}
}
