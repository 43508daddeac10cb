package analytics

import (
	"fmt"
	"time"

	"github.com/acme/platform"
)

// Interval is the length of the steps of a series, in the calendar of a time
// zone.
type Interval string

// The intervals.
const (
	Hour  Interval = "hour"  // begins whenever the clock shows a full hour
	Day   Interval = "day"   // begins with the first moment of a date
	Week  Interval = "week"  // begins on Monday (ISO 8601)
	Month Interval = "month" // begins with the first moment of its first date
)

// maxPoints is how many points one series has at most.
const maxPoints = 10_000

// starts returns the beginnings of the intervals that meet [from, to), in the
// location of from. The first may lie before from. A day on which the clocks
// change has 23 or 25 hours here, and a date that a zone skipped has none: each
// interval begins where the previous one ends.
func starts(from, to time.Time, interval Interval) ([]time.Time, error) {
	first, next := firstDate(from, interval), nextDate
	if interval == Hour {
		first, next = firstHour(from), nextHour
	}
	var all []time.Time
	for at := first; at.Before(to); {
		following := next(at, interval)
		// Where clocks go back over midnight, the moments of the evening that
		// come twice belong to the second day, which has begun by then.
		if following.After(from) {
			if len(all) == maxPoints {
				return nil, tooManyPoints()
			}
			all = append(all, at)
		}
		at = following
	}
	return all, nil
}

func tooManyPoints() error {
	return platform.Invalid(platform.Field{
		Path: "/interval", Code: "too_many_points",
		Detail: fmt.Sprintf("a series has at most %d points, and all series of an answer %d: take a longer interval or a shorter range", maxPoints, maxAnswerPoints),
	})
}

// firstDate returns the beginning of the day, week or month of t.
func firstDate(t time.Time, interval Interval) time.Time {
	year, month, day := t.Date()
	switch interval {
	case Week:
		day -= (int(t.Weekday()) + 6) % 7
	case Month:
		day = 1
	case Day, Hour: // an hour does not come here
	}
	return dateStart(year, month, day, t.Location())
}

// nextDate returns the beginning of the interval after the one that begins at
// t. A zone that skipped a date, by moving over the date line, makes an
// interval empty: it is passed over.
func nextDate(t time.Time, interval Interval) time.Time {
	year, month, day := t.Date()
	if interval == Week { // t is no Monday where that was the skipped date
		day -= (int(t.Weekday()) + 6) % 7
	}
	for {
		switch interval {
		case Week:
			day += 7
		case Month:
			month, day = month+1, 1
		default:
			day++
		}
		if next := dateStart(year, month, day, t.Location()); next.After(t) {
			return next
		}
	}
}

// dateStart returns the first moment at which the clocks of loc show the date,
// or a later one. [time.Date] does not promise that: midnight may be skipped,
// or come twice.
func dateStart(year int, month time.Month, day int, loc *time.Location) time.Time {
	clock := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	// No zone was ever more than 16 hours from UTC.
	for t := clock.Add(-24 * time.Hour).In(loc); ; {
		_, offset := t.Zone()
		_, end := t.ZoneBounds()
		if shown := clock.Add(-time.Duration(offset) * time.Second).In(loc); end.IsZero() || shown.Before(end) {
			if shown.Before(t) { // the clocks jumped over it, at t
				return t
			}
			return shown
		}
		t = end
	}
}

// firstHour returns the last moment, up to t, at which the clock shows a full
// hour.
func firstHour(t time.Time) time.Time {
	for {
		past := sinceHour(t)
		begin, _ := t.ZoneBounds()
		if full := t.Add(-past); begin.IsZero() || !full.Before(begin) {
			return full
		}
		t = begin.Add(-1) // the hour began before the clocks changed
	}
}

// nextHour returns the first moment after t at which the clock shows a full
// hour, where it shows one at t.
func nextHour(t time.Time, _ Interval) time.Time {
	next := t.Add(time.Hour)
	for {
		_, end := t.ZoneBounds()
		if end.IsZero() || next.Before(end) {
			return next
		}
		t, next = end, end
		if past := sinceHour(end); past > 0 {
			next = end.Add(time.Hour - past)
		}
	}
}

// sinceHour returns how much of the hour has passed on the clock.
func sinceHour(t time.Time) time.Duration {
	minute, second := t.Minute(), t.Second()
	return time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + time.Duration(t.Nanosecond())
}
