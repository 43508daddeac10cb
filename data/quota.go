package data

import (
	"context"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
	"github.com/acme/platform/store"
)

// The names of the limits in [platform.LimitNames].
const (
	limitCollections = "data.collections"
	limitRecords     = "data.records"
	limitBytes       = "data.record_bytes"
)

const (
	// maxFigures is how many tenants have a figure in memory.
	maxFigures = 10_000
	// figureAge is after how long a tenant that writes has a new figure, and
	// figureShare how much longer than its count took: so counting is a small
	// part of the work of the store, however much there is to count.
	figureAge   = time.Minute
	figureShare = 50
	// recount is after how long a figure that would refuse something is
	// counted again, and recountShare how much longer than its count took.
	recount      = 2 * time.Second
	recountShare = 5
	// firstWait is how long the first writes of a tenant wait for its figure.
	firstWait = 250 * time.Millisecond
	// countTime bounds one count.
	countTime = time.Minute
)

// quotas bound what tenants keep. A counter in the database would make all
// writers of a tenant wait for each other, so each process has a figure for each
// tenant that writes: what the store counted last, and what this process has
// written since. What other processes write in between is not in it, and what
// they exceed a limit by is bounded by that. Nothing is refused by an old figure.
type quotas struct {
	sizer   store.Sizer // nil where the store cannot tell
	limits  platform.LimitsFunc
	log     *slog.Logger
	now     func() time.Time
	figures *lru.Cache[platform.TenantID, *figure]
	// turn lets one tenant at a time be counted in the background.
	turn chan struct{}

	mu      sync.Mutex
	stopped bool
	loops   background.Group
}

// figure is what a tenant keeps, as far as this process knows.
type figure struct {
	// creating is held by who creates a collection.
	creating chan struct{}

	mu      sync.Mutex
	size    store.Size
	since   store.Size // written since the running count began, without deletions
	counts  int        // how often size was counted; 0 is not known
	counted time.Time
	took    time.Duration
	running *count
}

func newQuotas(docs store.Documents, limits platform.LimitsFunc, log *slog.Logger, now func() time.Time) (*quotas, error) {
	q := &quotas{limits: limits, log: log, now: now, turn: make(chan struct{}, 1)}
	q.sizer, _ = docs.(store.Sizer)
	var err error
	q.figures, err = lru.New[platform.TenantID, *figure](maxFigures)
	return q, err
}

func (q *quotas) figure(tenant platform.TenantID) *figure {
	if f, ok := q.figures.Get(tenant); ok {
		return f
	}
	f := &figure{creating: make(chan struct{}, 1)}
	if old, there, _ := q.figures.PeekOrAdd(tenant, f); there {
		return old
	}
	return f
}

// add counts a change of what the tenant keeps.
func (f *figure) add(d store.Size) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size.Documents += d.Documents
	f.size.Bytes += d.Bytes
	if f.running != nil { // the count may have seen a deletion already
		f.since.Documents += max(d.Documents, 0)
		f.since.Bytes += max(d.Bytes, 0)
	}
}

// over returns the error of the limit that d more would exceed, or nil.
func (f *figure) over(l platform.Limits, d store.Size) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case d.Documents > 0 && l.Records >= 0 && f.size.Documents+d.Documents > l.Records:
		return platform.OverLimit(limitRecords, l.Records)
	case d.Bytes > 0 && l.RecordBytes >= 0 && f.size.Bytes+d.Bytes > l.RecordBytes:
		return platform.OverLimit(limitBytes, l.RecordBytes)
	}
	return nil
}

// take counts what is about to be written, or refuses it with
// [platform.OverLimit]. What is not written then is given back by figure.add.
// The amount is d, or where that would be too much what exact returns; it may be
// nil.
func (q *quotas) take(ctx context.Context, tenant platform.TenantID, d store.Size, exact func() (store.Size, error)) (store.Size, error) {
	if q.sizer == nil {
		return store.Size{}, nil
	}
	l, err := q.limits.Of(ctx, tenant)
	if err != nil {
		return store.Size{}, err
	}
	f := q.figure(tenant)
	if l.Records < 0 && l.RecordBytes < 0 {
		return store.Size{}, nil
	}
	q.keepFresh(ctx, tenant, f)
	if err := f.over(l, d); err != nil {
		if exact != nil {
			if d, err = exact(); err != nil {
				return store.Size{}, err
			}
		}
		if err := q.countAgain(ctx, tenant, f); err != nil {
			return store.Size{}, err
		}
		if err := f.over(l, d); err != nil {
			return store.Size{}, err
		}
	}
	f.add(d)
	return d, nil
}

// changed counts what was not written after all, or is not there any more.
func (q *quotas) changed(tenant platform.TenantID, d store.Size) {
	if q.sizer != nil && d != (store.Size{}) {
		q.figure(tenant).add(d)
	}
}

// forget has the tenant counted before its next write.
func (q *quotas) forget(tenant platform.TenantID) {
	f := q.figure(tenant)
	f.mu.Lock()
	f.counts = 0
	f.mu.Unlock()
}

// room returns how much more the tenant may keep, as far as is known; negative is
// no limit.
func (q *quotas) room(ctx context.Context, tenant platform.TenantID) (store.Size, error) {
	l, err := q.limits.Of(ctx, tenant)
	if err != nil {
		return store.Size{}, err
	}
	f := q.figure(tenant)
	f.mu.Lock()
	defer f.mu.Unlock()
	left := func(limit, used int64) int64 {
		if limit < 0 {
			return -1
		}
		return max(limit-used, 0)
	}
	return store.Size{Documents: left(l.Records, f.size.Documents), Bytes: left(l.RecordBytes, f.size.Bytes)}, nil
}
