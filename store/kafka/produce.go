package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	produceapi "github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"

	"github.com/acme/platform/internal/background"
)

// ackAll has a broker answer when all replicas that are in sync have the batch.
const ackAll = -1

// maxRequest is the most bytes of one request; brokers take 100 MiB
// (socket.request.max.bytes).
const maxRequest = 16 << 20

// produce appends messages and returns when all are durable. Of each partition
// one batch is under way at a time, and the next follows only once it is
// acknowledged, so that what fails does not change places with what does not.
// A request carries a batch for each partition of one broker.
func (e *Events) produce(ctx context.Context, topic string, maxBatch int, messages []message) error {
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(e.lifetime, cancel)() //nolint:contextcheck // two contexts end it

	var queues map[int][]message
	retry := background.Backoff{Min: 20 * time.Millisecond, Max: time.Second, Rand: e.cfg.Rand}
	for failures := 0; ; {
		partitions, err := e.partitions(ctx, topic)
		if err == nil {
			if queues == nil {
				queues = route(messages, len(partitions))
			}
			err = e.round(ctx, topic, maxBatch, queues, partitions)
		}
		switch {
		case err == nil && len(queues) == 0:
			return nil
		case err == nil:
			failures = 0
			continue
		case refusal(err) != nil:
			return refusal(err)
		case ctx.Err() != nil || !passing(err):
			return failed(outer, "publish", err)
		}
		failures++
		background.Sleep(ctx, retry.Pause(failures))
		e.routes.refresh(e.cfg.Now())
	}
}

// round sends the first batch of every queue, and takes out of the queues what
// was acknowledged.
func (e *Events) round(ctx context.Context, topic string, maxBatch int, queues map[int][]message, partitions []partition) error {
	requests, err := e.requests(queues, partitions, maxBatch)
	if err != nil {
		return err
	}
	answers := make([][]answer, len(requests))
	if len(requests) == 1 {
		answers[0] = e.send(ctx, topic, requests[0])
	} else {
		var wg sync.WaitGroup
		for i := range requests {
			wg.Go(func() { answers[i] = e.send(ctx, topic, requests[i]) })
		}
		wg.Wait()
	}
	var errs []error
	for _, a := range slices.Concat(answers...) {
		switch queue := queues[a.partition]; {
		case a.err != nil:
			errs = append(errs, fmt.Errorf("partition %d: %w", a.partition, a.err))
		case a.count == len(queue):
			delete(queues, a.partition)
		default:
			queues[a.partition] = queue[a.count:]
		}
	}
	// One that no further try can help counts for all.
	for _, err := range errs {
		if !passing(err) {
			return err
		}
	}
	return errors.Join(errs...)
}

// batch is an encoded part of a queue.
type batch struct {
	partition, count int
	data             []byte
}

// answer is what became of a batch.
type answer struct {
	partition, count int
	err              error
}

// requests encodes the first batch of every queue and puts together what goes
// to one broker.
func (e *Events) requests(queues map[int][]message, partitions []partition, maxBatch int) ([][]batch, error) {
	var (
		requests [][]batch
		open     = make(map[int]int) // the request that is being filled, by broker
		size     []int
	)
	for id, queue := range queues {
		if id >= len(partitions) {
			return nil, kafka.UnknownTopicOrPartition
		}
		b, err := e.encodeBatch(id, queue, maxBatch)
		if err != nil {
			return nil, err
		}
		leader := partitions[id].leader
		i, ok := open[leader]
		if !ok || size[i]+len(b.data) > maxRequest {
			i = len(requests)
			requests, size = append(requests, nil), append(size, 0)
			open[leader] = i
		}
		requests[i] = append(requests[i], b)
		size[i] += len(b.data)
	}
	return requests, nil
}

// usualBatch is the most bytes of a batch of several messages, however much more
// the topic takes: one alone may be larger.
const usualBatch = 4 << 20

// encodeBatch encodes as many messages from the front of a queue as fit. The
// result shares no memory with them: kafka-go may still be sending it when the
// caller's context has ended and Publish has returned.
func (e *Events) encodeBatch(id int, queue []message, maxBatch int) (batch, error) {
	maxBatch = min(maxBatch, usualBatch)
	count, size := 0, batchOverhead
	for _, m := range queue {
		if size += m.size(); size > maxBatch && count > 0 {
			break
		}
		count++
	}
	var buffer bytes.Buffer
	buffer.Grow(min(size, maxBatch) + 4)
	set := protocol.RecordSet{
		Version: 2, Attributes: protocol.Attributes(e.cfg.Compression),
		Records: &recordReader{messages: queue[:count], time: e.cfg.Now()},
	}
	if _, err := set.WriteTo(&buffer); err != nil {
		return batch{}, fmt.Errorf("encode: %w", err)
	}
	return batch{partition: id, count: count, data: buffer.Bytes()}, nil
}

// send sends one request, and returns an answer for each of its batches.
func (e *Events) send(ctx context.Context, topic string, batches []batch) []answer {
	request := rawproduce.RequestTopic{Topic: topic}
	for _, b := range batches {
		request.Partitions = append(request.Partitions, rawproduce.RequestPartition{
			Partition: int32(b.partition), RecordSet: protocol.RawRecordSet{Reader: bytes.NewReader(b.data)},
		})
	}
	response, err := e.client.Transport.RoundTrip(ctx, e.client.Addr, &rawproduce.Request{
		Acks: ackAll, Timeout: int32(e.cfg.Timeout.Milliseconds()), Topics: []rawproduce.RequestTopic{request},
	})
	codes := make(map[int]error, len(batches))
	if r, ok := response.(*produceapi.Response); ok {
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				codes[int(p.Partition)] = nil
				if p.ErrorCode != 0 {
					codes[int(p.Partition)] = fmt.Errorf("%w %s", kafka.Error(p.ErrorCode), p.ErrorMessage)
				}
			}
		}
	}
	answers := make([]answer, len(batches))
	for i, b := range batches {
		answers[i] = answer{partition: b.partition, count: b.count, err: err}
		if code, ok := codes[b.partition]; err == nil && ok {
			answers[i].err = code
		} else if err == nil {
			answers[i].err = io.ErrUnexpectedEOF // it said nothing of this one
		}
	}
	return answers
}

// recordReader hands messages to kafka-go's encoder.
type recordReader struct {
	messages []message
	time     time.Time
	record   protocol.Record
}

func (r *recordReader) ReadRecord() (*protocol.Record, error) {
	if len(r.messages) == 0 {
		return nil, io.EOF
	}
	m := r.messages[0]
	r.messages = r.messages[1:]
	r.record = protocol.Record{
		Time: r.time, Key: protocol.NewBytes(m.key), Value: protocol.NewBytes(m.value), Headers: m.headers,
	}
	return &r.record, nil
}
