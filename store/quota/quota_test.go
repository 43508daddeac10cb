package quota_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) store.Relational {
	t.Helper()
	db := testdb.NewPlace(t).Open(t)
	if err := quota.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

func take(t *testing.T, db store.Relational, tenant platform.TenantID, now time.Time, charges ...quota.Charge) error {
	t.Helper()
	return db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		return quota.Take(ctx, tx, now, charges...)
	})
}

func used(t *testing.T, db store.Relational, tenant platform.TenantID, now time.Time, name, subject string) (n int64) {
	t.Helper()
	err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		n, err = quota.Used(ctx, tx, now, name, subject)
		return err
	}, store.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTakeUpToTheLimit(t *testing.T) {
	db := open(t)
	three := quota.Charge{Name: "notify.emails", Amount: 3, Limit: 7}
	for i := range 2 {
		if err := take(t, db, "org_a", noon, three); err != nil {
			t.Fatalf("take %d: %v", i, err)
		}
	}
	err := take(t, db, "org_a", noon, three)
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.KindLimited || e.RetryAfter != 12*time.Hour {
		t.Errorf("over the limit: %v", err)
	}
	if err := take(t, db, "org_a", noon, quota.Charge{Name: "notify.emails", Amount: 1, Limit: 7}); err != nil {
		t.Errorf("the last unit: %v", err)
	}
	if n := used(t, db, "org_a", noon, "notify.emails", ""); n != 7 {
		t.Errorf("%d used, want 7", n)
	}
	if err := take(t, db, "org_a", noon, quota.Charge{Name: "first", Amount: 8, Limit: 7}); err == nil {
		t.Error("a first charge over the limit was taken")
	}
	// Another tenant, another subject and the next day have counters of their own.
	for name, try := range map[string]func() error{
		"tenant": func() error { return take(t, db, "org_b", noon, three) },
		"subject": func() error {
			return take(t, db, "org_a", noon, quota.Charge{Name: "notify.emails", Subject: "usr_1", Amount: 3, Limit: 7})
		},
		"day": func() error { return take(t, db, "org_a", noon.Add(12*time.Hour), three) },
	} {
		if err := try(); err != nil {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if r := quota.Resets(noon); !r.Equal(noon.Add(12 * time.Hour)) {
		t.Errorf("resets %v", r)
	}
}

func TestTakeAllOrNone(t *testing.T) {
	db := open(t)
	err := db.InTenant(t.Context(), "org_a", func(ctx context.Context, tx store.Tx) error {
		refused := quota.Take(ctx, tx, noon,
			quota.Charge{Name: "a", Amount: 2, Limit: 5}, quota.Charge{Name: "none", Limit: 0}, quota.Charge{Name: "b", Amount: 6, Limit: 5})
		if !errors.Is(refused, platform.ErrLimited) {
			t.Errorf("got %v", refused)
		}
		return nil // the transaction goes on and commits
	})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := used(t, db, "org_a", noon, "a", ""), used(t, db, "org_a", noon, "b", ""); a != 0 || b != 0 {
		t.Errorf("a refused call used %d and %d", a, b)
	}
}

func TestNoLimitIsCounted(t *testing.T) {
	db := open(t)
	if err := take(t, db, "org_a", noon, quota.Charge{Name: "a", Amount: 1 << 40, Limit: -1}); err != nil {
		t.Fatal(err)
	}
	if n := used(t, db, "org_a", noon, "a", ""); n != 1<<40 {
		t.Errorf("%d used", n)
	}
}

func TestRollbackUsesNothing(t *testing.T) {
	db := open(t)
	boom := errors.New("boom")
	err := db.InTenant(t.Context(), "org_a", func(ctx context.Context, tx store.Tx) error {
		return errors.Join(quota.Take(ctx, tx, noon, quota.Charge{Name: "a", Amount: 1, Limit: 1}), boom)
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if n := used(t, db, "org_a", noon, "a", ""); n != 0 {
		t.Errorf("%d used", n)
	}
}

// The transactions of many callers share one limit exactly.
func TestConcurrentTakes(t *testing.T) {
	db := open(t)
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		granted int
	)
	for range 30 {
		wg.Go(func() {
			err := take(t, db, "org_a", noon, quota.Charge{Name: "a", Amount: 1, Limit: 10})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				granted++
			case !errors.Is(err, platform.ErrLimited):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted != 10 {
		t.Errorf("%d were granted, want 10", granted)
	}
}

func TestTrim(t *testing.T) {
	db := open(t)
	for _, tenant := range []platform.TenantID{"org_a", "org_b"} {
		for days := range 4 {
			if err := take(t, db, tenant, noon.AddDate(0, 0, -days), quota.Charge{Name: "a", Amount: 1, Limit: 1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	more, err := quota.Trimmer(db, func() time.Time { return noon })(t.Context())
	if err != nil || more {
		t.Fatalf("trim: %v, %v", more, err)
	}
	for days, want := range []int64{1, 1, 0, 0} {
		if n := used(t, db, "org_a", noon.AddDate(0, 0, -days), "a", ""); n != want {
			t.Errorf("%d days ago: %d used, want %d", days, n, want)
		}
	}
}
