package queue_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// A job that was given to another process while its handler was on its way to
// success stays that process's: the late result deletes nothing, and is told.
func TestResultThatComesTooLate(t *testing.T) {
	testdb.Prepare(t)
	synctest.Test(t, func(t *testing.T) {
		db := testdb.NewPlace(t).Open(t)
		var log bytes.Buffer
		q := newQueue(t, queue.Config{DB: db, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		began, end := make(chan string), make(chan struct{})
		q.Handle("late", func(_ context.Context, j queue.Job) error { began <- j.ID; <-end; return nil }, queue.Options{})
		start(t, q)
		enqueue(t, q, db, acme, queue.Job{Kind: "late"}, queue.Job{Kind: "late"})
		taken := <-began
		<-began
		err := db.InTenant(t.Context(), acme, func(ctx context.Context, tx store.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE jobs SET fence = fence + 1, owner = 'another' WHERE tenant = ? AND id = ?`, string(acme), taken)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		close(end)
		synctest.Wait()
		stop(t, q)
		if s := stats(t, q); s.Running != 1 || s.Ready != 0 {
			t.Errorf("left %+v, want the other process's job alone", s)
		}
		if n := strings.Count(log.String(), "given to another run"); n != 1 || !strings.Contains(log.String(), taken) {
			t.Errorf("told %d times: %s", n, log.String())
		}
	})
}
