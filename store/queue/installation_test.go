package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/queue"
)

// suspendsAll suspends every tenant, and is asked for none that is no tenant.
type suspendsAll struct{ t *testing.T }

func (s suspendsAll) Suspended(_ context.Context, tenant platform.TenantID) (bool, error) {
	if tenant == platform.NoTenant {
		s.t.Error("it was asked whether the installation is suspended")
	}
	return true, nil
}

func (suspendsAll) OnSuspension(func(platform.TenantID)) {}

// A job of the installation runs, whoever is suspended; a dead one is found and
// tried again.
func TestJobsOfTheInstallation(t *testing.T) {
	db := testdb.NewPlace(t).Open(t)
	q := newQueue(t, queue.Config{DB: db})
	q.Follow(suspendsAll{t}, nil)
	fail := true
	ran := make(chan queue.Job, 2)
	q.Handle("own", func(_ context.Context, j queue.Job) error {
		ran <- j
		if fail {
			fail = false
			return queue.Discard(errBoom)
		}
		return nil
	}, queue.Options{})
	start(t, q)
	var id string
	err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) (err error) {
		id, err = q.EnqueueAcross(ctx, tx, queue.Job{Kind: "own", Tenant: platform.NoTenant})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if j := <-ran; j.ID != id || j.Tenant != platform.NoTenant {
		t.Errorf("got %+v", j)
	}
	var dead []queue.DeadJob
	for len(dead) == 0 {
		if dead, err = q.Dead(t.Context(), platform.NoTenant, queue.DeadQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	if dead[0].ID != id || dead[0].Tenant != platform.NoTenant {
		t.Errorf("dead are %+v", dead)
	}
	if others, err := q.Dead(t.Context(), acme, queue.DeadQuery{}); err != nil || len(others) != 0 {
		t.Errorf("a tenant sees %+v, %v", others, err)
	}
	if err := q.Retry(t.Context(), acme, id); !errors.Is(err, platform.ErrNotFound) {
		t.Errorf("a tenant retries it: %v", err)
	}
	if err := q.Retry(t.Context(), platform.NoTenant, id); err != nil {
		t.Fatal(err)
	}
	if j := <-ran; j.ID != id {
		t.Errorf("got %+v", j)
	}
}
