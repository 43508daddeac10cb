package teststack

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/testcontainers/testcontainers-go"
	"go.uber.org/goleak"
)

// shared are the servers that all tests of a program use, started when the
// first asks.
var shared struct {
	mu      sync.Mutex
	servers map[string]*Server
	failed  map[string]error
	next    int
}

// Main runs the tests, ends the shared servers and looks for goroutines that
// were left. A TestMain calls os.Exit with what it returns.
func Main(m *testing.M) int {
	code := m.Run()
	if err := endShared(); err != nil {
		fmt.Fprintln(os.Stderr, "teststack:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

func endShared() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	var errs []error
	for _, s := range shared.servers {
		errs = append(errs, s.end())
	}
	clear(shared.servers)
	return errors.Join(errs...)
}

// Postgres returns the URL of the superuser on a new, empty database, which is
// dropped with the test. The server does not force commits to the disk: for
// figures and faults take [Start].
func Postgres(tb testing.TB) string {
	tb.Helper()
	s := get(tb, PostgresServer, testcontainers.WithCmd("postgres", "-c", "max_connections=300", "-c", "fsync=off", "-c", "full_page_writes=off"))
	shared.mu.Lock()
	shared.next++
	name := fmt.Sprintf("test_%d", shared.next)
	shared.mu.Unlock()
	if err := administer(s.URL(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("teststack: %v", err)
	}
	tb.Cleanup(func() {
		if err := administer(s.URL(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("teststack: %v", err)
		}
	})
	u, err := url.Parse(s.URL())
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func administer(serverURL, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", serverURL)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}

// Redis returns the URL of a Redis that the program's tests share: a test takes
// a prefix of its own.
func Redis(tb testing.TB) string {
	tb.Helper()
	return get(tb, RedisServer, testcontainers.WithCmd("redis-server", "--save", "", "--appendonly", "no")).URL()
}

// Mongo returns the URL of a MongoDB that the program's tests share: a test
// takes a database of its own.
func Mongo(tb testing.TB) string {
	tb.Helper()
	return get(tb, MongoServer).URL()
}

// Kafka returns the address of a broker that the program's tests share: a test
// takes a topic of its own.
func Kafka(tb testing.TB) string {
	tb.Helper()
	return get(tb, KafkaServer).URL()
}

// get returns the shared server of a kind. The name of the first to fail stays
// failed, so that not every test waits for it.
func get(tb testing.TB, kind Kind, opts ...testcontainers.ContainerCustomizer) *Server {
	tb.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if s := shared.servers[kind.name]; s != nil {
		return s
	}
	err := shared.failed[kind.name]
	if err == nil {
		var s *Server
		if s, err = kind.start(context.Background(), "", opts...); err == nil {
			if shared.servers == nil {
				shared.servers = make(map[string]*Server)
			}
			shared.servers[kind.name] = s
			return s
		}
		if shared.failed == nil {
			shared.failed = make(map[string]error)
		}
		shared.failed[kind.name] = err
	}
	Skip(tb, kind.name, err.Error())
	return nil
}
