package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlite"
)

const mib = 1 << 20

// onDisk opens a file on a disk with as much room as left says.
func onDisk(t *testing.T, path string, left *atomic.Int64, opts ...sqlite.Option) *sqlite.DB {
	t.Helper()
	free := func(folder string) (int64, error) {
		if folder != filepath.Dir(path) {
			t.Errorf("asked about %s", folder)
		}
		return left.Load(), nil
	}
	return open(t, path, append([]sqlite.Option{sqlite.FreeBytes(free)}, opts...)...)
}

func isFull(err error) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.Kind == platform.KindUnavailable && e.Code == "store_full" && e.RetryAfter > 0
}

// TestReserve fills a disk: in good time only what may use the reserve is
// written, and everything is again as soon as there is room.
func TestReserve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	var left atomic.Int64
	left.Store(64 * mib)
	db := onDisk(t, path, &left)
	table(t, db)
	must(t, insert(t.Context(), db, "acme", "one"))
	must(t, db.Check(t.Context()))

	left.Store(64*mib - 1)
	if err := insert(t.Context(), db, "acme", "two"); !isFull(err) {
		t.Errorf("with less than the reserve: %v", err)
	}
	if err := db.Check(t.Context()); !isFull(err) || !strings.Contains(err.Error(), path) {
		t.Errorf("the check says %v", err)
	}
	must(t, db.Ping(t.Context()))
	must(t, reserved(t, db, "INSERT INTO things (tenant, id, body) VALUES ('acme', 'three', '')"))
	if n := count(t, db, "things"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	// Starting needs writes, too.
	must(t, db.Close())
	db = onDisk(t, path, &left)
	if err := insert(t.Context(), db, "acme", "two"); !isFull(err) {
		t.Errorf("after another start: %v", err)
	}

	left.Store(64 * mib)
	must(t, insert(t.Context(), db, "acme", "two"))
	must(t, db.Check(t.Context()))
}

func reserved(t *testing.T, db *sqlite.DB, query string) error {
	t.Helper()
	return db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, query)
		return err
	}, store.Reserved)
}

// Deleting makes room where the file keeps its size.
func TestFreePagesAreRoom(t *testing.T) {
	var left atomic.Int64
	left.Store(1 << 40)
	db := onDisk(t, filepath.Join(t.TempDir(), "test.db"), &left, sqlite.Reserve(2*mib))
	table(t, db)
	execute(t, db, "INSERT INTO things (tenant, id, body) VALUES ('acme', 'large', ?)", strings.Repeat("x", 4*mib))
	left.Store(1 * mib)
	if err := insert(t.Context(), db, "acme", "one"); !isFull(err) {
		t.Errorf("a full disk: %v", err)
	}
	must(t, reserved(t, db, "DELETE FROM things"))
	must(t, insert(t.Context(), db, "acme", "one"))
	must(t, db.Check(t.Context()))
	left.Store(mib/2 - 1) // the log needs some of the disk all the same
	if err := insert(t.Context(), db, "acme", "two"); !isFull(err) {
		t.Errorf("no room for the log: %v", err)
	}
}

func TestNoReserve(t *testing.T) {
	unknown := func(string) (int64, error) { return -1, nil }
	fails := func(string) (int64, error) { return 0, errors.New("no statfs") }
	empty := func(string) (int64, error) { return 0, nil }
	for name, opts := range map[string][]sqlite.Option{
		"none":    {sqlite.Reserve(0), sqlite.FreeBytes(empty)},
		"unknown": {sqlite.FreeBytes(unknown)},
		"fails":   {sqlite.FreeBytes(fails)},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, filepath.Join(t.TempDir(), "test.db"), opts...)
			table(t, db)
			must(t, db.Check(t.Context()))
		})
	}
}

// A write that finds no room for a reason that the disk does not tell shows in
// the check, for as long as callers are told to wait.
func TestCheckAfterARefusedWrite(t *testing.T) {
	clk := testclock.At(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	db := open(t, filepath.Join(t.TempDir(), "test.db"), sqlite.Clock(clk.Now))
	table(t, db)
	// The file may not grow.
	must(t, db.AcrossTenants(t.Context(), crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		var n int
		return tx.QueryRow(ctx, "PRAGMA max_page_count = 1").Scan(&n)
	}))
	err := db.InTenant(t.Context(), "acme", func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO things (tenant, id, body) VALUES ('acme', 'large', ?)", strings.Repeat("x", mib))
		return err
	})
	if !isFull(err) {
		t.Fatalf("the write: %v", err)
	}
	if err := db.Check(t.Context()); !isFull(err) {
		t.Errorf("the check says %v", err)
	}
	clk.Advance(30 * time.Second)
	must(t, db.Check(t.Context()))
}
