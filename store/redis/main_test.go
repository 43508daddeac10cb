package redis_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/redis"
)

func TestMain(m *testing.M) { os.Exit(teststack.Main(m)) }

const (
	acme = platform.TenantID("org_acme")
	zeta = platform.TenantID("org_zeta")
)

var prefixes atomic.Int64 // gives each test keys of its own on the shared server

func newPrefix() string { return fmt.Sprintf("test-%d", prefixes.Add(1)) }

// server returns the URL of the shared server, once it answers: its port is
// open before that.
func server(tb testing.TB) string {
	tb.Helper()
	url := teststack.Redis(tb)
	answers(tb, url)
	return url
}

func answers(tb testing.TB, url string) {
	tb.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	c := goredis.NewClient(o)
	defer c.Close()
	until(tb, "the server answers", func() bool { return c.Ping(tb.Context()).Err() == nil })
}

// open returns a client of the shared server with keys of its own.
func open(tb testing.TB) *redis.Client {
	tb.Helper()
	return openWith(tb, redis.Config{URL: server(tb), Prefix: newPrefix()})
}

func openWith(tb testing.TB, cfg redis.Config) *redis.Client {
	tb.Helper()
	cfg.Timeout = cmp.Or(cfg.Timeout, 20*time.Second) // a busy machine is no outage
	c, err := started(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// started connects.
func started(ctx context.Context, cfg redis.Config) (*redis.Client, error) {
	c, err := redis.New(cfg)
	if err != nil {
		return nil, err
	}
	if err := c.Start(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// until waits for what must come.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}
