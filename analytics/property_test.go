package analytics_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
)

// label names the interval that a moment lies in by what the clock and the
// calendar on the wall show: an independent way to say which events belong
// together.
func label(t time.Time, interval analytics.Interval) string {
	switch interval {
	case analytics.Hour: // back to where the clock showed the full hour
		for t = t.Truncate(time.Minute); t.Minute() != 0; t = t.Add(-time.Minute) {
		}
		return t.UTC().Format(time.RFC3339)
	case analytics.Week:
		year, week := t.ISOWeek()
		return fmt.Sprintf("%d-W%d", year, week)
	case analytics.Month:
		return t.Format("2006-01")
	case analytics.Day:
	}
	return t.Format(time.DateOnly)
}

// TestCounts compares all questions with a count in plain Go.
func TestCounts(t *testing.T) {
	s := newService(t, analytics.Config{Now: func() time.Time { return date("2028-01-01") }})
	tenants := 0
	rapid.Check(t, func(r *rapid.T) {
		interval := rapid.SampledFrom([]analytics.Interval{analytics.Hour, analytics.Day, analytics.Week, analytics.Month}).Draw(r, "interval")
		span := map[analytics.Interval]time.Duration{
			analytics.Hour: 3 * 24 * time.Hour, analytics.Day: 40 * 24 * time.Hour,
			analytics.Week: 200 * 24 * time.Hour, analytics.Month: 800 * 24 * time.Hour,
		}[interval]
		loc := zone(t, rapid.SampledFrom([]string{
			"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia",
		}).Draw(r, "zone"))
		// Most draws lie around a change of the clocks.
		around := date(rapid.SampledFrom([]string{
			"2025-03-30T01:00:00Z", "2025-10-26T01:00:00Z", "2025-03-09T07:00:00Z", "2025-11-02T06:00:00Z",
			"2018-11-04T03:00:00Z", "2018-02-18T02:00:00Z", "2025-04-05T15:00:00Z", "2011-12-30T10:00:00Z", "2025-06-15T12:00:00Z",
		}).Draw(r, "around"))
		moment := func(name string) time.Time {
			return around.Add(time.Duration(rapid.Int64Range(-int64(span)/2, int64(span)/2).Draw(r, name))).Truncate(time.Microsecond)
		}
		from, to := moment("from"), moment("to")
		if !from.Before(to) {
			from, to = to, from.Add(time.Microsecond)
		}

		tenants++
		tenant := platform.TenantID(fmt.Sprintf("org_%d", tenants))
		type fact struct{ user, value string }
		in := map[string][]fact{} // by interval
		var events []analytics.Event
		for range rapid.IntRange(1, 60).Draw(r, "events") {
			f := fact{rapid.SampledFrom([]string{"", "u1", "u2", "u3"}).Draw(r, "user"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "value")}
			e := analytics.Event{
				Name: rapid.SampledFrom([]string{"n", "n", "n", "m"}).Draw(r, "name"), User: f.user,
				Time: moment("time"), Properties: fmt.Appendf(nil, `{"p":%q}`, f.value),
			}
			events = append(events, e)
			if e.Name == "n" && !e.Time.Before(from) && e.Time.Before(to) {
				l := label(e.Time.In(loc), interval)
				in[l] = append(in[l], f)
			}
		}
		ingest(t, s, tenant, events...)

		q := analytics.SeriesQuery{Selection: analytics.Selection{Event: "n", From: from, To: to}, Interval: interval, Location: loc}
		if rapid.Bool().Draw(r, "filter") {
			q.Filter = filter(t, `{"p":{"$ne":"c"}}`)
			for l, facts := range in {
				in[l] = slices.DeleteFunc(facts, func(f fact) bool { return f.value == "c" })
			}
		}
		counts, err := s.Series(t.Context(), platform.System(tenant, "test"), q)
		if err != nil {
			r.Fatal(err)
		}
		uniques, err := s.Uniques(t.Context(), platform.System(tenant, "test"), q)
		if err != nil {
			r.Fatal(err)
		}
		byValue := q
		byValue.Breakdown = "p"
		groups, err := s.Series(t.Context(), platform.System(tenant, "test"), byValue)
		if err != nil {
			r.Fatal(err)
		}

		// Every interval that the range meets has one point, in order.
		var labels []string
		step := 15 * time.Minute
		if interval != analytics.Hour {
			step = 6 * time.Hour
		}
		for at := from; ; at = at.Add(step) {
			if !at.Before(to) {
				at = to.Add(-time.Microsecond)
			}
			if l := label(at.In(loc), interval); len(labels) == 0 || labels[len(labels)-1] != l {
				labels = append(labels, l)
			}
			if at.Equal(to.Add(-time.Microsecond)) {
				break
			}
		}
		if len(labels) != len(counts[0].Points) {
			r.Fatalf("%d points, want %d: %v", len(counts[0].Points), len(labels), show(counts[0].Points))
		}
		total, everybody := 0, map[string]bool{}
		for i, l := range labels {
			users := map[string]bool{}
			values := map[string]int64{}
			for _, f := range in[l] {
				values[f.value]++
				if f.user != "" {
					users[f.user], everybody[f.user] = true, true
				}
			}
			total += len(in[l])
			point := counts[0].Points[i]
			if at := label(point.Time, interval); at != l || point.N != int64(len(in[l])) {
				r.Errorf("point %d: got %d at %s, want %d at %s", i, point.N, at, len(in[l]), l)
			}
			if label(point.Time.Add(-time.Microsecond), interval) == l {
				r.Errorf("%s does not begin at %s", l, point.Time)
			}
			if got := uniques[0].Points[i]; got.N != int64(len(users)) || !got.Time.Equal(point.Time) {
				r.Errorf("%s: %d users, want %d", l, got.N, len(users))
			}
			for _, g := range groups {
				if g.Points[i].N != values[g.Key] {
					r.Errorf("%s, %s: got %d, want %d", l, g.Key, g.Points[i].N, values[g.Key])
				}
			}
		}
		if counts[0].Total != int64(total) || uniques[0].Total != int64(len(everybody)) {
			r.Errorf("totals %d and %d, want %d and %d", counts[0].Total, uniques[0].Total, total, len(everybody))
		}
	})
}
