package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// fetchBytes is about how much a broker sends at once; a larger batch comes whole.
	fetchBytes = 1 << 20
	// fetchWait is how long a broker waits for something to send.
	fetchWait = time.Second
)

// record is a message that was read.
type record struct {
	message
	offset int64
	time   time.Time
	// unsure is set where it is part of a transaction, which may have been
	// aborted.
	unsure bool
}

// fetch reads records from an offset on, and returns the offset that follows
// them, which is the same where there are none within fetchWait.
func (e *Events) fetch(ctx context.Context, topic string, partition int, offset int64) (records []record, next int64, err error) {
	answer, err := e.client.Fetch(ctx, &kafka.FetchRequest{
		Topic: topic, Partition: partition, Offset: offset,
		MinBytes: 1, MaxBytes: fetchBytes, MaxWait: min(fetchWait, e.cfg.Timeout/2),
	})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return nil, 0, fmt.Errorf("partition %d from offset %d: %w", partition, offset, err)
	}
	stream, ok := answer.Records.(*protocol.RecordStream)
	if !ok {
		return nil, offset, nil
	}
	next = offset
	for _, batch := range stream.Records {
		// The stream itself would pass over control batches, and their offsets.
		_, control := batch.(*protocol.ControlBatch)
		plain, ok := batch.(*protocol.RecordBatch)
		unsure := ok && plain.Attributes.Transactional()
		for {
			r, err := batch.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, 0, fmt.Errorf("partition %d at offset %d: %w", partition, next, err)
			}
			m, err := take(r)
			if err != nil {
				return nil, 0, fmt.Errorf("partition %d at offset %d: %w", partition, r.Offset, err)
			}
			if r.Offset < offset { // a batch comes whole
				continue
			}
			next = r.Offset + 1
			if !control {
				records = append(records, record{message: m, offset: r.Offset, time: r.Time, unsure: unsure})
			}
		}
	}
	if next == offset && answer.HighWatermark > offset && len(stream.Records) > 0 {
		return nil, 0, fmt.Errorf("partition %d at offset %d: what is there cannot be read", partition, offset)
	}
	return records, next, nil
}

// take copies a record out of the memory that kafka-go uses again.
func take(r *protocol.Record) (m message, err error) {
	m.headers = r.Headers
	if m.key, err = takeBytes(r.Key); err == nil {
		m.value, err = takeBytes(r.Value)
	}
	return m, err
}

func takeBytes(b protocol.Bytes) ([]byte, error) {
	if b == nil {
		return nil, nil
	}
	defer b.Close()
	return protocol.ReadAll(b)
}
