package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"

	"github.com/acme/platform/internal/setting"
)

// Config configures [Events]. Brokers, Topic, and one of TLS and Plaintext are
// required.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt set no more than these, SASL and Logger: Replication
// is the one to lower for a cluster of less than three brokers, and Partitions the
// one to raise before the topic is made, for more consumers of a group than 12.
type Config struct { //nolint:recvcheck // Open is taken of a literal, the others change a copy
	// Brokers are the addresses, host:port, by which the cluster is found; the
	// cluster names the others itself.
	Brokers []string
	// Topic holds the stream. Start makes it, and Topic + ".dead" for dead
	// letters, where they do not exist.
	Topic string
	// TLS encrypts the connections.
	TLS *tls.Config
	// Plaintext says that connections are not to be encrypted.
	Plaintext bool
	// SASL proves to the brokers who this is; nil is not at all, or by a
	// certificate in TLS.
	SASL sasl.Mechanism
	// Dial opens a connection; nil is a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ClientID names this program in the brokers' logs and quotas; empty is
	// "platform".
	ClientID string

	// Logger takes failures, once when they begin and once when they end; nil
	// is silence.
	Logger *slog.Logger
	// Now is the clock for the times of records and the ages of Stats; nil is
	// time.Now.
	Now func() time.Time
	// Rand returns numbers evenly from [0, 1) for jitter and may be called by
	// many goroutines at once; nil is math/rand/v2.
	Rand func() float64

	// Partitions is how many a new topic gets: the most consumers of a group
	// that have work. Zero is 12. An existing topic keeps what it has.
	Partitions int
	// Replication is on how many brokers each event is. A new topic gets it,
	// and Start refuses one that has less. Zero is 3.
	Replication int
	// MinInSync is on how many brokers an event must be before Publish
	// returns: the topic's min.insync.replicas, at least. Zero is more than
	// half of Replication.
	MinInSync int
	// Retention is how long a new topic keeps events; zero is 7 days.
	Retention time.Duration
	// DeadRetention is how long a new dead-letter topic keeps its letters; zero
	// is 30 days.
	DeadRetention time.Duration
	// Compression is how batches are compressed; zero is not at all.
	Compression kafka.Compression

	// Timeout bounds every call of the cluster, and Publish with all that it
	// tries again; zero is 10 s, the least is 100 ms.
	Timeout time.Duration
	// Batch is the most events that a handler gets at once; zero is 500.
	Batch int
	// Concurrency is how many batches of different partitions one Consume call
	// hands to its handler at once; zero is 1. More is for handlers that are
	// safe for it.
	Concurrency int
	// SessionTimeout is how long a group waits for a consumer that is not
	// heard of before others take over; zero is 10 s. Brokers refuse less than
	// 6 s unless they are told otherwise.
	SessionTimeout time.Duration
	// RebalanceTimeout bounds how long a group waits, when consumers join or
	// leave, for handlers that are at work; zero is 30 s. A handler's context
	// ends when two thirds of it are over.
	RebalanceTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pause before a failed batch is
	// delivered again: it doubles from the first to the second, and a random
	// half of it is left out. Zero is 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// MaxAttempts is how often an event that is alone may fail before it is
	// dead-lettered; zero is 20, which are about five minutes. Failures that a
	// dependency causes do not count: see the package's documentation.
	MaxAttempts int
}

// setDefaults fills in what is zero. The caller has a copy.
func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	c.ClientID = cmp.Or(c.ClientID, "platform")
	c.Partitions = cmp.Or(c.Partitions, 12)
	c.Replication = cmp.Or(c.Replication, 3)
	c.MinInSync = cmp.Or(c.MinInSync, c.Replication/2+1)
	c.Retention = cmp.Or(c.Retention, 7*24*time.Hour)
	c.DeadRetention = cmp.Or(c.DeadRetention, 30*24*time.Hour)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Batch = cmp.Or(c.Batch, 500)
	c.Concurrency = cmp.Or(c.Concurrency, 1)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 10*time.Second)
	c.RebalanceTimeout = cmp.Or(c.RebalanceTimeout, 30*time.Second)
	c.MinBackoff = cmp.Or(c.MinBackoff, 100*time.Millisecond)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 30*time.Second)
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 20)
}

// topicName is Kafka's rule, with room for ".dead".
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

func (c *Config) validate() error {
	check := setting.For("kafka")
	check.Need(len(c.Brokers) > 0, "Brokers", "must be set")
	for _, b := range c.Brokers {
		_, port, err := net.SplitHostPort(b)
		check.Need(err == nil && port != "" && !strings.Contains(b, ","), "Brokers", "must be host:port each")
	}
	check.Need(topicName.MatchString(c.Topic) && c.Topic != "." && c.Topic != "..", "Topic", "must be 1 to 200 letters, digits, '.', '_' and '-'")
	check.Need((c.TLS != nil) != c.Plaintext, "TLS", "must be set, or Plaintext instead")
	check.Need(c.Partitions >= 1 && c.Partitions <= 10_000, "Partitions", "must be 1 to 10,000")
	check.Need(c.Replication >= 1 && c.Replication <= 100, "Replication", "must be 1 to 100")
	check.Need(c.MinInSync >= 1 && c.MinInSync <= c.Replication, "MinInSync", "must be 1 to Replication")
	check.Need(c.Retention >= time.Minute, "Retention", "must be at least one minute")
	check.Need(c.DeadRetention >= time.Minute, "DeadRetention", "must be at least one minute")
	check.Need(c.Compression >= 0 && c.Compression <= kafka.Zstd, "Compression", "must be one of kafka-go's")
	check.Need(c.Timeout >= 100*time.Millisecond, "Timeout", "must be at least 100 ms")
	check.Need(c.Batch >= 1 && c.Batch <= 10_000, "Batch", "must be 1 to 10,000")
	check.Need(c.Concurrency >= 1, "Concurrency", "must be positive")
	check.Need(c.SessionTimeout >= time.Second && c.SessionTimeout <= time.Hour, "SessionTimeout", "must be 1 s to 1 h")
	check.Need(c.RebalanceTimeout >= time.Second && c.RebalanceTimeout <= time.Hour, "RebalanceTimeout", "must be 1 s to 1 h")
	check.Need(c.MinBackoff > 0, "MinBackoff", "must be positive")
	check.Need(c.MaxBackoff >= c.MinBackoff, "MaxBackoff", "must be at least MinBackoff")
	check.Need(c.MaxAttempts >= 1, "MaxAttempts", "must be positive")
	return check.Err()
}
