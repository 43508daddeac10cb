package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
)

func TestMain(m *testing.M) { os.Exit(teststack.Main(m)) }

const (
	acme   platform.TenantID = "org_acme"
	globex platform.TenantID = "org_globex"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// config is for the broker of the tests, which is one.
func config(tb testing.TB, broker string) kafka.Config {
	tb.Helper()
	return kafka.Config{
		Brokers: []string{broker}, Topic: platform.NewID("test"), Plaintext: true,
		Partitions: 4, Replication: 1, SessionTimeout: 6 * time.Second, Logger: logger(tb),
	}
}

// logger writes to the test's log as long as the test runs.
func logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	w := &testWriter{tb: tb}
	tb.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tb = nil
	})
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct {
	mu sync.Mutex
	tb testing.TB
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tb != nil {
		w.tb.Log(string(p[:len(p)-1]))
	}
	return len(p), nil
}

// start starts a stream that ends with the test.
func start(tb testing.TB, cfg kafka.Config) *kafka.Events {
	tb.Helper()
	e, err := kafka.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			tb.Error(err)
		}
	})
	if err := e.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return e
}

func event(tenant platform.TenantID, subject string, n int) platform.Event {
	return platform.Event{
		ID: fmt.Sprintf("evt_%s_%s_%d", tenant, subject, n), Source: "/test", Type: "test.thing.changed",
		Tenant: tenant, Subject: subject, Actor: "usr_1",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC), Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

// events returns n events of each subject, the subjects by turns.
func events(tenant platform.TenantID, from, to int, subjects ...string) []platform.Event {
	var all []platform.Event
	for n := from; n < to; n++ {
		for _, s := range subjects {
			all = append(all, event(tenant, s, n))
		}
	}
	return all
}

func publish(tb testing.TB, e *kafka.Events, all ...platform.Event) {
	tb.Helper()
	if err := e.Publish(tb.Context(), all...); err != nil {
		tb.Fatal(err)
	}
}

// consume runs a consumer until end is called, which waits for it.
func consume(tb testing.TB, e *kafka.Events, group string, h store.EventHandler) (end func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- e.Consume(ctx, group, h) }()
	var once sync.Once
	end = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				tb.Errorf("Consume: %v", err)
			}
		})
	}
	tb.Cleanup(end)
	return end
}

// until waits for a condition.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s did not come", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// inbox is a handler that remembers what it got.
type inbox struct {
	mu     sync.Mutex
	events []platform.Event
	seen   map[string]int
}

func (i *inbox) handle(_ context.Context, batch []platform.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.seen == nil {
		i.seen = make(map[string]int)
	}
	for _, e := range batch {
		i.events = append(i.events, e)
		i.seen[e.ID]++
	}
	return nil
}

// distinct is how many events came, duplicates left out.
func (i *inbox) distinct() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.seen)
}

func (i *inbox) all() []platform.Event {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]platform.Event(nil), i.events...)
}

// duplicates is how many deliveries were not the first.
func (i *inbox) duplicates() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.events) - len(i.seen)
}

// wantOrder checks that the first deliveries of each tenant's subjects are in
// the order 0, 1, 2 without a gap, each subjects with n.
func (i *inbox) wantOrder(tb testing.TB, n int) {
	tb.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	next, seen := map[string]int{}, map[string]bool{}
	for _, e := range i.events {
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		key := string(e.Tenant) + "/" + e.Subject
		if want := event(e.Tenant, e.Subject, next[key]).ID; e.ID != want {
			tb.Fatalf("%s: got %s, want %s", key, e.ID, want)
		}
		next[key]++
	}
	for key, got := range next {
		if got != n {
			tb.Errorf("%s: %d events of %d", key, got, n)
		}
	}
}
