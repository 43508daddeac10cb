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
	"github.com/acme/platform/internal/test/teststack"
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

// BenchmarkPublish measures Publish beside "bare": what kafka-go's Client.Produce
// does, in the same run, with as many records of about the same size and at most
// 1000 at once, to one partition after the other.
func BenchmarkPublish(b *testing.B) {
	broker := teststack.Kafka(b)
	cfg := config(b, broker)
	e := start(b, cfg)
	client := bare(b, broker)
	for range 1000 { // the broker compiles what it runs often
		publish(b, e, benchEvents(10)...)
	}
	for _, n := range []int{1, 100, 1000, 5000} {
		all, records := benchEvents(n), benchRecords(min(n, 1000))
		b.Run(fmt.Sprint("events/", n), func(b *testing.B) {
			for b.Loop() {
				publish(b, e, all...)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
		b.Run(fmt.Sprint("bare/", n), func(b *testing.B) {
			partition := 0
			for b.Loop() {
				for sent := 0; sent < n; sent += min(n, 1000) {
					partition = (partition + 1) % cfg.Partitions
					answer, err := client.Produce(b.Context(), &kafkago.ProduceRequest{
						Topic: cfg.Topic, Partition: partition, RequiredAcks: kafkago.RequireAll, Records: records(),
					})
					if err != nil || answer.Error != nil {
						b.Fatal(err, answer)
					}
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
