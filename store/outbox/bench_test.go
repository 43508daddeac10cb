package outbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
)

// BenchmarkRelay measures events from the outbox to the stream of the same
// store, in batches of 500.
func BenchmarkRelay(b *testing.B) {
	db := testdb.NewPlace(b).Open(b)
	e := startEvents(b, db)
	const total = 20_000
	for b.Loop() {
		b.StopTimer()
		exec(b, db, `DELETE FROM event_log`)
		for n := 0; n < total; n += 500 {
			err := db.AcrossTenants(context.Background(), func(ctx context.Context, tx store.Tx) error {
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
		r, err := outbox.New(outbox.Config{DB: db, Events: e})
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Start(context.Background()); err != nil {
			b.Fatal(err)
		}
		for {
			s, err := r.Stats(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			if s.Depth == 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := r.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/total, "ns/event")
}
