package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

// show writes points as "time=n", the times in RFC 3339.
func show(points []analytics.Point) []string {
	var out []string
	for _, p := range points {
		out = append(out, fmt.Sprintf("%s=%d", p.Time.Format(time.RFC3339), p.N))
	}
	return out
}

func TestCalendar(t *testing.T) {
	s := newService(t, analytics.Config{})
	for name, c := range map[string]struct {
		zone, from, to string
		interval       analytics.Interval
		events         []string
		want           []string
	}{
		"UTC, cut on both sides": {
			"UTC", "2026-01-01T10:30:00Z", "2026-01-01T12:15:00Z", analytics.Hour,
			[]string{
				"2026-01-01T10:29:59.999999Z", "2026-01-01T10:30:00Z", "2026-01-01T10:59:59.999999Z",
				"2026-01-01T11:00:00Z", "2026-01-01T12:14:59.999999Z", "2026-01-01T12:15:00Z",
			},
			[]string{"2026-01-01T10:00:00Z=2", "2026-01-01T11:00:00Z=1", "2026-01-01T12:00:00Z=1"},
		},
		"Berlin, the day of 23 hours": {
			"Europe/Berlin", "2025-03-29T23:00:00Z", "2025-03-31T22:00:00Z", analytics.Day,
			[]string{"2025-03-30T21:59:59Z", "2025-03-30T22:00:00Z"},
			[]string{"2025-03-30T00:00:00+01:00=1", "2025-03-31T00:00:00+02:00=1"},
		},
		"Berlin, the hour that is skipped": {
			"Europe/Berlin", "2025-03-30T00:00:00Z", "2025-03-30T02:00:00Z", analytics.Hour,
			[]string{"2025-03-30T00:59:59Z", "2025-03-30T01:00:00Z"},
			[]string{"2025-03-30T01:00:00+01:00=1", "2025-03-30T03:00:00+02:00=1"},
		},
		"Berlin, the day of 25 hours": {
			"Europe/Berlin", "2025-10-25T22:00:00Z", "2025-10-27T00:00:00Z", analytics.Day,
			[]string{"2025-10-25T22:00:00Z", "2025-10-26T22:59:59Z", "2025-10-26T23:00:00Z"},
			[]string{"2025-10-26T00:00:00+02:00=2", "2025-10-27T00:00:00+01:00=1"},
		},
		"New York, the hour that comes twice": {
			"America/New_York", "2025-11-02T05:00:00Z", "2025-11-02T08:00:00Z", analytics.Hour,
			[]string{"2025-11-02T05:30:00Z", "2025-11-02T06:30:00Z", "2025-11-02T06:31:00Z"},
			[]string{"2025-11-02T01:00:00-04:00=1", "2025-11-02T01:00:00-05:00=2", "2025-11-02T02:00:00-05:00=0"},
		},
		"Kolkata, hours begin at half past of UTC": {
			"Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", analytics.Hour,
			[]string{"2026-01-01T00:29:59Z", "2026-01-01T00:30:00Z"},
			[]string{"2026-01-01T05:00:00+05:30=1", "2026-01-01T06:00:00+05:30=1"},
		},
		"Lord Howe, clocks go back half an hour": {
			"Australia/Lord_Howe", "2025-04-05T14:00:00Z", "2025-04-05T17:00:00Z", analytics.Hour,
			[]string{"2025-04-05T14:00:00Z", "2025-04-05T15:29:59Z", "2025-04-05T15:30:00Z"},
			[]string{"2025-04-06T01:00:00+11:00=2", "2025-04-06T02:00:00+10:30=1", "2025-04-06T03:00:00+10:30=0"},
		},
		"Lord Howe, from the half hour that comes again": {
			"Australia/Lord_Howe", "2025-04-05T15:10:00Z", "2025-04-05T16:00:00Z", analytics.Hour,
			[]string{"2025-04-05T15:09:59Z", "2025-04-05T15:10:00Z", "2025-04-05T15:30:00Z"},
			[]string{"2025-04-06T01:00:00+11:00=1", "2025-04-06T02:00:00+10:30=1"},
		},
		"Sao Paulo, a day without midnight": {
			"America/Sao_Paulo", "2018-11-03T03:00:00Z", "2018-11-05T02:00:00Z", analytics.Day,
			[]string{"2018-11-04T02:59:59Z", "2018-11-04T03:00:00Z"},
			[]string{"2018-11-03T00:00:00-03:00=1", "2018-11-04T01:00:00-02:00=1"},
		},
		"Havana, a day with two midnights": {
			"America/Havana", "2025-11-01T04:00:00Z", "2025-11-03T05:00:00Z", analytics.Day,
			[]string{"2025-11-02T03:59:59Z", "2025-11-02T04:00:00Z", "2025-11-02T05:00:00Z", "2025-11-03T04:59:59Z"},
			[]string{"2025-11-01T00:00:00-04:00=1", "2025-11-02T00:00:00-04:00=3"},
		},
		"St. John's, a minute of the next day, then the evening again": {
			"America/St_Johns", "2010-11-06T02:30:00Z", "2010-11-08T03:30:00Z", analytics.Day,
			[]string{"2010-11-07T02:29:59Z", "2010-11-07T02:30:00Z", "2010-11-07T03:00:00Z"},
			[]string{"2010-11-06T00:00:00-02:30=1", "2010-11-07T00:00:00-02:30=2"},
		},
		"St. John's, from the evening that comes again": {
			"America/St_Johns", "2010-11-07T03:00:00Z", "2010-11-08T03:30:00Z", analytics.Day,
			[]string{"2010-11-07T02:59:59Z", "2010-11-07T03:00:00Z", "2010-11-08T03:29:59Z"},
			[]string{"2010-11-07T00:00:00-02:30=2"},
		},
		"Apia, a day that never was": {
			"Pacific/Apia", "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z", analytics.Day,
			[]string{"2011-12-30T09:59:59Z", "2011-12-30T10:00:00Z"},
			[]string{"2011-12-29T00:00:00-10:00=1", "2011-12-31T00:00:00+14:00=1"},
		},
		"weeks begin on Monday": {
			"Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z", analytics.Week,
			[]string{"2026-01-04T22:59:59Z", "2026-01-04T23:00:00Z", "2026-01-11T22:59:59Z", "2026-01-11T23:00:00Z"},
			[]string{"2025-12-29T00:00:00+01:00=1", "2026-01-05T00:00:00+01:00=2", "2026-01-12T00:00:00+01:00=1"},
		},
		"months over summer time": {
			"Europe/Berlin", "2025-02-28T23:00:00Z", "2025-05-01T00:00:00Z", analytics.Month,
			[]string{"2025-02-28T23:00:00Z", "2025-03-31T21:59:59Z", "2025-03-31T22:00:00Z", "2025-04-30T22:00:00Z"},
			[]string{"2025-03-01T00:00:00+01:00=2", "2025-04-01T00:00:00+02:00=1", "2025-05-01T00:00:00+02:00=1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var events []analytics.Event
			for _, at := range c.events {
				events = append(events, analytics.Event{Name: name, User: at, Time: date(at)})
			}
			ingest(t, s, tenantA, events...)
			q := analytics.SeriesQuery{
				Selection: analytics.Selection{Event: name, From: date(c.from), To: date(c.to)},
				Interval:  c.interval, Location: zone(t, c.zone),
			}
			// The same by each of the ways to count.
			counted, err := s.Series(t.Context(), platform.System(tenantA, "test"), q)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(counted[0].Points); !slices.Equal(got, c.want) {
				t.Errorf("counted in the index: got %v, want %v", got, c.want)
			}
			users, err := s.Uniques(t.Context(), platform.System(tenantA, "test"), q)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(users[0].Points); !slices.Equal(got, c.want) {
				t.Errorf("users: got %v, want %v", got, c.want)
			}
			q.Filter = filter(t, `{"none":{"$exists":false}}`)
			if counted, err = s.Series(t.Context(), platform.System(tenantA, "test"), q); err != nil {
				t.Fatal(err)
			}
			if got := show(counted[0].Points); !slices.Equal(got, c.want) {
				t.Errorf("filtered: got %v, want %v", got, c.want)
			}
		})
		if _, err := s.Series(t.Context(), platform.System(tenantB, "test"), analytics.SeriesQuery{
			Selection: all("n"), Interval: c.interval, Location: zone(t, c.zone),
		}); c.interval != analytics.Hour && c.interval != analytics.Day && err != nil {
			t.Errorf("%s of 59 years: %v", c.interval, err)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	s := newService(t, analytics.Config{MaxRows: 5, MaxGroups: 3})
	for i := range 6 {
		ingest(t, s, tenantA,
			analytics.Event{Name: "six", Time: now},
			analytics.Event{Name: "four", User: fmt.Sprint(i % 4), Time: now, Properties: fmt.Appendf(nil, `{"p":%d}`, i%4)})
		if i == 3 {
			break
		}
	}
	ingest(t, s, tenantA, analytics.Event{Name: "six", Time: now}, analytics.Event{Name: "six", Time: now})

	good := analytics.SeriesQuery{Selection: all("n"), Interval: analytics.Month}
	with := func(change func(*analytics.SeriesQuery)) analytics.SeriesQuery {
		q := good
		change(&q)
		return q
	}
	for name, c := range map[string]struct {
		q          analytics.SeriesQuery
		path, code string
	}{
		"no event":       {with(func(q *analytics.SeriesQuery) { q.Event = "" }), "/event", "required"},
		"no from":        {with(func(q *analytics.SeriesQuery) { q.From = time.Time{} }), "/from", "required"},
		"no to":          {with(func(q *analytics.SeriesQuery) { q.To = time.Time{} }), "/to", "range"},
		"empty":          {with(func(q *analytics.SeriesQuery) { q.To = q.From }), "/to", "range"},
		"no interval":    {with(func(q *analytics.SeriesQuery) { q.Interval = "" }), "/interval", "enum"},
		"a wrong one":    {with(func(q *analytics.SeriesQuery) { q.Interval = "year" }), "/interval", "enum"},
		"points":         {with(func(q *analytics.SeriesQuery) { q.Interval = analytics.Hour }), "/interval", "too_many_points"},
		"points of all":  {with(func(q *analytics.SeriesQuery) { q.Interval, q.Breakdown, q.Limit = analytics.Week, "p", 100 }), "/interval", "too_many_points"},
		"limit":          {with(func(q *analytics.SeriesQuery) { q.Breakdown, q.Limit = "p", 101 }), "/limit", "range"},
		"negative limit": {with(func(q *analytics.SeriesQuery) { q.Breakdown, q.Limit = "p", -1 }), "/limit", "range"},
		"path":           {with(func(q *analytics.SeriesQuery) { q.Breakdown = "a..b" }), "/breakdown", "path"},
		"no property":    {with(func(q *analytics.SeriesQuery) { q.Breakdown = "@id" }), "/breakdown", "path"},
		"events":         {with(func(q *analytics.SeriesQuery) { q.Event = "six" }), "/from", "too_many_events"},
		"events by p":    {with(func(q *analytics.SeriesQuery) { q.Event, q.Breakdown = "six", "p" }), "/from", "too_many_events"},
		"groups":         {with(func(q *analytics.SeriesQuery) { q.Event, q.Breakdown = "four", "p" }), "/from", "too_many_groups"},
	} {
		_, err := s.Series(t.Context(), platform.System(tenantA, "test"), c.q)
		check(t, name, err, c.path, c.code)
		if name == "events" { // of whom none has a user, but they are read
			continue
		}
		_, err = s.Uniques(t.Context(), platform.System(tenantA, "test"), c.q)
		check(t, name+", uniques", err, c.path, c.code)
	}
	_, err := s.Uniques(t.Context(), platform.System(tenantA, "test"), with(func(q *analytics.SeriesQuery) { q.Event = "four" }))
	check(t, "users", err, "/from", "too_many_groups")
	_, err = s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("four"), Property: "p"})
	check(t, "values", err, "/from", "too_many_groups")
	_, err = s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("n")})
	check(t, "no path", err, "/property", "path")
	_, err = s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("n"), Property: "p", Limit: 101})
	check(t, "too many values", err, "/limit", "range")
	_, err = s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Property: "p"})
	check(t, "nothing selected", err, "/event", "required")
}

