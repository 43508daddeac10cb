package analytics_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/testdb"
)

// placeToFill makes the test binary a process that ingests into that place until
// it is killed.
const placeToFill = "ANALYTICS_TEST_FILL"

// killWorkers ingest at once, so that the kill meets shared transactions.
const killWorkers = 4

func killBatch(round, worker, n int) []analytics.Event {
	return many(fmt.Sprintf("%d.%d.%d.", round, worker, n), 20)
}

// fill prints a line for each batch that was acknowledged, after that.
func fill(place string, round int) error {
	ctx := context.Background()
	db, err := testdb.Connect(ctx, place)
	if err != nil {
		return err
	}
	s, err := analytics.New(analytics.Config{DB: db, Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for worker := range killWorkers {
		wg.Go(func() {
			for n := 0; ; n++ {
				got, err := s.Ingest(ctx, platform.System(tenantA, "test"), killBatch(round, worker, n))
				if err != nil || got.Accepted != 20 {
					panic(fmt.Sprintf("got %+v, %v", got, err))
				}
				mu.Lock()
				fmt.Printf("%d %d\n", worker, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// TestKill kills a process in the middle of its work: what it acknowledged is
// there, and when everything is sent again nothing is there twice.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	place := testdb.NewPlace(t)
	total := int64(0)
	for round := range 5 {
		sent := fillAndKill(t, place, round)
		db := place.Open(t)
		s := newService(t, analytics.Config{DB: db})
		for worker, n := range sent {
			for i := range n + 1 { // and the one that had no answer
				got, err := s.Ingest(t.Context(), platform.System(tenantA, "test"), killBatch(round, worker, i))
				if err != nil || got.Accepted+got.Duplicates != 20 {
					t.Fatalf("again: %+v, %v", got, err)
				}
				if i < n && got.Accepted != 0 {
					t.Errorf("round %d: of an acknowledged batch %d events were lost", round, got.Accepted)
				}
				if got.Accepted != 0 && got.Duplicates != 0 {
					t.Errorf("round %d: half a batch was written", round)
				}
				total += 20
			}
		}
		if n := count(t, s, tenantA, "n"); n != total {
			t.Errorf("round %d: %d events, want %d", round, n, total)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fillAndKill returns how many batches each worker had acknowledged.
func fillAndKill(t *testing.T, place *testdb.Place, round int) []int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", placeToFill, round, place.Name()))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := make([]int, killWorkers)
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		var worker, batch int
		if _, err := fmt.Sscan(lines.Text(), &worker, &batch); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		acknowledged[worker] = batch + 1
		if n == 10+7*round {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	if slices.Max(acknowledged) == 0 {
		t.Fatal("the process did nothing")
	}
	return acknowledged
}
