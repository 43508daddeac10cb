package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/kafka"
)

func TestBadConfig(t *testing.T) {
	for field, change := range map[string]func(*kafka.Config){
		"Brokers":          func(c *kafka.Config) { c.Brokers = nil },
		"Brokers must be":  func(c *kafka.Config) { c.Brokers = []string{"localhost"} },
		"Topic":            func(c *kafka.Config) { c.Topic = "a/b" },
		"TLS":              func(c *kafka.Config) { c.Plaintext = false },
		"TLS must":         func(c *kafka.Config) { c.TLS = &tls.Config{} },
		"Partitions":       func(c *kafka.Config) { c.Partitions = -1 },
		"Replication":      func(c *kafka.Config) { c.Replication = -1 },
		"MinInSync":        func(c *kafka.Config) { c.MinInSync = 4 },
		"Retention":        func(c *kafka.Config) { c.Retention = time.Second },
		"DeadRetention":    func(c *kafka.Config) { c.DeadRetention = -1 },
		"Compression":      func(c *kafka.Config) { c.Compression = 9 },
		"Timeout":          func(c *kafka.Config) { c.Timeout = time.Millisecond },
		"Batch":            func(c *kafka.Config) { c.Batch = 10_001 },
		"Concurrency":      func(c *kafka.Config) { c.Concurrency = -1 },
		"SessionTimeout":   func(c *kafka.Config) { c.SessionTimeout = time.Millisecond },
		"RebalanceTimeout": func(c *kafka.Config) { c.RebalanceTimeout = 2 * time.Hour },
		"MinBackoff":       func(c *kafka.Config) { c.MinBackoff = -1 },
		"MaxBackoff":       func(c *kafka.Config) { c.MaxBackoff = 1 },
		"MaxAttempts":      func(c *kafka.Config) { c.MaxAttempts = -1 },
	} {
		cfg := kafka.Config{Brokers: []string{"localhost:9092"}, Topic: "events", Plaintext: true}
		if _, err := kafka.New(cfg); err != nil {
			t.Fatalf("the least config: %v", err)
		}
		change(&cfg)
		if _, err := kafka.New(cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

// A topic that would lose events is refused, in words that say what is wrong.
func TestStartRefuses(t *testing.T) {
	broker := teststack.Kafka(t)
	compact := kafkago.ConfigEntry{ConfigName: "cleanup.policy", ConfigValue: "compact"}
	for want, arrange := range map[string]func(cfg *kafka.Config){
		"compaction": func(cfg *kafka.Config) { makeTopic(t, broker, cfg.Topic, 1, compact) },
		// The dead letters' topic is held to the same.
		".dead: cleanup.policy": func(cfg *kafka.Config) { makeTopic(t, broker, cfg.Topic+".dead", 1, compact) },
		"unclean.leader.election.enable": func(cfg *kafka.Config) {
			makeTopic(t, broker, cfg.Topic, 1, kafkago.ConfigEntry{ConfigName: "unclean.leader.election.enable", ConfigValue: "true"})
		},
		"the cluster has not as many brokers": func(cfg *kafka.Config) { cfg.Replication = 3 },
		"partition 0 is on 1 brokers": func(cfg *kafka.Config) {
			makeTopic(t, broker, cfg.Topic, 1)
			cfg.Replication = 3
		},
	} {
		cfg := config(t, broker)
		arrange(&cfg)
		e, err := kafka.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func makeTopic(tb testing.TB, broker, topic string, partitions int, settings ...kafkago.ConfigEntry) {
	tb.Helper()
	answer, err := bare(tb, broker).CreateTopics(tb.Context(), &kafkago.CreateTopicsRequest{Topics: []kafkago.TopicConfig{{
		Topic: topic, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: settings,
	}}})
	if err != nil || answer.Errors[topic] != nil {
		tb.Fatal(err, answer)
	}
}

// Several processes that start at once make the topics once.
func TestStartTogether(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	errs := make(chan error, 4)
	for range 4 {
		e, err := kafka.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		go func() { errs <- e.Start(t.Context()) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A cluster that is not there is an error within the time limit, at the start and
// in a check.
func TestStartWithoutCluster(t *testing.T) {
	e, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Topic: "t", Plaintext: true, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("start: %v", err)
	}
	if err := e.Check(t.Context()); !errors.Is(err, platform.ErrUnavailable) {
		t.Errorf("check: %v", err)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A host may stop what it never started, and stop twice.
func TestStopInAnyOrder(t *testing.T) {
	e, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}, Topic: "t", Plaintext: true, Timeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- e.Consume(context.Background(), "g", nil) }()
	for range 2 {
		if err := e.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-waiting; err == nil {
		t.Error("a Consume that waited for the start must say that the stream was stopped")
	}
	if err := e.Start(t.Context()); err == nil {
		t.Error("Start after Stop must fail")
	}
}

// With TLS the first that a broker gets is the beginning of a handshake, from the
// one client and from the other, and nothing in plain text.
func TestTLSIsUsed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	first := make(chan byte, 100)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1)
			if _, err := io.ReadFull(c, b); err == nil {
				first <- b[0]
			}
			c.Close()
		}
	})
	e, err := kafka.New(kafka.Config{
		Brokers: []string{listener.Addr().String()}, Topic: "t", TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Timeout: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err == nil {
		t.Error("Start must fail where nobody shakes hands")
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	listener.Close()
	serving.Wait()
	close(first)
	seen := 0
	for b := range first {
		seen++
		if b != 0x16 {
			t.Errorf("the first byte is %#x, not that of a handshake", b)
		}
	}
	if seen == 0 {
		t.Error("nobody connected")
	}
}