func check(t *testing.T, name string, err error, path, code string) {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.KindInvalid || len(e.Fields) != 1 || e.Fields[0].Path != path || e.Fields[0].Code != code {
		t.Errorf("%s: got %v, want %s at %s", name, err, code, path)
	}
}

func TestFilters(t *testing.T) {
	s := newService(t, analytics.Config{})
	ingest(t, s, tenantA,
		analytics.Event{ID: "1", Name: "n", User: "a", Time: now, Properties: []byte(`{"country":"DE","age":30,"tags":["x","y"]}`)},
		analytics.Event{ID: "2", Name: "n", User: "b", Time: now, Properties: []byte(`{"country":"FR","age":40}`)},
		analytics.Event{ID: "3", Name: "n", User: "a", Time: now, Properties: []byte(`{"country":"DE","age":50}`)},
		analytics.Event{ID: "4", Name: "n", Time: now},
	)
	for raw, want := range map[string][2]int64{
		`{}`:                                {4, 2},
		`{"country":"DE"}`:                  {2, 1},
		`{"country":"DE","age":{"$gt":30}}`: {1, 1},
		`{"tags":"y"}`:                      {1, 1},
		`{"country":{"$exists":false}}`:     {1, 0},
		`{"@id":"2"}`:                       {1, 1},
		`{"$or":[{"age":40},{"age":50}]}`:   {2, 2},
	} {
		sel := all("n")
		sel.Filter = filter(t, raw)
		q := analytics.SeriesQuery{Selection: sel, Interval: analytics.Month}
		counted, err := s.Series(t.Context(), platform.System(tenantA, "test"), q)
		if err != nil || counted[0].Total != want[0] {
			t.Errorf("%s: %v events, %v; want %d", raw, counted, err, want[0])
		}
		users, err := s.Uniques(t.Context(), platform.System(tenantA, "test"), q)
		if err != nil || users[0].Total != want[1] {
			t.Errorf("%s: %v users, %v; want %d", raw, users, err, want[1])
		}
	}
}

