package queue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/sqlite"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqlite.New(filepath.Join(dir, "acme.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	jobs, err := queue.New(queue.Config{DB: db})
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan struct{})
	jobs.Handle("mail.welcome", func(_ context.Context, job queue.Job) error {
		fmt.Printf("attempt %d for %s: %s\n", job.Attempt, job.Tenant, job.Payload)
		close(done)
		return nil
	}, queue.Options{})

	p, err := platform.New(platform.Config{}, db, jobs)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	// The job exists if the transaction that needs it commits.
	err = db.InTenant(ctx, "org_acme", func(ctx context.Context, tx store.Tx) error {
		_, err := jobs.Enqueue(ctx, tx, queue.Job{Kind: "mail.welcome", Payload: json.RawMessage(`{"to":"ada@example.com"}`)})
		return err
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-done
	if err := p.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output: attempt 1 for org_acme: {"to":"ada@example.com"}
}
