// Package kafka is a durable event stream, a [store.Events], in a topic of a
// Kafka cluster, by segmentio/kafka-go.
//
// # What an event is in the topic
//
// An event is a record of the CloudEvents 1.0 binding for Kafka in binary content
// mode: attributes in headers (ce_id, ce_type, …, with the extensions
// ce_tenantid and ce_actor), the data in the value. The key is tenant + "/" +
// subject, and the partition follows from it as Java's clients and franz-go have
// it (murmur2), so that they may write to the topic and read it. They must not
// write in transactions: kafka-go cannot tell what was aborted, and such events
// become dead letters.
//
// # Publishing
//
// Publish asks for acks=all and returns when every event is on as many brokers as
// the topic's min.insync.replicas says. That number is the whole of the promise:
// with 1, the failure of one disk may take what was acknowledged. Start makes a
// topic with a majority of Config.Replication, and refuses one that has less,
// that is compacted, or whose unclean elections would forget. Kafka itself does
// not force records to the disk: it counts on the other brokers.
//
// After an error any of the events may be in the stream, since kafka-go has no
// idempotent producer, and so may what was tried again inside one Publish: an
// event can come more than once, though its first coming is in order. Consumers
// recognize it by its id (store.Tx.Once).
//
// # Order
//
// Events of one tenant and subject have one partition and are delivered as they
// were published by one publisher, as package outbox is. Three things break the
// order, and each is somebody's decision: adding partitions, which moves keys; a
// dead letter, after which the later events of its subject are delivered; and
// its replay, which appends it to the end.
//
// # Consumers
//
// A group shares the partitions among its Consume calls, in one or in many
// processes; more calls than partitions stand by. In the cluster a group is
// called topic + "/" + group. A Consume call hands one batch at a time to its
// handler, or Config.Concurrency batches of different partitions.
//
// Offsets cover only what handlers finished without a gap, are committed at most
// 100 ms after it and when a Consume call ends, and the cluster refuses them from
// a consumer that has lost its partitions. So a batch comes again after a crash,
// and not when consumers come and go: before partitions move, the handlers that
// are at work finish and their offsets are committed. A handler that takes longer
// than two thirds of Config.RebalanceTimeout has its context ended then; one that
// does not heed it holds nobody up, but its events are delivered to another while
// it still runs.
//
// When a handler fails, the batch is delivered again after a pause, and smaller
// each time until a single event is alone: what precedes the one that fails gets
// done, and what follows in the partition waits. Other partitions go on.
//
// # Dead letters
//
// An event that failed alone Config.MaxAttempts times becomes a dead letter: it is
// written with the cause to the topic + ".dead", and the group passes over it only
// then. So that an outage
// kills nothing, failures of platform.KindUnavailable, KindTimeout and
// KindLimited, of the network, and of contexts do not count; a handler must not
// hide them behind another kind. A record that is no event, such as one without
// the headers, becomes a dead letter at once. [Events.Dead] lists dead letters,
// [Events.Replay] publishes them again for the group that failed.
//
// # Retention
//
// Events are kept for a time, not for consumers: a group that is further behind
// than the topic's retention loses what was removed. It is logged as an error and
// counted in [GroupStats].Lost; before that it is seen in [PartitionStats].Gone.
//
// # Tenants
//
// A stream serves the platform and not a tenant: a batch holds many tenants'
// events by contract. Each event names its tenant, and a handler acts in a
// transaction of that tenant. Who may read the topic reads every tenant's events:
// the cluster's access rules must say so.
//
// # Versions
//
// Kafka 2.1 and later, as far as kafka-go's protocol versions reach: 4.x included.
package kafka
