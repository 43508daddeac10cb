package analytics

import (
	"context"
	"encoding/json"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/store/document"
)

type (
	seriesInput struct {
		Body struct {
			Event     string      `json:"event" minLength:"1" maxLength:"128" doc:"The name of the events" example:"order.paid"`
			From      string      `json:"from" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}" doc:"RFC 3339, or a date, which begins in the time zone; inclusive" example:"2026-01-01"`
			To        string      `json:"to" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}" doc:"As from; exclusive" example:"2026-02-01"`
			Interval  Interval    `json:"interval" enum:"hour,day,week,month" doc:"Weeks begin on Monday" example:"day"`
			Timezone  string      `json:"timezone,omitempty" default:"UTC" doc:"IANA name of the zone whose calendar cuts the intervals" example:"Europe/Berlin"`
			Filter    rest.Object `json:"filter,omitempty" doc:"On the properties, in the language of record filters, such as {\"country\": \"DE\"}"`
			Breakdown string      `json:"breakdown,omitempty" maxLength:"256" doc:"A property; each of its values gets a series"`
			Limit     int         `json:"limit,omitempty" minimum:"1" maximum:"100" default:"10" doc:"How many values get a series"`
		}
	}
	breakdownInput struct {
		Body struct {
			Event    string      `json:"event" minLength:"1" maxLength:"128" doc:"The name of the events" example:"order.paid"`
			From     string      `json:"from" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}" doc:"RFC 3339, or a date, which begins in the time zone; inclusive" example:"2026-01-01"`
			To       string      `json:"to" pattern:"^[0-9]{4}-[0-9]{2}-[0-9]{2}" doc:"As from; exclusive" example:"2026-02-01"`
			Timezone string      `json:"timezone,omitempty" default:"UTC" doc:"IANA name of the zone of the dates" example:"Europe/Berlin"`
			Filter   rest.Object `json:"filter,omitempty" doc:"On the properties, in the language of record filters, such as {\"country\": \"DE\"}"`
			Property string      `json:"property" minLength:"1" maxLength:"256" doc:"The property whose values are counted" example:"country"`
			Limit    int         `json:"limit,omitempty" minimum:"1" maximum:"100" default:"10" doc:"How many values are listed"`
		}
	}
)

func (in *seriesInput) query() (SeriesQuery, error) {
	b := &in.Body
	q := SeriesQuery{Interval: b.Interval, Breakdown: b.Breakdown, Limit: b.Limit}
	var err error
	q.Selection, q.Location, err = selection(b.Event, b.From, b.To, b.Timezone, json.RawMessage(b.Filter))
	return q, err
}

// selection reads what all questions have in common.
func selection(event, from, to, timezone string, filter json.RawMessage) (Selection, *time.Location, error) {
	q := Selection{Event: event}
	loc, err := location(timezone)
	if err != nil {
		return q, nil, err
	}
	if q.From, err = moment("/from", from, loc); err != nil {
		return q, nil, err
	}
	if q.To, err = moment("/to", to, loc); err != nil {
		return q, nil, err
	}
	if len(filter) > 0 && string(filter) != "null" {
		q.Filter, err = document.ParseFilter(filter)
	}
	return q, loc, err
}

// location finds a zone by its IANA name. "Local" is a name to package time
// only, and would be the zone of the machine.
func location(name string) (*time.Location, error) {
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, wrongShape("/timezone", "unknown", "timezone must be an IANA name such as Europe/Berlin")
	}
	return loc, nil
}

// moment reads a time, or a date as its first moment in loc.
func moment(pointer, s string, loc *time.Location) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if d, err := time.Parse(time.DateOnly, s); err == nil {
		return dateStart(d.Year(), d.Month(), d.Day(), loc), nil
	}
	return time.Time{}, wrongShape(pointer, "format", "must be a time such as 2026-01-31T23:00:00Z (RFC 3339), or a date such as 2026-01-31")
}

