package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store/outbox"
)

// script is a stream that fails in the calls that it is told to.
type script struct {
	remote

	fail map[int]error // by the number of the call, from 1
	n    int
}

func (s *script) Publish(ctx context.Context, events ...platform.Event) error {
	if s.n++; s.fail[s.n] != nil {
		return s.fail[s.n]
	}
	return s.remote.Publish(ctx, events...)
}

// A batch that fails in the middle of a turn is tried again; those before it are
// done, and the one after it, which was claimed by then, is not lost.
func TestABatchFailsInTheMiddleOfATurn(t *testing.T) {
	for call := 1; call <= 5; call++ {
		for name, err := range map[string]error{
			"unavailable": errors.New("unavailable"),
			"refused":     platform.Errorf(platform.KindTooLarge, "too_large", "too large for one call"),
		} {
			t.Run(fmt.Sprint(call, name), func(t *testing.T) {
				db := testdb.NewPlace(t).Open(t)
				emit(t, db, 0, 23)
				to := &script{fail: map[int]error{call: err}}
				r := startRelay(t, outbox.Config{DB: db, Events: to, Batch: 5, MinBackoff: 1, MaxBackoff: 1})
				until(t, "all is published", func() bool { return len(to.ids()) >= 23 })
				if err := r.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantIDs(t, "published", to.ids(), 0, 23)
				if s := stats(t, r); s.Depth != 0 || s.Dead != 0 {
					t.Errorf("left: %+v", s)
				}
			})
		}
	}
}

// A turn has an end: what waits is committed in pieces although more comes.
func TestATurnEnds(t *testing.T) {
	if !testdb.OnPostgres() {
		t.Skip("each batch is a transaction")
	}
	db := testdb.NewPlace(t).Open(t)
	const all = 100
	emit(t, db, 0, all)
	to := &turns{began: make(chan struct{}, all), end: make(chan error)}
	r := startRelay(t, outbox.Config{DB: db, Events: to, Batch: 2, Interval: notNow})
	until(t, "the first turn is committed", func() bool {
		select {
		case to.end <- nil:
		default:
		}
		return stats(t, r).Depth != all
	})
	if s := stats(t, r); s.Depth != all-2*outbox.TurnBatches {
		t.Errorf("after the first turn there are %d", s.Depth)
	}
	close(to.end)
	until(t, "all is published", func() bool { return len(to.ids()) == all })
	wantIDs(t, "published", to.ids(), 0, all)
}
