package consumer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/consumer"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

const (
	acme = platform.TenantID("org_acme")
	beta = platform.TenantID("org_beta")
)

// stream is a stream that delivers what the test says.
type stream struct {
	store.Events
	group   string
	handle  chan store.EventHandler
	failure error
}

func (s *stream) Consume(ctx context.Context, group string, h store.EventHandler) error {
	if s.failure != nil {
		return s.failure
	}
	s.group = group
	s.handle <- h
	<-ctx.Done()
	return nil
}

type placed struct {
	Amount int `json:"amount"`
}

func event(tenant platform.TenantID, n int, eventType, data string) platform.Event {
	return platform.Event{
		ID: fmt.Sprint("evt_", n), Source: "/shop", Type: eventType, Tenant: tenant, Subject: fmt.Sprint("order/", n),
		Time: time.UnixMicro(int64(n)), Data: json.RawMessage(data),
	}
}

// openTables opens a store with a table for effects.
func openTables(t *testing.T) store.Relational {
	t.Helper()
	db := testdb.NewPlace(t).Open(t)
	text := []byte("CREATE TABLE effects (tenant TEXT NOT NULL, id TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (tenant, id));")
	if err := db.Migrate(t.Context(), store.Migrations{Component: "effects", Files: fstest.MapFS{
		"sqlite/0001_effects.sql": {Data: text}, "postgres/0001_effects.sql": {Data: text},
	}}); err != nil {
		t.Fatal(err)
	}
	return db
}

