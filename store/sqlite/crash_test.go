package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

// child is the test binary in another process; see TestMain. It writes on
// standard output what it was acknowledged.
func child(role string) int {
	ctx := context.Background()
	if role == "cycle" {
		return cycle(ctx, os.Getenv("SQLITE_TEST_PATH"))
	}
	db, err := started(ctx, os.Getenv("SQLITE_TEST_PATH"))
	if err != nil {
		fmt.Println("open:", err)
		return 2
	}
	if role == "hold" {
		fmt.Println("open")
		<-ctx.Done() // until it is killed
	}
	run := os.Getenv("SQLITE_TEST_RUN")
	var (
		wg  sync.WaitGroup
		out sync.Mutex
	)
	if role == "limit" {
		limitFileSize()
	}
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", run, worker, i)
				err := db.InTenant(ctx, "acme", func(ctx context.Context, tx store.Tx) error {
					if err := insertIn(ctx, tx, id); err != nil {
						return err
					}
					return tx.Emit(ctx, platform.Event{ID: id, Source: "/s", Type: "t", Tenant: "acme", Subject: "s", Time: now()})
				})
				out.Lock()
				if err == nil {
					fmt.Println(id)
				} else {
					fmt.Println("error:", errors.Is(err, platform.ErrUnavailable), err)
				}
				out.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return 0
}

// cycle opens, writes and closes, again and again.
func cycle(ctx context.Context, path string) int {
	for i := 0; ; i++ {
		fmt.Println("opening")
		db, err := started(ctx, path)
		if err != nil {
			fmt.Println("open:", err)
			return 2
		}
		fmt.Println("writing")
		err = db.AcrossTenants(ctx, crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			_, err := tx.Exec(ctx, thingsTable)
			return err
		})
		if err == nil {
			err = insert(ctx, db, "acme", fmt.Sprintf("%s-%d", os.Getenv("SQLITE_TEST_RUN"), i))
		}
		fmt.Println("closing")
		if err = errors.Join(err, db.Close()); err != nil {
			fmt.Println("error:", err)
			return 2
		}
		fmt.Println("closed")
	}
}

// spawn starts a child and returns its output as lines.
func spawn(t *testing.T, role, path, run string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "SQLITE_TEST_CHILD="+role, "SQLITE_TEST_PATH="+path, "SQLITE_TEST_RUN="+run)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(pipe)
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	cmd, lines := spawn(t, "hold", path, "")
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("the child says %q", lines.Text())
	}
	if _, err := started(t.Context(), path); !errors.Is(err, sqlite.ErrOpen) {
		t.Errorf("error %v, want ErrOpen", err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	open(t, path) // the lock went with the process
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := started(t.Context(), path)
	must(t, err)
	table(t, db)
	must(t, db.Close())

	acknowledged := make(map[string]bool)
	for run := range 5 {
		cmd, lines := spawn(t, "write", path, fmt.Sprint(run))
		for n := 0; lines.Scan(); n++ {
			if n == 500+137*run { // in the middle of the load
				must(t, cmd.Process.Kill())
			}
			acknowledged[lines.Text()] = true
		}
		_ = cmd.Wait()

		db, err := started(t.Context(), path)
		must(t, err)
		lost := lostOf(t, db, acknowledged)
		orphans := count(t, db, "outbox WHERE id NOT IN (SELECT id FROM things)") +
			count(t, db, "things WHERE id NOT IN (SELECT id FROM outbox)")
		if lost != 0 || orphans != 0 {
			t.Errorf("kill %d: %d of %d acknowledged are lost, %d rows without their event or the other way round",
				run, lost, len(acknowledged), orphans)
		}
		must(t, db.Close())
	}
	t.Logf("5 kills, %d acknowledged", len(acknowledged))
}

// A disk that refuses to take more gives errors, not false acknowledgements.
func TestDiskThatRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := started(t.Context(), path)
	must(t, err)
	table(t, db)
	must(t, db.Close())

	if runtime.GOOS == "windows" {
		t.Skip("there is no limit for the size of files")
	}
	acknowledged, refused := make(map[string]bool), 0
	cmd, lines := spawn(t, "limit", path, "0")
	for lines.Scan() {
		unavailable, failed := strings.CutPrefix(lines.Text(), "error: ")
		if !failed {
			acknowledged[lines.Text()] = true
			continue
		}
		refused++
		if !strings.HasPrefix(unavailable, "true") {
			t.Errorf("not of KindUnavailable: %s", unavailable)
		}
	}
	must(t, cmd.Wait())
	if refused == 0 || len(acknowledged) == 0 {
		t.Errorf("%d acknowledged, %d refused", len(acknowledged), refused)
	}
	db = open(t, path)
	if lost := lostOf(t, db, acknowledged); lost != 0 {
		t.Errorf("%d of %d acknowledged are lost", lost, len(acknowledged))
	}
	// A refused commit may not come back either.
	if n := count(t, db, "things"); n != len(acknowledged) {
		t.Errorf("%d rows, %d acknowledged", n, len(acknowledged))
	}
}

func lostOf(t *testing.T, db *sqlite.DB, acknowledged map[string]bool) int {
	t.Helper()
	there := make(map[string]bool)
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		rows, err := tx.Query(ctx, "SELECT id FROM things")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			there[id] = true
		}
		return rows.Err()
	}, store.ReadOnly))
	lost := 0
	for id := range acknowledged {
		if !there[id] {
			lost++
		}
	}
	return lost
}
