package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// formatMedia are the media types of the formats.
var formatMedia = [...]struct {
	format Format
	types  []string // the first is the one we send
}{
	{NDJSON, []string{"application/x-ndjson", "application/ndjson", "application/jsonl"}},
	{JSON, []string{mediaJSON}},
	{CSV, []string{"text/csv"}},
}

func (s *Service) routeBulk() {
	collection := rest.Param{Name: "collection", In: "path", Description: "The collection's name"}
	film := map[string]any{"title": "M", "year": 1931}
	films := map[Format]any{
		NDJSON: "{\"title\": \"M\", \"year\": 1931}\n{\"title\": \"Metropolis\", \"year\": 1927}\n",
		JSON:   []any{film},
		CSV:    "title,year\nM,1931\n",
	}
	// Only JSON has a form of its own; the others are text to whoever generates
	// a client.
	imported := map[Format]any{JSON: []map[string]any{}}
	exported := map[Format]any{JSON: []map[string]any{}}
	var request, response []rest.Media
	for _, f := range formatMedia {
		for _, t := range f.types {
			request = append(request, rest.Media{Type: t, Value: imported[f.format], Example: films[f.format]})
		}
		response = append(response, rest.Media{Type: f.types[0], Value: exported[f.format]})
	}
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.import", Method: http.MethodPost, Retry: platform.RetryWithKey, Path: recordsPath + "/import",
		Access: platform.Require(PermissionWriteRecords), MaxBody: -1, Stream: true, Summary: "Import records from a file",
		Description: "Each item is a record's data. A refused line is named in the answer and does not stop the others, " +
			"but where all are refused nothing was imported, and that is a 422 with the same errors. CSV has commas and a header, " +
			"lines end with LF or CRLF, text is UTF-8; " +
			"a JSON array ends where it is no JSON. Each record has the event of a single change, which names the import's id as import. What was written stays if the request breaks off: with key, send it again. " +
			"An import ends with 413 or 504 and the code import_too_large at a limit: by default 4 GiB, 5,000,000 records or an hour, " +
			"and at a record that goes on for 16 times what one may have.",
	}, rest.Description{
		Params: []rest.Param{
			collection,
			{Name: "key", In: "query", Description: "A member whose value becomes the record's id; the import is then an upsert"},
			{
				Name: "types", In: "query", Enum: []string{"schema", "infer"},
				Description: "For CSV: cells are strings unless the schema says otherwise (schema, the default), or numbers and booleans where they look like it (infer)",
			},
		},
		Request: request, Optional: true, Response: []rest.Media{{Type: mediaJSON, Value: ImportResult{}}},
	}, s.serveImport)
	s.api.HandleHTTP(rest.Operation{
		ID: "data.records.export", Method: http.MethodGet, Path: recordsPath + "/export",
		Access: platform.Require(PermissionReadRecords), Stream: true, Summary: "Export records",
		Description: "A connection that ends before the answer does is an export that failed.",
		Errors:      []int{http.StatusNotAcceptable},
	}, rest.Description{
		Params: []rest.Param{
			collection,
			{Name: "format", In: "query", Description: "Goes before the header Accept; NDJSON where neither asks", Enum: []string{string(NDJSON), string(JSON), string(CSV)}},
			{Name: "shape", In: "query", Description: "Whole records, or their data as import takes it", Enum: []string{"record", "data"}},
			{Name: "filter", In: "query", Description: filterDoc},
			{Name: "sort", In: "query", Description: sortDoc},
			{Name: "fields", In: "query", Description: "Paths to keep of each record's data, with commas; the columns of CSV"},
		},
		Response: response,
	}, s.serveExport)
}

func (s *Service) serveImport(w http.ResponseWriter, r *http.Request) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	values, err := params(r, "key", "types")
	if err != nil {
		return err
	}
	types, err := oneOf(values, "types", "schema", "infer")
	if err != nil {
		return err
	}
	o := ImportOptions{Key: values.Get("key"), Infer: types == "infer"}
	if o.Format = formatOf(mediaType(r)); o.Format == "" && r.ContentLength == 0 {
		o.Format = NDJSON // of which nothing is a file without records
	}
	if o.Format == "" {
		return platform.Errorf(platform.KindUnsupported, "", "send application/x-ndjson, application/json or text/csv")
	}
	result, err := s.Import(r.Context(), p, r.PathValue("collection"), r.Body, o, rest.IdempotencyKey(r.Context()))
	if err != nil {
		return partial(err, result)
	}
	if result.Failed > 0 && result.Imported+result.Updated == 0 {
		return nothingImported(result)
	}
	body, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("data: encode import result: %w", err)
	}
	send(w, http.StatusOK, body)
	return nil
}

