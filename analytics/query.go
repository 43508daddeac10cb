package analytics

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// Limits of questions.
const (
	defaultTop = 10
	maxTop     = 100
	// maxAnswerPoints is how many points all series of an answer have.
	maxAnswerPoints = 100_000
	// maxKey is how many bytes of a property's value tell groups apart.
	maxKey = 256
)

// Selection is which events a question is about.
type Selection struct {
	// Event is their name. It must be set.
	Event string
	// From and To bound their time: From belongs to the range, To does not.
	From, To time.Time
	// Filter looks at their properties, as if they were the data of a
	// record; "@id" is the event's id. The zero value lets all pass.
	Filter document.Filter
}

// SeriesQuery asks for a series of points over time.
type SeriesQuery struct {
	Selection
	// Interval is the distance of the points.
	Interval Interval
	// Location is the time zone whose calendar cuts the intervals; nil is UTC.
	Location *time.Location
	// Breakdown is the path of a property by whose value the events are
	// told apart, each value with a series of its own; "" is one series.
	Breakdown string
	// Limit is how many values get a series, 1 to 100; the others share one.
	// Zero is 10. It means nothing without Breakdown.
	Limit int
}

// Group is what a series, or a line of a breakdown, is about. The zero value is
// all events.
type Group struct {
	// Key is the value of the property: a string as it is, anything else as
	// JSON, a number in its shortest form. Values that agree in their first
	// 256 bytes are one; so are the string "1" and the number 1.
	Key string
	// Missing is the group of the events where the property is absent or null.
	Missing bool
	// Other is the group of the values beyond the limit.
	Other bool
}

// Series is the points of one group.
type Series struct {
	Group
	// Total is the events in the range, or, of [Service.Uniques], the users:
	// each once, so it is not the sum of the points.
	Total int64
	// Points has one for each interval of the range, zero where nothing
	// happened.
	Points []Point
}

// Point is what happened in one interval.
type Point struct {
	// Time is when the interval begins, in the location of the query. At the
	// ends of the range it counts only what lies in the range.
	Time time.Time
	// N is the number of events or users.
	N int64
}

func (q *Selection) check() error {
	q.From, q.To = micro(q.From, time.UTC), micro(q.To, time.UTC)
	switch {
	case q.Event == "":
		return wrongShape("/event", "required", "event must name the events")
	case q.From.IsZero():
		return wrongShape("/from", "required", "from must be set")
	case !q.From.Before(q.To):
		return wrongShape("/to", "range", "to must be after from")
	}
	return nil
}

// micro cuts t to the precision of the store, in a location.
func micro(t time.Time, loc *time.Location) time.Time { return t.Truncate(time.Microsecond).In(loc) }

func checkTop(limit *int) error {
	if *limit == 0 {
		*limit = defaultTop
	}
	if *limit < 1 || *limit > maxTop {
		return wrongShape("/limit", "range", fmt.Sprintf("limit must be from 1 to %d", maxTop))
	}
	return nil
}

// event is one event as a question sees it. Its memory is valid until the next.
type event struct {
	id, user, properties sql.RawBytes
	time                 int64
}

// The two ways to read events in the order of their time: from the index
// alone, and with what only the rows hold. The limit is one more than may be
// read: a store that sends rows ahead must not send all there are.
const (
	readIndex = `SELECT time, user_id FROM analytics_events
WHERE tenant = ? AND name = ? AND time >= ? AND time < ? ORDER BY time LIMIT ?`
	readRows = `SELECT time, user_id, id, properties FROM analytics_events
WHERE tenant = ? AND name = ? AND time >= ? AND time < ? ORDER BY time LIMIT ?`
)

// each hands the selected events to visit, in the order of their time. The
// whole of it may be run again, and begins with reset.
func (s *Service) each(ctx context.Context, tenant platform.TenantID, q *Selection, properties bool, reset func(), visit func(*event) error) error {
	query := readIndex
	filtered := !q.Filter.IsZero()
	properties = properties || filtered
	if properties {
		query = readRows
	}
	return s.read(ctx, tenant, func(ctx context.Context, tx store.Tx, budget *store.Budget) error {
		reset()
		rows, err := tx.Query(ctx, query, string(tenant), q.Event, q.From.UnixMicro(), q.To.UnixMicro(),
			min(int64(s.maxRows)+1, budget.TooMany()))
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		var e event
		dest := []any{&e.time, &e.user}
		if properties {
			dest = append(dest, &e.id, &e.properties)
		}
		for n := 0; rows.Next(); n++ {
			if n == s.maxRows {
				return s.tooManyRows()
			}
			if err := budget.Read(ctx, 1); err != nil {
				return err
			}
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			if filtered && !q.Filter.Match(json.RawMessage(e.properties), string(e.id)) {
				continue
			}
			if err := visit(&e); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// read runs fn on a snapshot, and where it reads much once more, when the
// tenant's share has its turn.
func (s *Service) read(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx, *store.Budget) error) error {
	err := s.scans.Run(ctx, s.limits, tenant, func(ctx context.Context, budget *store.Budget) error {
		return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
			if err := budget.Begin(ctx); err != nil {
				return err
			}
			return fn(ctx, tx, budget)
		}, budget.Reading)
	})
	if err != nil {
		return fmt.Errorf("analytics: query: %w", err)
	}
	return nil
}

func (s *Service) tooManyRows() error {
	return wrongShape("/from", "too_many_events",
		fmt.Sprintf("the range holds more than the %d events that one question may read: take a shorter one", s.maxRows))
}

func (s *Service) tooManyGroups() error {
	return wrongShape("/from", "too_many_groups",
		fmt.Sprintf("the range holds more than the %d different values that one question may tell apart: take a shorter one", s.maxGroups))
}
