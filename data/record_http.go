package data

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/store/document"
)

// The bodies of requests, for OpenAPI and, where small, for decoding.
type (
	createBody struct {
		ID   string         `json:"id,omitempty" pattern:"^[A-Za-z0-9._~:-]{1,128}$" doc:"1 to 128 letters, digits and characters of \"._~:-\"; made where absent"`
		Data map[string]any `json:"data"`
	}
	replaceBody struct {
		Data map[string]any `json:"data"`
	}
	queryBody struct {
		Filter rest.Object `json:"filter,omitempty" doc:"The filter language's object" example:"{\"year\": {\"$gte\": 1920}}"`
		Sort   []string    `json:"sort,omitempty" nullable:"false" doc:"Fields, '-' before one sorts downwards"`
		Fields []string    `json:"fields,omitempty" nullable:"false" doc:"Paths to keep of each record's data"`
		Limit  *int        `json:"limit,omitempty" minimum:"1" maximum:"1000" default:"50"`
		Cursor string      `json:"cursor,omitempty" doc:"The next_cursor of the page before"`
		Count  bool        `json:"count,omitempty" doc:"Also tell how many match"`
	}
	countBody struct {
		Filter rest.Object `json:"filter,omitempty" doc:"The filter language's object" example:"{\"year\": {\"$gte\": 1920}}"`
	}
	countOutput struct {
		Count int64 `json:"count"`
	}
)

func splitWords(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// What a parameter or a member means where it selects records.
const (
	filterDoc = `Which records: {"year": {"$gte": 1920}, "genre": "comedy"}, with $eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exists, $and, $or, $not …; in JSON`
	sortDoc   = "Fields with commas, '-' before one sorts downwards: -year,title"
)

const (
	mediaJSON  = "application/json"
	mediaPatch = "application/merge-patch+json"
)

func (s *Service) routeRecords() {
	read := platform.Require(PermissionReadRecords)
	write := platform.Require(PermissionWriteRecords)
	media := func(v any) []rest.Media { return []rest.Media{{Type: mediaJSON, Value: v}} }
	collection := rest.Param{Name: "collection", In: "path", Description: "The collection's name"}
	id := rest.Param{Name: "id", In: "path", Description: "The record's id"}
	match := rest.Param{Name: "If-Match", In: "header", Description: "The ETag of the record that is meant; 412 if it changed since"}
	listing := []rest.Param{
		collection,
		{Name: "filter", In: "query", Description: filterDoc},
		{Name: "sort", In: "query", Description: sortDoc},
		{Name: "fields", In: "query", Description: "Paths to keep of each record's data, with commas"},
		{Name: "limit", In: "query", Description: "1 to 1000; 50 by default. A page with 2 MiB of data ends before that: go on with its next_cursor", Value: 0, Min: 1, Max: maxLimit},
		{Name: "cursor", In: "query", Description: "The next_cursor of the page before"},
		{Name: "count", In: "query", Description: "Also tell how many match, as total", Value: false},
	}
	example := func(v any) any { return map[string]any{"data": v} }
	film := map[string]any{"title": "Nosferatu", "year": 1922}
	maxBody := s.maxRecordBody()
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.create", Method: http.MethodPost, Retry: platform.RetryWithKey, Path: recordsPath, Access: write,
		Status: http.StatusCreated, MaxBody: maxBody, Summary: "Create a record",
	}, rest.Description{
		Params: []rest.Param{collection}, Request: []rest.Media{{Type: mediaJSON, Value: createBody{}, Example: example(film)}},
		Response: media(recordBody{}),
	}, s.serveCreate)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.list", Method: http.MethodGet, Path: recordsPath, Access: read,
		Summary: "List records that match a filter, in an order, page by page",
	}, rest.Description{Params: listing, Response: media(pageBody{})}, s.serveList)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.get", Method: http.MethodGet, Path: recordPath, Access: read, Also: []int{http.StatusNotModified},
		Summary: "Get a record",
	}, rest.Description{
		Params:   []rest.Param{collection, id, {Name: "If-None-Match", In: "header", Description: "An ETag; 304 if the record is still that"}},
		Response: media(recordBody{}),
	}, s.serveGet)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.replace", Method: http.MethodPut, Path: recordPath, Access: write, MaxBody: maxBody,
		Summary: "Replace a record's data", Also: []int{http.StatusCreated},
		Errors:      []int{http.StatusConflict, http.StatusPreconditionFailed},
		Description: "A record that is not there is 404. With If-None-Match: * the record is created (201), and one that is there is 412.",
	}, rest.Description{
		Params: []rest.Param{collection, id, match, {
			Name: "If-None-Match", In: "header", Description: "Only '*': create, do not replace", Enum: []string{"*"},
		}},
		Request: []rest.Media{{Type: mediaJSON, Value: replaceBody{}, Example: example(film)}}, Response: media(recordBody{}),
	}, s.serveReplace)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.patch", Method: http.MethodPatch, Path: recordPath, Access: write, MaxBody: maxBody,
		Summary: "Change a record's data by a JSON merge patch (RFC 7396)",
	}, rest.Description{
		Params: []rest.Param{collection, id, match},
		Request: []rest.Media{
			{Type: mediaPatch, Value: map[string]any{}, Example: map[string]any{"year": 1922}},
			{Type: mediaJSON, Value: map[string]any{}, Example: map[string]any{"year": 1922}},
		},
		Response: media(recordBody{}),
	}, s.servePatch)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.delete", Method: http.MethodDelete, Path: recordPath,
		Access: platform.Require(PermissionDeleteRecords), Status: http.StatusNoContent, Summary: "Delete a record",
	}, rest.Description{Params: []rest.Param{collection, id, match}}, s.serveDelete)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.query", Method: http.MethodPost, Retry: platform.RetryFreely, Path: recordsPath + "/query", Access: read,
		MaxBody: maxQueryBody, Summary: "List records, with the query in the body",
	}, rest.Description{
		Params: []rest.Param{collection}, Request: media(queryBody{}), Optional: true, Response: media(pageBody{}),
	}, s.serveQuery)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.count", Method: http.MethodPost, Retry: platform.RetryFreely, Path: recordsPath + "/count", Access: read,
		MaxBody: maxQueryBody, Summary: "Count the records that match a filter",
	}, rest.Description{
		Params: []rest.Param{collection}, Request: media(countBody{}), Optional: true, Response: media(countOutput{}),
	}, s.serveCount)
}