func TestBreakdown(t *testing.T) {
	s := newService(t, analytics.Config{})
	long := strings.Repeat("ä", 200) // 400 bytes
	var events []analytics.Event
	for properties, n := range map[string]int{
		`{"p":"a"}`:                  4,
		`{"p":1}`:                    1,
		`{"p":1.0}`:                  1,
		`{"p":"1"}`:                  1,
		`{"p":true}`:                 2,
		`{"p":null}`:                 1,
		`{}`:                         1,
		`{"p":{"x":  [1]}}`:          1,
		`{"p":12345678901234567890}`: 1,
		`{"p":"` + long + `x"}`:      1,
		`{"p":"` + long + `y"}`:      1,
		`{"p":-0.0}`:                 1,
		`{"p":""}`:                   1,
		`{"p":"caf\u00e9"}`:          1,
		`{"p":"café"}`:               1,
	} {
		for range n {
			events = append(events, analytics.Event{Name: "n", Time: now, Properties: []byte(properties)})
		}
	}
	ingest(t, s, tenantA, events...)
	got, err := s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("n"), Property: "p", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a=4", "1=3", "café=2", "true=2", strings.Repeat("ä", 128) + "=2", "null=2",
		"=1", "0=1", "12345678901234567890=1", `{"x":[1]}=1`,
	}
	if lines := lines(got); !slices.Equal(lines, want) || got.Other != 0 {
		t.Errorf("got %q and %d others, want %q", lines, got.Other, want)
	}
	got, err = s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("n"), Property: "p", Limit: 2})
	if err != nil || !slices.Equal(lines(got), want[:2]) || got.Other != 12 {
		t.Errorf("two: got %q and %d others, %v", lines(got), got.Other, err)
	}
	got, err = s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("n"), Property: "p.x.0"})
	if err != nil || !slices.Equal(lines(got), []string{"null=18", "1=1"}) {
		t.Errorf("a path: got %q, %v", lines(got), err)
	}
}

