package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/teststack"
)

// benchEvents returns n events of 300 bytes of data, of a hundred subjects.
func benchEvents(n int) []platform.Event {
	data := []byte(fmt.Sprintf(`{"text":%q}`, bytes.Repeat([]byte("x"), 289)))
	all := make([]platform.Event, n)
	for i := range all {
		all[i] = event(acme, fmt.Sprint("rec_", i%100), i)
		all[i].Data = data
	}
	return all
}

// BenchmarkPublish measures Publish; "bare" is what kafka-go's Client.Produce
// does with as many records of the same size, to one partition after the other.
func BenchmarkPublish(b *testing.B) {
	broker := teststack.Kafka(b)
	e := start(b, config(b, broker))
	for _, n := range []int{1, 100, 1000, 5000} {
		all := benchEvents(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				publish(b, e, all...)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	transport := &kafkago.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(broker), Transport: transport}
	cfg := config(b, broker)
	start(b, cfg) // makes the topic
	for _, n := range []int{1, 100, 1000} {
		records := benchRecords(n)
		b.Run(fmt.Sprint("bare/", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				answer, err := client.Produce(b.Context(), &kafkago.ProduceRequest{
					Topic: cfg.Topic, Partition: i % 4, RequiredAcks: kafkago.RequireAll, Records: records(),
				})
				if err != nil || answer.Error != nil {
					b.Fatal(err, answer)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// benchRecords returns readers of n records of the size that events have.
func benchRecords(n int) func() kafkago.RecordReader {
	headers := []protocol.Header{{Key: "ce_all", Value: bytes.Repeat([]byte("h"), 200)}}
	value := bytes.Repeat([]byte("x"), 300)
	return func() kafkago.RecordReader {
		left := n
		return readerFunc(func() (*protocol.Record, error) {
			if left--; left < 0 {
				return nil, io.EOF
			}
			return &protocol.Record{Key: protocol.NewBytes([]byte("org_acme/rec_1")), Value: protocol.NewBytes(value), Headers: headers}, nil
		})
	}
}

type readerFunc func() (*protocol.Record, error)

func (f readerFunc) ReadRecord() (*protocol.Record, error) { return f() }

// BenchmarkConsume measures a handler that does nothing.
func BenchmarkConsume(b *testing.B) {
	e := start(b, config(b, teststack.Kafka(b)))
	const total = 200_000
	all := benchEvents(total)
	for n := 0; n < total; n += 10_000 {
		publish(b, e, all[n:n+10_000]...)
	}
	i := 0
	for b.Loop() {
		i++
		ctx, cancel := context.WithCancel(b.Context())
		var got atomic.Int64
		err := e.Consume(ctx, fmt.Sprint("g", i), func(_ context.Context, batch []platform.Event) error {
			if got.Add(int64(len(batch))) == total {
				cancel()
			}
			return nil
		})
		cancel()
		if err != nil || got.Load() < total {
			b.Fatal(err, got.Load())
		}
	}
	b.ReportMetric(total*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