const maxQueryBody = 2 * document.MaxFilterBytes

// maxRecordBody leaves room for the envelope and for white space.
func (s *Service) maxRecordBody() int64 { return int64(s.maxRecord) + 64<<10 }

func (s *Service) serveCreate(w http.ResponseWriter, r *http.Request) error {
	p, id, data, err := s.incoming(w, r, true)
	if err != nil {
		return err
	}
	collection := r.PathValue("collection")
	rec, err := s.create(r.Context(), p, collection, id, data, rest.IdempotencyKey(r.Context()))
	if err != nil {
		return err
	}
	w.Header().Set("Location", recordLocation(collection, rec.ID))
	s.sendRecord(w, http.StatusCreated, &rec)
	return nil
}

func recordLocation(collection, id string) string {
	return collectionsPath + "/" + collection + "/records/" + id
}

// incoming reads what creates or replaces a record.
func (s *Service) incoming(w http.ResponseWriter, r *http.Request, withID bool) (p platform.Principal, id string, data json.RawMessage, err error) {
	if p, err = platform.PrincipalFrom(r.Context()); err != nil {
		return p, "", nil, err
	}
	if err = wantMedia(r, mediaJSON); err != nil {
		return p, "", nil, err
	}
	body, done, err := s.body(w, r, s.maxRecordBody())
	if err != nil {
		return p, "", nil, err
	}
	defer done()
	id, data, err = envelope(body, withID)
	return p, id, data, err
}

func (s *Service) serveGet(w http.ResponseWriter, r *http.Request) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	rec, done, err := holding(r.Context(), s, p.Tenant, answerPatience, func(ctx context.Context) (Record, int, error) {
		rec, err := s.Record(ctx, p, r.PathValue("collection"), r.PathValue("id"))
		return rec, len(rec.Data), err
	})
	if err != nil {
		return err
	}
	defer done()
	w.Header().Set("Cache-Control", "private, no-cache")
	if none := r.Header["If-None-Match"]; none != nil && ifNoneMatch(none, rec.Version) {
		w.Header().Set("ETag", etag(rec.Version))
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	s.sendRecord(w, http.StatusOK, &rec)
	return nil
}

func (s *Service) serveReplace(w http.ResponseWriter, r *http.Request) error {
	p, _, data, err := s.incoming(w, r, false)
	if err != nil {
		return err
	}
	collection, id := r.PathValue("collection"), r.PathValue("id")
	if none := r.Header["If-None-Match"]; none != nil {
		return s.createAt(w, r, p, data, none)
	}
	rec, err := s.replace(r.Context(), p, collection, id, data, ifMatch(r.Header["If-Match"]))
	if err != nil {
		return err
	}
	s.sendRecord(w, http.StatusOK, &rec)
	return nil
}