func lines(b analytics.Breakdown) []string {
	var out []string
	for _, row := range b.Rows {
		key := row.Key
		if row.Missing {
			key = "null"
		}
		out = append(out, fmt.Sprintf("%s=%d", key, row.Count))
	}
	return out
}

func TestOddPropertyNames(t *testing.T) {
	s := newService(t, analytics.Config{})
	names := []string{"Phase of flight", "a*b", "a|b", "#", "Cost Total $", "x@y", "!", "ü", "a?", `q\"q`, "[0]", "{"}
	for _, name := range names {
		ingest(t, s, tenantA, analytics.Event{Name: "n", Time: now, Properties: fmt.Appendf(nil, `{%q:"v","other":1}`, strings.ReplaceAll(name, `\"`, `"`))})
	}
	for _, name := range names {
		name = strings.ReplaceAll(name, `\"`, `"`)
		got, err := s.Breakdown(t.Context(), platform.System(tenantA, "test"), analytics.BreakdownQuery{Selection: all("n"), Property: name})
		if want := []string{fmt.Sprintf("null=%d", len(names)-1), "v=1"}; err != nil || !slices.Equal(lines(got), want) {
			t.Errorf("%s: got %q, %v", name, lines(got), err)
		}
	}
}

// TestSeriesByGroup has a user in two of the small groups, who counts once in
// what is left over.
func TestSeriesByGroup(t *testing.T) {
	s := newService(t, analytics.Config{})
	jan, feb := date("2026-01-05"), date("2026-02-05")
	for _, e := range []struct {
		user, p string
		at      time.Time
		n       int
	}{
		{"u1", `"big"`, jan, 2},
		{"u2", `"big"`, jan, 1},
		{"u3", `"big"`, feb, 1},
		{"u1", `null`, jan, 1},
		{"u2", `null`, jan, 1},
		{"u1", `"s1"`, jan, 1},
		{"u1", `"s2"`, jan, 1},
		{"u1", `"s2"`, feb, 1},
		{"u4", `"s3"`, feb, 1},
		{"", `"s3"`, feb, 1},
	} {
		for range e.n {
			ingest(t, s, tenantA, analytics.Event{Name: "n", User: e.user, Time: e.at, Properties: []byte(`{"p":` + e.p + `}`)})
		}
	}
	q := analytics.SeriesQuery{
		Selection: analytics.Selection{Event: "n", From: date("2026-01-01"), To: date("2026-03-01")},
		Interval:  analytics.Month, Breakdown: "p", Limit: 2,
	}
	show := func(list []analytics.Series) (out []string) {
		for _, series := range list {
			key := series.Key
			switch {
			case series.Missing:
				key = "missing"
			case series.Other:
				key = "other"
			}
			out = append(out, fmt.Sprintf("%s %d: %d %d", key, series.Total, series.Points[0].N, series.Points[1].N))
		}
		return out
	}
	got, err := s.Series(t.Context(), platform.System(tenantA, "test"), q)
	if want := []string{"big 4: 3 1", "s2 2: 1 1", "other 5: 3 2"}; err != nil || !slices.Equal(show(got), want) {
		t.Errorf("events: got %q, %v; want %q", show(got), err, want)
	}
	got, err = s.Uniques(t.Context(), platform.System(tenantA, "test"), q)
	if want := []string{"big 3: 2 1", "missing 2: 2 0", "other 2: 1 2"}; err != nil || !slices.Equal(show(got), want) {
		t.Errorf("users: got %q, %v; want %q", show(got), err, want)
	}
	q.Limit = 5
	got, err = s.Series(t.Context(), platform.System(tenantA, "test"), q)
	if want := []string{"big 4: 3 1", "s2 2: 1 1", "s3 2: 0 2", "missing 2: 2 0", "s1 1: 1 0"}; err != nil || !slices.Equal(show(got), want) {
		t.Errorf("all groups: got %q, %v; want %q", show(got), err, want)
	}
}

