package kafka

import (
	"context"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform"
)

// Publish appends the events, those of a tenant and subject in the order given,
// and returns when every one is on as many brokers as the topic's
// min.insync.replicas says. It tries again what may pass, for Config.Timeout in
// all. Errors: [platform.KindInvalid] and [platform.KindNoTenant] for what is no
// event, [platform.KindTooLarge] for one that is larger than the topic takes, in
// both cases before any is sent; [platform.KindUnavailable] for a cluster that does
// not answer or refuses, after which any of the events may be in the stream: the caller
// publishes all again.
func (e *Events) Publish(ctx context.Context, events ...platform.Event) error {
	messages := make([]message, len(events))
	for i := range events {
		if err := events[i].Validate(); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil || len(events) == 0 {
		return err
	}
	if err := e.ready(); err != nil {
		return err
	}
	for i := range events {
		messages[i] = encode(&events[i])
		if messages[i].size()+batchOverhead > e.maxBatch {
			return tooLarge()
		}
	}
	return e.produce(ctx, e.cfg.Topic, e.maxBatch, messages)
}

// route parts messages by partition: as Java's clients and franz-go do it, so
// that they may write to the topic too.
func route(messages []message, partitions int) map[int][]message {
	ids := make([]int, partitions)
	for i := range ids {
		ids[i] = i
	}
	queues := make(map[int][]message, min(partitions, len(messages)))
	for _, m := range messages {
		p := kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: m.key}, ids...)
		queues[p] = append(queues[p], m)
	}
	return queues
}
