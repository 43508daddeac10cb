package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/sqlite"
)

type receipt struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

const sendReceipt queue.Kind[receipt] = "shop.receipt.send"

// A handler gets its own type; what is none is dead at the first attempt, with a
// reason that does not repeat it, and does not run.
func TestTypedJobs(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	q := newQueue(t, queue.Config{DB: db})
	got := make(chan receipt, 10)
	queue.Handle(q, sendReceipt, func(_ context.Context, job queue.Job, r receipt) error {
		if job.Tenant != acme || job.Attempt != 1 || job.Priority != 3 {
			t.Errorf("the job is %+v", job)
		}
		got <- r
		return nil
	}, queue.Options{})
	start(t, q)
	bad := []string{``, `{"order":"o1","amount":"hunter2"}`, `{"order":"o1","hunter2":1}`, `{"Order":"o1"}`, `[]`}
	var jobs []queue.Job
	for _, payload := range bad {
		jobs = append(jobs, queue.Job{Kind: string(sendReceipt), Payload: json.RawMessage(payload)})
	}
	enqueue(t, q, db, acme, jobs...)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		set := func(j *queue.Job) { j.Priority, j.Kind, j.UniqueKey = 3, "another", "o1" }
		first, err := queue.Enqueue(ctx, q, tx, sendReceipt, receipt{"o1", 12}, set)
		if err != nil {
			return err
		}
		second, err := queue.Enqueue(ctx, q, tx, sendReceipt, receipt{"o1", 12}, set)
		if second != first {
			t.Errorf("two jobs of one unique key: %s and %s", first, second)
		}
		return err
	}))
	select {
	case r := <-got:
		if r != (receipt{"o1", 12}) {
			t.Errorf("got %+v", r)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the job does not run")
	}
	var dead []queue.DeadJob
	for deadline := time.Now().Add(10 * time.Second); len(dead) < len(bad); {
		if time.Now().After(deadline) {
			t.Fatalf("%d jobs are dead", len(dead))
		}
		var err error
		dead, err = q.Dead(t.Context(), acme, queue.DeadQuery{})
		must(err)
	}
	for _, d := range dead {
		if d.Attempt != 1 || !strings.Contains(d.Cause, "the payload is not what the handler takes") {
			t.Errorf("after %d attempts: %q", d.Attempt, d.Cause)
		}
		if strings.Contains(d.Cause, `"hunter2"`) {
			t.Errorf("the cause repeats the payload: %s", d.Cause)
		}
	}
	if len(got) > 0 {
		t.Error("the handler got a payload that it does not take")
	}
}

func TestTypedMistakes(t *testing.T) {
	testdb.SQLiteOnly(t)
	db := testdb.NewPlace(t).Open(t)
	q := newQueue(t, queue.Config{DB: db})
	func() {
		defer func() {
			if p := recover(); p == nil {
				t.Error("a nil handler was taken")
			}
		}()
		queue.Handle(q, sendReceipt, nil, queue.Options{})
	}()
	const odd queue.Kind[func()] = "odd"
	err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
		_, err := queue.Enqueue(ctx, q, tx, odd, func() {})
		return err
	})
	var unsupported *json.UnsupportedTypeError
	if !errors.As(err, &unsupported) {
		t.Errorf("a payload that is no JSON: %v", err)
	}
}

// A kind names the payload's type, for who enqueues and who handles.
func ExampleHandle() {
	type Receipt struct {
		Order string `json:"order"`
	}
	const sendReceipt queue.Kind[Receipt] = "shop.receipt.send"

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
	queue.Handle(jobs, sendReceipt, func(_ context.Context, job queue.Job, r Receipt) error {
		fmt.Println("a receipt for", r.Order, "of", job.Tenant)
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
	err = db.InTenant(ctx, "org_acme", func(ctx context.Context, tx store.Tx) error {
		_, err := queue.Enqueue(ctx, jobs, tx, sendReceipt, Receipt{Order: "o1"})
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
	// Output: a receipt for o1 of org_acme
}