// twice is a store that runs each transaction a second time, as a database does
// that asks for it.
type twice struct{ store.Relational }

func (w twice) InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	lost := errors.New("lost")
	err := w.Relational.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return lost
	}, opts...)
	if !errors.Is(err, lost) {
		return err
	}
	return w.Relational.InTenant(ctx, tenant, fn, opts...)
}

func TestTransactionsRunTwice(t *testing.T) {
	s := newService(t, analytics.Config{DB: twice{testdb.NewPlace(t).Open(t)}})
	ingest(t, s, tenantA, many("e", 3)...)
	ingest(t, s, tenantA, analytics.Event{Name: "n", User: "u", Time: now, Properties: []byte(`{"p":"a"}`)})
	q := analytics.SeriesQuery{Selection: all("n"), Interval: analytics.Month}
	filtered, byGroup := q, q
	filtered.Filter = filter(t, `{"p":"a"}`)
	byGroup.Breakdown = "p"
	for name, c := range map[string]struct {
		ask  func(context.Context, platform.Principal, analytics.SeriesQuery) ([]analytics.Series, error)
		q    analytics.SeriesQuery
		want []int64
	}{
		"series":           {s.Series, q, []int64{4}},
		"filtered":         {s.Series, filtered, []int64{1}},
		"series by group":  {s.Series, byGroup, []int64{3, 1}},
		"uniques":          {s.Uniques, q, []int64{1}},
		"uniques by group": {s.Uniques, byGroup, []int64{1}},
	} {
		got, err := c.ask(t.Context(), platform.System(tenantA, "test"), c.q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, series := range got {
			sum := int64(0)
			for _, p := range series.Points {
				sum += p.N
			}
			if len(got) != len(c.want) || series.Total != c.want[i] || sum != c.want[i] {
				t.Errorf("%s: got a total of %d and a sum of %d, want %v", name, series.Total, sum, c.want)
			}
		}
	}
	if n := count(t, s, tenantA, "n"); n != 4 {
		t.Errorf("the breakdown has %d events, want 4", n)
	}
}
