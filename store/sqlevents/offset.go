package sqlevents

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/acme/platform/internal/background"
)

// commitEvery is the longest time that a finished batch waits for its offset to
// be stored: a trickle of events then costs ten writes a second, not one each.
const commitEvery = 100 * time.Millisecond

// offset is how far a consumer has come, in memory and in the store.
type offset struct {
	*consumer
	lose context.CancelCauseFunc

	mu       sync.Mutex
	done     int64 // finished by the handler
	stored   int64
	storedAt time.Time
}

func (o *offset) finished() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done
}

func (o *offset) finish(seq int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = seq
}

// storeIfDue stores what is finished where it waited long enough, and returns
// how long the consumer may wait before it has to ask again.
func (o *offset) storeIfDue(ctx context.Context) time.Duration {
	o.mu.Lock()
	pending, age := o.done != o.stored, o.cfg.Now().Sub(o.storedAt)
	o.mu.Unlock()
	switch {
	case !pending:
		return o.cfg.Interval
	case age < commitEvery:
		return min(commitEvery-age, o.cfg.Interval)
	}
	o.store(ctx)
	return o.cfg.Interval
}

// store stores what is finished and extends the lease with it.
func (o *offset) store(ctx context.Context) {
	seq := o.finished()
	err := o.renew(ctx, o.group, o.owner, seq)
	switch {
	case errors.Is(err, errLeaseLost):
		o.lose(err)
	case err != nil:
		// It is tried again with the next batch or renewal: until then the
		// lease still runs, and after it others may have the group.
		if ctx.Err() == nil {
			o.log.WarnContext(ctx, "offset not stored", slog.String("group", o.group), slog.Any("error", err))
		}
	default:
		o.mu.Lock()
		o.stored, o.storedAt = max(o.stored, seq), o.cfg.Now()
		o.mu.Unlock()
	}
}

// keepLease renews the lease while the handler or the stream has nothing to
// store, and gives up when it could not for the length of the lease.
func (o *offset) keepLease(ctx context.Context) {
	every := o.cfg.Lease / 3
	for ctx.Err() == nil {
		background.Sleep(ctx, every)
		o.mu.Lock()
		age := o.cfg.Now().Sub(o.storedAt)
		o.mu.Unlock()
		if ctx.Err() != nil || age < every {
			continue
		}
		o.store(ctx)
		o.mu.Lock()
		age = o.cfg.Now().Sub(o.storedAt)
		o.mu.Unlock()
		if age >= o.cfg.Lease {
			o.lose(errLeaseLost)
		}
	}
}
