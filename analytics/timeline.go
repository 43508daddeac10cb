package analytics

import (
	"slices"
	"time"
)

// timeline is the intervals of a question. Its events come in the order of
// their time, so it only ever moves on.
type timeline struct {
	starts []time.Time
	after  []int64 // the beginning of each interval's successor, unix microseconds
	at     int
}

// timeline checks the query and returns its intervals.
func (q *SeriesQuery) timeline() (*timeline, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	if q.Location == nil {
		q.Location = time.UTC
	}
	if !slices.Contains([]Interval{Hour, Day, Week, Month}, q.Interval) {
		return nil, wrongShape("/interval", "enum", "interval must be hour, day, week or month")
	}
	begin, err := starts(micro(q.From, q.Location), q.To, q.Interval)
	if err != nil {
		return nil, err
	}
	if q.Breakdown != "" {
		if err := checkTop(&q.Limit); err != nil {
			return nil, err
		}
		if (q.Limit+1)*len(begin) > maxAnswerPoints { // and one for the others
			return nil, tooManyPoints()
		}
	}
	t := &timeline{starts: begin, after: make([]int64, len(begin))}
	for i, next := range begin[1:] {
		t.after[i] = next.UnixMicro()
	}
	t.after[len(begin)-1] = q.To.UnixMicro()
	return t, nil
}

// reset goes back to the first interval.
func (t *timeline) reset() { t.at = 0 }

// seek returns the number of the interval that holds a time of the range, no
// earlier than the one before.
func (t *timeline) seek(micros int64) int {
	for micros >= t.after[t.at] {
		t.at++
	}
	return t.at
}

// points returns one point of zero for each interval.
func (t *timeline) points() []Point {
	points := make([]Point, len(t.starts))
	for i, start := range t.starts {
		points[i].Time = start
	}
	return points
}
