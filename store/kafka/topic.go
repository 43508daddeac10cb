package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform/internal/background"
)

// defaultMaxBatch is Kafka's max.message.bytes, for a cluster that does not
// show its own.
const defaultMaxBatch = 1_048_588

// deadRoom is what a dead letter may be larger than the event in it.
const deadRoom = 64 << 10

// prepare makes and checks both topics, and returns the most bytes of a batch.
func (e *Events) prepare(ctx context.Context) (maxBatch int, err error) {
	if err := e.makeTopic(ctx, e.cfg.Topic, e.cfg.Partitions, e.cfg.Retention, 0); err != nil {
		return 0, err
	}
	maxBatch, err = e.checkTopic(ctx, e.cfg.Topic)
	if err != nil {
		return 0, err
	}
	// One partition: the letters of one event after the other are few, and an
	// operator reads them in order.
	if err := e.makeTopic(ctx, e.deadTopic, 1, e.cfg.DeadRetention, maxBatch+deadRoom); err != nil {
		return 0, err
	}
	_, err = e.checkTopic(ctx, e.deadTopic)
	return maxBatch, err
}

// makeTopic makes a topic where there is none of the name.
func (e *Events) makeTopic(ctx context.Context, topic string, partitions int, retention time.Duration, maxBytes int) error {
	_, err := e.settled(ctx, topic)
	if !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return err
	}
	entries := []kafka.ConfigEntry{
		{ConfigName: "cleanup.policy", ConfigValue: "delete"},
		{ConfigName: "min.insync.replicas", ConfigValue: strconv.Itoa(e.cfg.MinInSync)},
		{ConfigName: "unclean.leader.election.enable", ConfigValue: "false"},
		{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(retention.Milliseconds(), 10)},
	}
	if maxBytes > 0 {
		entries = append(entries, kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(maxBytes)})
	}
	answer, err := e.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: e.cfg.Replication, ConfigEntries: entries,
	}}})
	if err == nil {
		err = answer.Errors[topic]
	}
	switch {
	case errors.Is(err, kafka.InvalidReplicationFactor):
		return fmt.Errorf("make topic %s: Config.Replication is %d, and the cluster has not as many brokers: %w", topic, e.cfg.Replication, err)
	case err != nil && !errors.Is(err, kafka.TopicAlreadyExists):
		return fmt.Errorf("make topic %s: %w", topic, err)
	}
	return e.await(ctx, topic)
}

// await waits until the brokers know a topic that was just made.
func (e *Events) await(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	for {
		_, err := e.describe(ctx, topic)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		background.Sleep(ctx, refreshEvery)
		e.routes.refresh(e.cfg.Now())
	}
}

// settled is describe, tried again while the cluster cannot be asked.
func (e *Events) settled(ctx context.Context, topic string) (kafka.Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	for {
		found, err := e.describe(ctx, topic)
		if err == nil || errors.Is(err, kafka.UnknownTopicOrPartition) || ctx.Err() != nil || !passing(err) {
			return found, err
		}
		background.Sleep(ctx, refreshEvery)
		e.routes.refresh(e.cfg.Now())
	}
}

// checkTopic refuses a topic that would lose events, and returns the most bytes
// that it takes in one batch.
func (e *Events) checkTopic(ctx context.Context, topic string) (maxBatch int, err error) {
	found, err := e.settled(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	for _, p := range found.Partitions {
		if n := len(p.Replicas); n < e.cfg.Replication {
			return 0, fmt.Errorf("topic %s: partition %d is on %d brokers, Config.Replication is %d", topic, p.ID, n, e.cfg.Replication)
		}
	}
	settings, err := e.settings(ctx, topic)
	switch {
	case errors.Is(err, kafka.TopicAuthorizationFailed), errors.Is(err, kafka.ClusterAuthorizationFailed), errors.Is(err, kafka.UnsupportedVersion):
		e.log.WarnContext(ctx, "the settings of a topic cannot be seen, and so not that it keeps what is published",
			slog.String("topic", topic), slog.Any("error", err))
		return defaultMaxBatch, nil
	case err != nil:
		return 0, fmt.Errorf("topic %s: read settings: %w", topic, err)
	}
	if err := judge(settings, e.cfg.MinInSync); err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	maxBatch, err = strconv.Atoi(settings["max.message.bytes"])
	if err != nil || maxBatch <= 0 {
		maxBatch = defaultMaxBatch
	}
	return maxBatch, nil
}

// judge says why a topic of these settings would lose events; nil is that it
// would not.
func judge(settings map[string]string, minInSync int) error {
	if policy := settings["cleanup.policy"]; strings.Contains(policy, "compact") {
		return fmt.Errorf("cleanup.policy is %q: compaction removes all but the last event of a subject", policy)
	}
	if settings["unclean.leader.election.enable"] == "true" {
		return errors.New("unclean.leader.election.enable is true: an election may lose what was acknowledged")
	}
	if n, err := strconv.Atoi(settings["min.insync.replicas"]); err == nil && n < minInSync {
		return fmt.Errorf("min.insync.replicas is %d, Config.MinInSync is %d", n, minInSync)
	}
	return nil
}

// settings returns the settings of a topic by name.
func (e *Events) settings(ctx context.Context, topic string) (map[string]string, error) {
	answer, err := e.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		ConfigNames: []string{"cleanup.policy", "unclean.leader.election.enable", "min.insync.replicas", "max.message.bytes"},
	}}})
	if err != nil {
		return nil, err
	}
	found := make(map[string]string)
	for _, r := range answer.Resources {
		if r.Error != nil {
			return nil, r.Error
		}
		for _, entry := range r.ConfigEntries {
			found[entry.ConfigName] = entry.ConfigValue
		}
	}
	return found, nil
}
