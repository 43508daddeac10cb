package notify_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
)

// One message for one recipient of each event, in batches of 500; the time is
// that of one event.
func BenchmarkConsumeInbox(b *testing.B) {
	w := start(b, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	benchmarkConsume(b, w, recordCreated)
}

// Events that no rule wants.
func BenchmarkConsumeUnwanted(b *testing.B) {
	w := start(b, func(c *notify.Config) { c.Rules = []notify.Rule{builtin()} })
	benchmarkConsume(b, w, func(t platform.TenantID, n int) platform.Event {
		e := recordCreated(t, n)
		e.Type = "data.record.updated"
		return e
	})
}

func benchmarkConsume(b *testing.B, w *world, event func(platform.TenantID, int) platform.Event) {
	const size = 500
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		batch := make([]platform.Event, size)
		for i := range batch {
			batch[i] = event(acme, n)
			n++
		}
		b.StartTimer()
		if err := w.svc.Consume(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/event")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkSign(b *testing.B) {
	body := []byte(fmt.Sprintf("%01000d", 0))
	secrets := []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"}
	for b.Loop() {
		if _, err := notify.Signatures(secrets, "dlv_1", 1614265330, body); err != nil {
			b.Fatal(err)
		}
	}
}