// nothingImported is the answer where every line was refused: a caller who reads
// no more than the status must not take that for success.
func nothingImported(result ImportResult) error {
	if first := result.Errors[0]; len(result.Errors) == 1 && first.Code == codeOverLimit {
		return platform.Errorf(platform.KindForbidden, codeOverLimit, "%s", first.Detail)
	}
	e := platform.Errorf(platform.KindInvalid, "nothing_imported", "none of the %d records could be imported", result.Failed)
	for _, refused := range result.Errors {
		e.Fields = append(e.Fields, platform.Field{
			Path: "line." + strconv.FormatInt(refused.Line, 10), Code: refused.Code, Detail: refused.Detail,
		})
	}
	return e
}

// partial adds to an error what an import had written before it.
func partial(err error, result ImportResult) error {
	var e *platform.Error
	if result.Imported+result.Updated == 0 || !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Message += "; before that " + strconv.FormatInt(result.Imported, 10) + " records were imported and " +
		strconv.FormatInt(result.Updated, 10) + " updated"
	return told.Because(err)
}

func formatOf(media string) Format {
	for _, f := range formatMedia {
		for _, t := range f.types {
			if t == media {
				return f.format
			}
		}
	}
	return ""
}

// accepted returns the format that an Accept header likes best, NDJSON where
// it takes all of them alike, and "" where it takes none.
func accepted(values []string) Format {
	best, liking := Format(""), 0.0
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			media, params, err := mime.ParseMediaType(part)
			if err != nil {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			format := formatOf(media)
			switch media {
			case "*/*", "application/*":
				format = NDJSON
			case "text/*":
				format = CSV
			}
			if format != "" && q > liking {
				best, liking = format, q
			}
		}
	}
	return best
}

func (s *Service) serveExport(w http.ResponseWriter, r *http.Request) error {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return err
	}
	values, err := params(r, "format", "shape", "filter", "sort", "fields")
	if err != nil {
		return err
	}
	shape, err := oneOf(values, "shape", "record", "data")
	if err != nil {
		return err
	}
	name, err := oneOf(values, "format", "", string(NDJSON), string(JSON), string(CSV))
	if err != nil {
		return err
	}
	format := Format(name)
	if accept := r.Header["Accept"]; format == "" && accept != nil {
		if format = accepted(accept); format == "" {
			return platform.NewProblem(r.Context(), http.StatusNotAcceptable, "not_acceptable", "application/x-ndjson, application/json and text/csv are served")
		}
	} else if format == "" {
		format = NDJSON
	}
	q := listQuery(values)
	out := &exportWriter{w: w, format: format, collection: r.PathValue("collection")}
	err = s.Export(r.Context(), p, out.collection, out, ExportOptions{
		Format: format, DataOnly: shape == "data", Filter: q.Filter, Sort: q.Sort, Fields: q.Fields, Flush: out.flush,
	})
	if err != nil && out.begun {
		s.log.WarnContext(r.Context(), "export broke off", slog.Any("error", err),
			slog.String("request_id", platform.RequestIDFrom(r.Context())))
		// The status is sent; only a connection that breaks tells the caller.
		panic(http.ErrAbortHandler)
	}
	return err
}

// exportWriter sends the headers with the first byte.
type exportWriter struct {
	w          http.ResponseWriter
	format     Format
	collection string
	begun      bool
}

func (e *exportWriter) begin() {
	if e.begun {
		return
	}
	e.begun = true
	for _, f := range formatMedia {
		if f.format == e.format {
			e.w.Header().Set("Content-Type", f.types[0])
		}
	}
	e.w.Header().Set("Content-Disposition", `attachment; filename="`+e.collection+"."+string(e.format)+`"`)
	e.w.Header().Set("Cache-Control", "private, no-store")
	e.w.WriteHeader(http.StatusOK)
}

func (e *exportWriter) Write(b []byte) (int, error) {
	e.begin()
	return e.w.Write(b)
}

func (e *exportWriter) flush() error {
	e.begin()
	err := http.NewResponseController(e.w).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}
