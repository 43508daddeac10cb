package queue_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

func benchQueue(b *testing.B, db store.Relational, workers int, h queue.Handler) *queue.Queue {
	b.Helper()
	q, err := queue.New(queue.Config{DB: db, Workers: workers, TenantWorkers: workers})
	if err != nil {
		b.Fatal(err)
	}
	q.Handle("job", h, queue.Options{})
	if err := q.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = q.Stop(context.Background()) })
	return q
}

func add(b *testing.B, db store.Relational, q *queue.Queue, n int) {
	b.Helper()
	err := db.InTenant(context.Background(), acme, func(ctx context.Context, tx store.Tx) error {
		for range n {
			if _, err := q.Enqueue(ctx, tx, queue.Job{Kind: "job", Payload: []byte(`{"message":"msg_01","endpoint":"end_01"}`)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLatency measures an idle queue: from the call that commits a job to
// its handler.
func BenchmarkLatency(b *testing.B) { testdb.OnEach(b, benchmarkLatency) }

func benchmarkLatency(b *testing.B, db testdb.DB) {
	b.Helper()
	ran := make(chan struct{})
	q := benchQueue(b, db, 16, func(context.Context, queue.Job) error { ran <- struct{}{}; return nil })
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		add(b, db, q, 1)
		<-ran
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkThroughput measures jobs that do nothing, 10,000 at a time: how many a
// second are enqueued in one transaction, and then done.
func BenchmarkThroughput(b *testing.B) { testdb.OnEach(b, benchmarkThroughput) }

func benchmarkThroughput(b *testing.B, db testdb.DB) {
	b.Helper()
	const jobs = 10_000
	ran := make(chan struct{}, jobs)
	q := benchQueue(b, db, 64, func(context.Context, queue.Job) error { ran <- struct{}{}; return nil })
	var adding, working time.Duration
	for b.Loop() {
		began := time.Now()
		add(b, db, q, jobs)
		added := time.Now()
		for range jobs {
			<-ran
		}
		adding, working = adding+added.Sub(began), working+time.Since(added)
	}
	b.ReportMetric(jobs*float64(b.N)/adding.Seconds(), "enqueued/s")
	b.ReportMetric(jobs*float64(b.N)/working.Seconds(), "done/s")
}

// BenchmarkEnqueue measures transactions that enqueue one job and do nothing else.
func BenchmarkEnqueue(b *testing.B) {
	testdb.OnEach(b, func(b *testing.B, db testdb.DB) {
		b.Helper()
		q, err := queue.New(queue.Config{DB: db})
		if err != nil {
			b.Fatal(err)
		}
		if err := q.Start(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = q.Stop(context.Background()) })
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				add(b, db, q, 1)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enqueued/s")
	})
}