type (
	seriesOutput    struct{ Body seriesAnswer }
	uniquesOutput   struct{ Body uniquesAnswer }
	breakdownOutput struct{ Body breakdownAnswer }

	seriesAnswer struct {
		Series []countSeries `json:"series"`
	}
	countSeries struct {
		Key    *string      `json:"key" doc:"The value of the property; null without a breakdown, for events without it, and for the others"`
		Other  bool         `json:"other,omitempty" doc:"All values beyond the limit"`
		Count  int64        `json:"count" doc:"The events of the range"`
		Points []countPoint `json:"points"`
	}
	countPoint struct {
		Time  time.Time `json:"time" doc:"When the interval begins, with the offset of the time zone"`
		Count int64     `json:"count"`
	}
	uniquesAnswer struct {
		Series []userSeries `json:"series"`
	}
	userSeries struct {
		Key    *string     `json:"key" doc:"The value of the property; null without a breakdown, for events without it, and for the others"`
		Other  bool        `json:"other,omitempty" doc:"All values beyond the limit"`
		Users  int64       `json:"users" doc:"The users of the range, each once: not the sum of the points"`
		Points []userPoint `json:"points"`
	}
	userPoint struct {
		Time  time.Time `json:"time" doc:"When the interval begins, with the offset of the time zone"`
		Users int64     `json:"users"`
	}
	breakdownAnswer struct {
		Data  []breakdownLine `json:"data"`
		Other int64           `json:"other" doc:"The events with a value beyond the limit"`
	}
	breakdownLine struct {
		Key   *string `json:"key" doc:"The value of the property; null for events without it"`
		Count int64   `json:"count"`
	}
)

// key is the group's value on the wire.
func (g *Group) key() *string {
	if g.Missing || g.Other {
		return nil
	}
	return &g.Key
}

// keyOf is the key of a series: all events have none.
func keyOf(series *Series, breakdown string) *string {
	if breakdown == "" {
		return nil
	}
	return series.key()
}

func (s *Service) handleSeries(ctx context.Context, in *seriesInput) (*seriesOutput, error) {
	list, err := s.answer(ctx, in, s.Series)
	if err != nil {
		return nil, err
	}
	out := &seriesOutput{seriesAnswer{make([]countSeries, len(list))}}
	for i := range list {
		points := make([]countPoint, len(list[i].Points))
		for j, p := range list[i].Points {
			points[j] = countPoint{p.Time, p.N}
		}
		out.Body.Series[i] = countSeries{keyOf(&list[i], in.Body.Breakdown), list[i].Other, list[i].Total, points}
	}
	return out, nil
}

func (s *Service) handleUniques(ctx context.Context, in *seriesInput) (*uniquesOutput, error) {
	list, err := s.answer(ctx, in, s.Uniques)
	if err != nil {
		return nil, err
	}
	out := &uniquesOutput{uniquesAnswer{make([]userSeries, len(list))}}
	for i := range list {
		points := make([]userPoint, len(list[i].Points))
		for j, p := range list[i].Points {
			points[j] = userPoint{p.Time, p.N}
		}
		out.Body.Series[i] = userSeries{keyOf(&list[i], in.Body.Breakdown), list[i].Other, list[i].Total, points}
	}
	return out, nil
}

func (s *Service) answer(ctx context.Context, in *seriesInput,
	ask func(context.Context, platform.Principal, SeriesQuery) ([]Series, error),
) ([]Series, error) {
	principal, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	return ask(ctx, principal, q)
}

func (s *Service) handleBreakdown(ctx context.Context, in *breakdownInput) (*breakdownOutput, error) {
	principal, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	q := BreakdownQuery{Property: b.Property, Limit: b.Limit}
	if q.Selection, _, err = selection(b.Event, b.From, b.To, b.Timezone, json.RawMessage(b.Filter)); err != nil {
		return nil, err
	}
	answer, err := s.Breakdown(ctx, principal, q)
	if err != nil {
		return nil, err
	}
	out := &breakdownOutput{breakdownAnswer{make([]breakdownLine, len(answer.Rows)), answer.Other}}
	for i, row := range answer.Rows {
		out.Body.Data[i] = breakdownLine{row.key(), row.Count}
	}
	return out, nil
}
