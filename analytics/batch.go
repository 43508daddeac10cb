package analytics

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

// batchRows is how many rows a transaction holds, unless one call alone has
// more: enough to share the cost of a commit, few enough that another writer
// of the same database does not wait long.
const batchRows = 1000

// batcher joins the calls of one tenant into transactions. A call that finds
// its tenant idle starts a transaction at once; those that come while it runs
// share the next. There is no timer: the time that one commit takes is the time
// in which the next batch gathers.
type batcher struct {
	// write sets what became of the calls. Its error is that of all of them.
	write      func(ctx context.Context, tenant platform.TenantID, calls []*call) error
	maxPending int

	mu      sync.Mutex
	waiting map[platform.TenantID][]*call // an entry, if only an empty one, while a goroutine writes for the tenant
	pending int                           // rows of calls that wait
	stopped bool
	writers sync.WaitGroup
}

// call is the rows of one call of Ingest, which are written all or none.
type call struct {
	rows  []row
	done  chan struct{} // closed when what follows is final
	fresh int
	err   error
}

func newBatcher(maxPending int, write func(context.Context, platform.TenantID, []*call) error) *batcher {
	return &batcher{write: write, maxPending: maxPending, waiting: make(map[platform.TenantID][]*call)}
}

// submit returns how many rows were new, after they were committed.
func (b *batcher) submit(ctx context.Context, tenant platform.TenantID, rows []row) (fresh int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c := &call{rows: rows, done: make(chan struct{})}
	if err := b.enqueue(ctx, tenant, c); err != nil {
		return 0, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if b.withdraw(tenant, c) {
			return 0, ctx.Err()
		}
		<-c.done
	}
	return c.fresh, c.err
}

func (b *batcher) enqueue(ctx context.Context, tenant platform.TenantID, c *call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return platform.Errorf(platform.KindUnavailable, "stopped", "events are not taken any more")
	}
	if b.pending+len(c.rows) > b.maxPending {
		return &platform.Error{
			Kind: platform.KindUnavailable, Code: "ingest_busy",
			Message: "too many events wait to be written", RetryAfter: time.Second,
		}
	}
	queue, busy := b.waiting[tenant]
	b.waiting[tenant] = append(queue, c)
	b.pending += len(c.rows)
	if !busy {
		// It will serve many calls, so the end of this one must not end it.
		ctx = context.WithoutCancel(ctx)
		b.writers.Go(func() { b.run(ctx, tenant) })
	}
	return nil
}

// withdraw takes c back and reports whether it was still waiting.
func (b *batcher) withdraw(tenant platform.TenantID, c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting[tenant], c)
	if i < 0 {
		return false
	}
	b.waiting[tenant] = slices.Delete(b.waiting[tenant], i, i+1)
	b.pending -= len(c.rows)
	return true
}

// run writes for one tenant until nothing waits.
func (b *batcher) run(ctx context.Context, tenant platform.TenantID) {
	for {
		calls := b.next(tenant)
		if calls == nil {
			return
		}
		err := b.try(ctx, tenant, calls)
		for _, c := range calls {
			if err != nil {
				c.err = err
			}
			close(c.done)
		}
	}
}

// try turns a panic of the store into an error of the calls: no handler's
// recovery reaches this goroutine, and it must not end the process.
func (b *batcher) try(ctx context.Context, tenant platform.TenantID, calls []*call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return b.write(ctx, tenant, calls)
}

// next takes the calls of the next transaction. Where there are none it gives
// the tenant up: the next call starts a new writer.
func (b *batcher) next(tenant platform.TenantID) []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := b.waiting[tenant]
	if len(queue) == 0 {
		delete(b.waiting, tenant)
		return nil
	}
	n, rows := 1, len(queue[0].rows)
	for n < len(queue) && rows+len(queue[n].rows) <= batchRows {
		rows += len(queue[n].rows)
		n++
	}
	calls := slices.Clone(queue[:n])
	b.waiting[tenant] = slices.Delete(queue, 0, n)
	b.pending -= rows
	return calls
}

// stop refuses further calls and waits for the writers, at most until ctx is
// done.
func (b *batcher) stop(ctx context.Context) error {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	return background.Wait(ctx, &b.writers)
}
