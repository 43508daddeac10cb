package analytics

import (
	"context"
	"fmt"
	"time"

	"github.com/acme/platform"
)

// Ingest takes up to [MaxEvents] events. It returns once those that are valid
// are committed, all in one transaction; the others are named in the result,
// and are no error.
//
// An error means that none of the events was taken, or that it is not known;
// sending them again is right in either case. A call whose context ends while
// its events wait takes none; once they are being written the call stays for
// the outcome.
//
// Errors: KindTooLarge for more than MaxEvents; KindLimited "rate_exceeded" where
// the new ones are more than the tenant may send in the UTC day, see
// [platform.Limits].EventsPerDay; KindUnavailable where too many events wait
// already, or after Stop; those of [store.Relational].
func (s *Service) Ingest(ctx context.Context, p platform.Principal, events []Event) (Result, error) {
	if err := p.RequireTenant(); err != nil {
		return Result{}, err
	}
	if len(events) > MaxEvents {
		return Result{}, tooManyEvents()
	}
	now := s.now()
	var c collector
	for i := range events {
		c.add(i, s.rowOf(&events[i], now), nil, now)
	}
	return s.ingest(ctx, p, c)
}

func tooManyEvents() error {
	return platform.Errorf(platform.KindTooLarge, "too_many_events", "one request takes at most %d events", MaxEvents)
}

func (s *Service) rowOf(e *Event, now time.Time) row {
	r := row{id: e.ID, name: e.Name, user: e.User, time: e.Time.UnixMicro(), properties: "{}"}
	if r.id == "" {
		r.id = s.newID("evt")
	}
	if e.Time.IsZero() {
		r.time = now.UnixMicro()
	}
	if e.Properties != nil {
		r.properties = string(e.Properties)
	}
	return r
}

// collector sorts the events of a call into rows and rejections.
type collector struct {
	rows     []row
	rejected []Rejection
}

// add takes the event at index i, unless f or a look at it says otherwise.
func (c *collector) add(i int, r row, f *flaw, now time.Time) {
	if f == nil {
		f = r.check(now)
	}
	if f == nil {
		c.rows = append(c.rows, r)
		return
	}
	rejection := Rejection{Index: i, Code: f.code, Detail: f.detail}
	if validID(r.id) {
		rejection.ID = r.id
	}
	c.rejected = append(c.rejected, rejection)
}

func (s *Service) ingest(ctx context.Context, p platform.Principal, c collector) (Result, error) {
	if err := p.RequireTenant(); err != nil {
		return Result{}, err
	}
	result := Result{Rejected: c.rejected}
	if len(c.rows) == 0 {
		return result, nil
	}
	fresh, err := s.batches.submit(ctx, p.Tenant, c.rows)
	if err != nil {
		return Result{}, fmt.Errorf("analytics: ingest: %w", err)
	}
	result.Accepted = fresh
	result.Duplicates = len(c.rows) - fresh
	return result, nil
}
