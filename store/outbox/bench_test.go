package outbox_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/sqlevents"
)

// BenchmarkRelay measures events from the outbox to the stream of the same store,
// to Kafka, and to a stream that is elsewhere and takes no time.
func BenchmarkRelay(b *testing.B) {
	broker := startKafka(b)
	testdb.OnEach(b, func(b *testing.B, db testdb.DB) {
		b.Helper()
		for _, batch := range []int{100, 500, 2000} {
			b.Run(fmt.Sprintf("in the store %d", batch), func(b *testing.B) {
				benchmarkRelay(b, db, func() (module, error) {
					return sqlevents.New(sqlevents.Config{DB: db, Relay: outbox.Config{Batch: batch}})
				})
			})
			b.Run(fmt.Sprintf("kafka %d", batch), func(b *testing.B) { benchmarkRelay(b, db, relayTo(db, broker, batch)) })
			b.Run(fmt.Sprintf("nowhere %d", batch), func(b *testing.B) { benchmarkRelay(b, db, relayTo(db, &nowhere{}, batch)) })
		}
	})
}

// startKafka returns a stream on a broker of the benchmark's own.
func startKafka(b *testing.B) *kafka.Events {
	b.Helper()
	s := teststack.Start(b, teststack.KafkaServer)
	direct := s.Direct(b)
	e, err := kafka.New(kafka.Config{
		Brokers: []string{s.URL()}, Topic: "bench", Plaintext: true, Replication: 1,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, direct)
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Stop(context.Background()) })
	for range 1000 { // the broker compiles what it runs often
		var events []platform.Event
		for n := range 20 {
			ev := event(acme, n)
			ev.ID = platform.NewID("evt")
			events = append(events, ev)
		}
		if err := e.Publish(context.Background(), events...); err != nil {
			b.Fatal(err)
		}
	}
	return e
}

// nowhere is a stream that takes everything.
type nowhere struct{ remote }

func (*nowhere) Publish(context.Context, ...platform.Event) error { return nil }

// module is a relay, or a stream with its own.
type module interface {
	platform.Starter
	platform.Stopper
}

func relayTo(db store.Relational, e store.Events, batch int) func() (module, error) {
	return func() (module, error) { return outbox.New(outbox.Config{DB: db, Events: e, Batch: batch}) }
}

func benchmarkRelay(b *testing.B, db store.Relational, relay func() (module, error)) {
	b.Helper()
	if e := startEvents(b, db, outbox.Config{}); e.Stop(context.Background()) != nil { // it made its tables
		b.Fatal("the stream did not stop")
	}
	const total = 20_000
	for b.Loop() {
		b.StopTimer()
		exec(b, db, `DELETE FROM event_log`)
		for n := 0; n < total; n += 500 {
			err := db.AcrossTenants(context.Background(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
				var events []platform.Event
				for i := range 500 {
					ev := event(acme, n+i)
					ev.ID = platform.NewID("evt")
					events = append(events, ev)
				}
				return tx.Emit(ctx, events...)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		r, err := relay()
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Start(context.Background()); err != nil {
			b.Fatal(err)
		}
		for left := true; left; time.Sleep(time.Millisecond) {
			left = waiting(b, db)
		}
		if err := r.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(total*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// waiting reports whether the outbox has events.
func waiting(b *testing.B, db store.Relational) (found bool) {
	b.Helper()
	err := db.AcrossTenants(context.Background(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM outbox)`).Scan(&found)
	}, store.ReadOnly)
	if err != nil {
		b.Fatal(err)
	}
	return found
}

// BenchmarkEmit measures what an event adds to a transaction that inserts two
// small rows and does nothing else. Of what it adds to the insert of a record see
// the benchmark of that name in sqldocs.
func BenchmarkEmit(b *testing.B) {
	testdb.OnEach(b, func(b *testing.B, db testdb.DB) {
		b.Helper()
		for _, writers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%d writers", writers), func(b *testing.B) {
				testdb.Compare(b, writers, func() error { return business(db, 0) }, func() error { return business(db, 1) })
			})
		}
	})
}

func business(db store.Relational, events int) error {
	return db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
		for range 2 { // rows of the inbox, which is there anyway
			e := event(acme, 0)
			e.ID = platform.NewID("evt")
			if _, err := tx.Once(ctx, "bench", e); err != nil {
				return err
			}
		}
		if events == 0 {
			return nil
		}
		e := event(acme, 0)
		e.ID = platform.NewID("evt")
		return tx.Emit(ctx, e)
	})
}