// effects are what a tenant's functions have written.
func effects(t *testing.T, db store.Relational, tenant platform.TenantID) string {
	t.Helper()
	var all []string
	err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		all = nil
		return tx.NewSelect().Table("effects").ColumnExpr("id || '=' || amount").Where("tenant = ?", tx.Tenant()).Order("id").Scan(ctx, &all)
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// write is the effect of an event.
func write(ctx context.Context, tx store.Tx, e platform.Event, amount int) error {
	_, err := tx.Exec(ctx, "INSERT INTO effects (tenant, id, amount) VALUES (?, ?, ?)", tx.Tenant(), e.ID, amount)
	return err
}

// begin starts a consumer over a stream of the test's and returns its handler.
func begin(t *testing.T, cfg consumer.Config, handlers ...consumer.Handler) store.EventHandler {
	t.Helper()
	s := &stream{handle: make(chan store.EventHandler)}
	cfg.Name, cfg.Events = "billing", s
	c, err := consumer.New(cfg, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h := <-s.handle
	if s.group != "billing" || c.Check(t.Context()) != nil || c.Name() != "billing" {
		t.Errorf("group %q, check %v, name %q", s.group, c.Check(t.Context()), c.Name())
	}
	return h
}

// An event has its effect once, however often it comes, and only for the function
// that its type fits.
func TestEventsHaveTheirEffectOnce(t *testing.T) {
	db := openTables(t)
	h := begin(t, consumer.Config{DB: db},
		consumer.On("shop.order.placed", func(ctx context.Context, tx store.Tx, e platform.Event, o placed) error {
			return write(ctx, tx, e, o.Amount)
		}),
		consumer.On("shop.*", func(ctx context.Context, tx store.Tx, e platform.Event, _ json.RawMessage) error {
			return write(ctx, tx, e, -1)
		}))
	batch := []platform.Event{
		event(acme, 1, "shop.order.placed", `{"amount":10,"added":"later"}`), event(beta, 2, "shop.order.placed", `{"amount":20}`),
		event(acme, 3, "shop.order.sent", ""), event(acme, 4, "shopping.list", ""), event(acme, 5, "shop.order.placed", ""),
	}
	for range 2 {
		if err := h(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if got := effects(t, db, acme); got != "evt_1=10 evt_3=-1 evt_5=0" {
		t.Errorf("acme has %s", got)
	}
	if got := effects(t, db, beta); got != "evt_2=20" {
		t.Errorf("beta has %s", got)
	}
}

// A failure undoes the tenant's effects of the batch, has the batch delivered
// again, and leaves other tenants theirs.
func TestAFailureIsDeliveredAgain(t *testing.T) {
	db := openTables(t)
	boom := platform.Errorf(platform.KindUnavailable, "down", "it is down")
	fail := true
	h := begin(t, consumer.Config{DB: db}, consumer.On("shop.order.placed", func(ctx context.Context, tx store.Tx, e platform.Event, o placed) error {
		if err := write(ctx, tx, e, o.Amount); err != nil || !fail || e.ID != "evt_2" {
			return err
		}
		return boom
	}))
	batch := []platform.Event{
		event(acme, 1, "shop.order.placed", `{"amount":1}`), event(acme, 2, "shop.order.placed", `{"amount":2}`), event(beta, 3, "shop.order.placed", `{"amount":3}`),
	}
	err := h(t.Context(), batch)
	if !errors.Is(err, boom) || platform.KindOf(err) != platform.KindUnavailable || !strings.Contains(err.Error(), "evt_2") {
		t.Errorf("got %v", err)
	}
	if a, b := effects(t, db, acme), effects(t, db, beta); a != "" || b != "evt_3=3" {
		t.Errorf("after the failure acme has %q and beta %q", a, b)
	}
	fail = false
	if err := h(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if a, b := effects(t, db, acme), effects(t, db, beta); a != "evt_1=1 evt_2=2" || b != "evt_3=3" {
		t.Errorf("afterwards acme has %q and beta %q", a, b)
	}
}

// Data of another type holds nobody up: it is logged, and kept where the host says.
func TestDataOfAnotherType(t *testing.T) {
	db := openTables(t)
	for _, keep := range []bool{false, true} {
		var log bytes.Buffer
		cfg := consumer.Config{DB: db, Logger: slog.New(slog.NewJSONHandler(&log, nil))}
		n := 10
		if keep {
			n = 20
			cfg.Reject = func(ctx context.Context, tx store.Tx, e platform.Event, cause error) error {
				if cause == nil {
					t.Error("no cause")
				}
				return write(ctx, tx, e, -7)
			}
		}
		h := begin(t, cfg, consumer.On("shop.*", func(ctx context.Context, tx store.Tx, e platform.Event, o placed) error {
			return write(ctx, tx, e, o.Amount)
		}))
		if err := h(t.Context(), []platform.Event{event(acme, n, "shop.order.placed", `{"amount":"x"}`), event(acme, n+1, "shop.order.placed", `{"amount":1}`)}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), fmt.Sprint("evt_", n)) || !strings.Contains(log.String(), `"level":"ERROR"`) {
			t.Errorf("the log has %s", log.String())
		}
	}
	if got := effects(t, db, acme); got != "evt_11=1 evt_20=-7 evt_21=1" {
		t.Errorf("acme has %s", got)
	}
}

// A stream that fails for good shows in the health check.
func TestAStreamThatEnds(t *testing.T) {
	testdb.SQLiteOnly(t)
	boom := errors.New("boom")
	var once sync.Once
	logged := make(chan struct{})
	c, err := consumer.New(consumer.Config{
		Name: "billing", DB: openTables(t), Events: &stream{failure: boom},
		Logger: slog.New(slog.NewTextHandler(writerFunc(func([]byte) { once.Do(func() { close(logged) }) }), nil)),
	}, consumer.On("*", func(context.Context, store.Tx, platform.Event, any) error { return nil }))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-logged
	if err := c.Stop(t.Context()); err != nil { // it has ended when Stop returns
		t.Error(err)
	}
	if err := c.Check(t.Context()); !errors.Is(err, boom) {
		t.Errorf("the check says %v", err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func TestConfig(t *testing.T) {
	testdb.SQLiteOnly(t)
	_, err := consumer.New(consumer.Config{}, consumer.On[any]("", nil))
	for _, want := range []string{"Name", "DB", "Events", "a pattern and a function"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s: %v", want, err)
		}
	}
	if _, err := consumer.New(consumer.Config{Name: "x", DB: openTables(t), Events: &stream{}}); err == nil || !strings.Contains(err.Error(), "consumer.On") {
		t.Errorf("without handlers: %v", err)
	}
}
