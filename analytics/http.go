package analytics

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// The permissions of the routes.
const (
	permissionWrite = "analytics.events.write"
	permissionRead  = "analytics.events.read"
)

func newAPI(s *Service, log *slog.Logger) *rest.API {
	a := rest.New("analytics", log)
	a.Describe("Events, and questions about them")
	a.HandleHTTP(rest.Operation{
		ID: "analytics.events.ingest", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/v1/analytics/events",
		Summary: "Send events",
		Description: "Takes one event, or up to 2,000 as `{\"events\": […]}`. What is counted as accepted is committed. " +
			"Events of a known id are duplicates and change nothing, so a request may be repeated until it is answered; " +
			"an event without an id gets one here and has no such protection. A bad event is rejected by itself; " +
			"where all are, nothing was accepted, and that is a 422 with the same reasons.",
		Access: platform.Require(permissionWrite), MaxBody: MaxBody,
	}, rest.Description{
		Request: []rest.Media{{Type: "application/json", Value: rest.OneOf{ingestBody{}, eventBody{}}, Example: map[string]any{"events": []any{map[string]any{
			"id": "e1", "name": "order.paid", "user": "anna", "time": "2026-01-31T12:00:00Z", "properties": map[string]any{"country": "DE"},
		}}}}},
		Response: []rest.Media{{Type: "application/json", Value: ingestAnswer{}}},
	}, s.serveIngest)
	rest.Handle(a, rest.Operation{
		ID: "analytics.query.series", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/v1/analytics/query/series",
		Summary: "Count events over time", Access: platform.Require(permissionRead),
	}, s.handleSeries)
	rest.Handle(a, rest.Operation{
		ID: "analytics.query.uniques", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/v1/analytics/query/uniques",
		Summary: "Count users over time", Access: platform.Require(permissionRead),
		Description: "Each user counts once in each point and once in the total of a series. Events without a user are left out.",
	}, s.handleUniques)
	rest.Handle(a, rest.Operation{
		ID: "analytics.query.breakdown", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/v1/analytics/query/breakdown",
		Summary: "Count events by a property", Access: platform.Require(permissionRead),
	}, s.handleBreakdown)
	return a
}

// eventBody is one event of a request, as described; decode reads it by hand.
type eventBody struct {
	ID         string         `json:"id,omitempty" maxLength:"128" nullable:"true" doc:"Unique in the organization: sent again, the event counts once. Made here where it is absent"`
	Name       string         `json:"name" minLength:"1" maxLength:"128" example:"order.paid"`
	User       string         `json:"user,omitempty" nullable:"true" maxLength:"256" doc:"Whose act it was, in your own terms"`
	Time       string         `json:"time,omitempty" nullable:"true" format:"date-time" doc:"When it happened; now where it is absent"`
	Properties map[string]any `json:"properties,omitempty" nullable:"true" doc:"At most 32 KiB, 256 keys and 16 levels"`
}

// ingestBody is an envelope of events.
type ingestBody struct {
	Events []eventBody `json:"events" maxItems:"2000" doc:"Several events"`
}

type ingestAnswer struct {
	Accepted   int             `json:"accepted" doc:"New events, committed"`
	Duplicates int             `json:"duplicates" doc:"Events whose id was known"`
	Rejected   []rejectionBody `json:"rejected" doc:"Events that are not valid"`
}

type rejectionBody struct {
	Index  int    `json:"index" doc:"The event's place in the request, from 0"`
	ID     string `json:"id,omitempty" doc:"Its id, if that is valid"`
	Code   string `json:"code" doc:"Stable code, for programs"`
	Detail string `json:"detail" doc:"What would be right"`
}

func (s *Service) serveIngest(w http.ResponseWriter, r *http.Request) error {
	principal, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	c, err := s.decode(body, s.now())
	if err != nil {
		return err
	}
	result, err := s.ingest(r.Context(), principal, c)
	if err != nil {
		return err
	}
	if result.Accepted+result.Duplicates == 0 && len(result.Rejected) > 0 {
		return nothingAccepted(result.Rejected)
	}
	answer := ingestAnswer{
		Accepted: result.Accepted, Duplicates: result.Duplicates,
		Rejected: make([]rejectionBody, len(result.Rejected)),
	}
	for i, rejection := range result.Rejected {
		answer.Rejected[i] = rejectionBody(rejection)
	}
	out, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("analytics: answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(out, '\n')) // the events are committed, also where nobody hears it
	return nil
}

// nothingAccepted is the answer where every event was rejected: a caller who
// reads no more than the status must not take that for success.
func nothingAccepted(rejected []Rejection) error {
	e := platform.Errorf(platform.KindInvalid, "nothing_accepted", "none of the %d events was accepted", len(rejected))
	for _, r := range rejected {
		e.Fields = append(e.Fields, platform.Field{Path: "/events/" + strconv.Itoa(r.Index), Code: r.Code, Detail: r.Detail})
	}
	return e
}

// readBody reads the body into one string, of which the rows will be parts.
func readBody(w http.ResponseWriter, r *http.Request) (string, error) {
	var b strings.Builder
	b.Grow(int(min(max(r.ContentLength, 0), 1<<20))) // a header alone gets no more
	if _, err := io.Copy(&b, http.MaxBytesReader(w, r.Body, MaxBody)); err != nil {
		return "", err
	}
	return b.String(), nil
}
