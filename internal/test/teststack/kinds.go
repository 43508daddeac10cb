package teststack

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go/wait"
)

// The password of the superuser postgres.
const password = "test"

// The kinds of server.
var (
	PostgresServer = Kind{
		name: "postgres", image: "postgres:17-alpine", port: "5432/tcp",
		env: func(string) map[string]string {
			return map[string]string{"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": password}
		},
		cmd: []string{"postgres", "-c", "max_connections=300"},
		// The first start runs the server twice: it is there after the second.
		ready: func(string) wait.Strategy {
			return wait.ForAll(
				wait.ForLog("database system is ready to accept connections").WithPollInterval(50*time.Millisecond),
				listening("5432/tcp"),
				wait.ForExec([]string{"psql", "-h", "127.0.0.1", "-U", "postgres", "-c", "SELECT 1"}).WithPollInterval(100*time.Millisecond),
			)
		},
	}
	RedisServer = Kind{
		name: "redis", image: "redis:8-alpine", port: "6379/tcp",
		cmd: []string{"redis-server", "--appendonly", "yes", "--appendfsync", "always"},
		// The port is open before the server answers.
		ready: func(string) wait.Strategy {
			return wait.ForLog("Ready to accept connections").WithPollInterval(20 * time.Millisecond)
		},
	}
	MongoServer = Kind{
		name: "mongo", image: "mongo:8", port: "27017/tcp",
		ready: func(addr string) wait.Strategy { return pinged("mongodb://" + addr) },
	}
	KafkaServer = Kind{
		name: "kafka", image: "apache/kafka:4.1.0", port: "9093/tcp",
		env: func(addr string) map[string]string {
			return map[string]string{
				"KAFKA_NODE_ID":                                  "1",
				"KAFKA_PROCESS_ROLES":                            "broker,controller",
				"KAFKA_LISTENERS":                                "PLAINTEXT://:9093,BROKER://:9092,CONTROLLER://:9094",
				"KAFKA_ADVERTISED_LISTENERS":                     "PLAINTEXT://" + addr + ",BROKER://localhost:9092",
				"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
				"KAFKA_INTER_BROKER_LISTENER_NAME":               "BROKER",
				"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
				"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9094",
				"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
				"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "1",
				"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
				"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
				"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
			}
		},
		ready: func(string) wait.Strategy {
			return wait.ForAll(
				wait.ForLog(".*Transitioning from RECOVERY to RUNNING.*").AsRegexp().WithPollInterval(100*time.Millisecond),
				listening("9093/tcp"),
			)
		},
	}
)

// listening waits for the port from outside; it asks nothing of a shell inside.
func listening(port string) wait.Strategy {
	return wait.ForListeningPort(port).SkipInternalCheck().WithPollInterval(50 * time.Millisecond)
}

func (k Kind) imageName() string {
	return cmp.Or(os.Getenv("PLATFORM_TEST_"+strings.ToUpper(k.name)+"_IMAGE"), k.image)
}

// Flavour is what stands in for the kind's real server, such as "ferretdb"; ""
// where it is the real one.
func (k Kind) Flavour() string {
	return os.Getenv("PLATFORM_TEST_" + strings.ToUpper(k.name) + "_FLAVOUR")
}

// KafkaFlavour is "kfake" where that stands in for Kafka.
func KafkaFlavour() string { return KafkaServer.Flavour() }

// MongoFlavour is "ferretdb" where that stands in for MongoDB.
func MongoFlavour() string { return MongoServer.Flavour() }

// URL is how a client reaches the server: a postgres:// URL of the superuser and
// the database of that name, a redis:// or mongodb:// URL, or host:port of Kafka.
func (s *Server) URL() string { return s.kind.url(s.Addr) }

// URLAt is URL by way of another address, such as a proxy's.
func (s *Server) URLAt(addr string) string { return s.kind.url(addr) }

func (k Kind) url(addr string) string {
	switch k.name {
	case "postgres":
		return fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", password, addr)
	case "redis":
		return "redis://" + addr + "/0"
	case "mongo":
		host, port, _ := net.SplitHostPort(addr)
		return "mongodb://" + net.JoinHostPort(host, port)
	}
	return addr
}