// createAt is a replace with If-None-Match, of which only "*" has a use.
func (s *Service) createAt(w http.ResponseWriter, r *http.Request, p platform.Principal, data json.RawMessage, none []string) error {
	if t := tags(none); len(t) != 1 || t[0] != "*" {
		return platform.Invalid(platform.Field{Path: "header.If-None-Match", Code: "enum", Detail: "must be '*' here, or be left out"})
	}
	collection := r.PathValue("collection")
	rec, err := s.create(r.Context(), p, collection, r.PathValue("id"), data, nil)
	if errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "exists"}) {
		return platform.Errorf(platform.KindStale, "exists", "there is a record already")
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", recordLocation(collection, rec.ID))
	s.sendRecord(w, http.StatusCreated, &rec)
	return nil
}

func (s *Service) servePatch(w http.ResponseWriter, r *http.Request) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	if err := wantMedia(r, mediaPatch, mediaJSON); err != nil {
		return err
	}
	body, done, err := s.body(w, r, s.maxRecordBody())
	if err != nil {
		return err
	}
	defer done()
	rec, err := s.PatchRecord(r.Context(), p, r.PathValue("collection"), r.PathValue("id"), body, ifMatch(r.Header["If-Match"]))
	if err != nil {
		return err
	}
	s.sendRecord(w, http.StatusOK, &rec)
	return nil
}

func (s *Service) serveDelete(w http.ResponseWriter, r *http.Request) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	err = s.DeleteRecord(r.Context(), p, r.PathValue("collection"), r.PathValue("id"), ifMatch(r.Header["If-Match"]))
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) serveList(w http.ResponseWriter, r *http.Request) error {
	values, err := params(r, "filter", "sort", "fields", "limit", "cursor", "count")
	if err != nil {
		return err
	}
	q := listQuery(values)
	if q.Cursor = values.Get("cursor"); values.Has("limit") {
		if q.Limit, err = strconv.Atoi(values.Get("limit")); err != nil || q.Limit == 0 {
			return badLimit()
		}
	}
	count, err := oneOf(values, "count", "false", "true")
	if err != nil {
		return err
	}
	return s.sendPage(w, r, q, count == "true")
}

// listQuery reads what list and export have in common.
func listQuery(values url.Values) Query {
	return Query{
		Filter: json.RawMessage(values.Get("filter")), Sort: values.Get("sort"), Fields: splitWords(values.Get("fields")),
	}
}

func (s *Service) serveQuery(w http.ResponseWriter, r *http.Request) error {
	var in queryBody
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	q := Query{Filter: json.RawMessage(in.Filter), Sort: strings.Join(in.Sort, ","), Fields: in.Fields, Cursor: in.Cursor}
	if in.Limit != nil {
		if q.Limit = *in.Limit; q.Limit == 0 {
			return badLimit()
		}
	}
	return s.sendPage(w, r, q, in.Count)
}

func (s *Service) decode(w http.ResponseWriter, r *http.Request, v any) error {
	if err := wantMedia(r, mediaJSON); err != nil {
		return err
	}
	body, done, err := s.body(w, r, maxQueryBody)
	if err != nil {
		return err
	}
	defer done()
	return decodeBody(body, v)
}

func (s *Service) serveCount(w http.ResponseWriter, r *http.Request) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	var in countBody
	if err := s.decode(w, r, &in); err != nil {
		return err
	}
	n, err := s.Count(r.Context(), p, r.PathValue("collection"), json.RawMessage(in.Filter))
	if err != nil {
		return err
	}
	body, err := json.Marshal(countOutput{n})
	if err != nil {
		return err
	}
	send(w, http.StatusOK, body)
	return nil
}

func (s *Service) sendPage(w http.ResponseWriter, r *http.Request, q Query, count bool) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	collection, total := r.PathValue("collection"), int64(-1)
	if count { // before the page, which takes room while a count may wait for its turn
		if total, err = s.Count(r.Context(), p, collection, q.Filter); err != nil {
			return err
		}
	}
	found, done, err := holding(r.Context(), s, p.Tenant, answerPatience, func(ctx context.Context) (Page, int, error) {
		found, err := s.Find(ctx, p, collection, q)
		return found, pageSize(&found), err
	})
	if err != nil {
		return err
	}
	defer done()
	s.sendPageBody(w, &found, total)
	return nil
}

// send ends the body with a line, as the other answers are ended, for those
// who read them in a terminal.
func send(w http.ResponseWriter, status int, body []byte) {
	body = append(body, '\n')
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone if this fails
}
