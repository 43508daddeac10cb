package user

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// auditEntryWire is a line of NDJSON.
type auditEntryWire struct {
	auditWire
	DetailText string   `json:"detail_text"`
	Previous   string   `json:"previous"`
	Hash       string   `json:"hash"`
	Salts      []string `json:"salts,omitempty"`
}

// exporter is ExportAudit or ExportOperatorAudit.
type exporter func(context.Context, platform.Principal, AuditExport, func(int64, bool), func([]AuditEntry) error) error

const (
	formatNDJSON = "ndjson"
	formatCSV    = "csv"
)

func (s *Service) routeAuditExport(api *rest.API) {
	for _, r := range []struct {
		id, path string
		access   platform.Access
		export   exporter
	}{
		{"audit.export", "/v1/audit/export", platform.Require(permAuditExport), s.ExportAudit},
		{"operator.audit.export", "/v1/operator/audit/export", platform.Operator(), s.ExportOperatorAudit},
	} {
		op := get(r.id, r.path, "Export up to 100,000 records, in the order of the chain", r.access)
		op.Stream = true
		op.Description = "Where there are more, the header Link leads on (rel next). NDJSON has all that is needed to check the chain elsewhere; " +
			"docs/audit.md says how. In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe. " +
			"A connection that ends before the answer does is an export that failed."
		api.HandleHTTP(op, rest.Description{
			Params: []rest.Param{
				{Name: "format", In: "query", Enum: []string{formatNDJSON, formatCSV}, Description: "ndjson where it is absent"},
				{Name: "after", In: "query", Value: int64(0), Description: "The sequence after which to begin"},
				{Name: "action", In: "query", Description: "An action such as login.failed, or a noun with a star such as session.*"},
				{Name: "actor", In: "query", Description: "Only what this user, operator or part of the host did"},
				{Name: "target", In: "query", Description: "Only what was done to the thing of this id"},
				{Name: "outcome", In: "query", Enum: []string{outcomeOK, outcomeFailed, outcomeRefused}, Description: "Only what ended so"},
				{Name: "from", In: "query", Value: time.Time{}, Description: "The first moment"},
				{Name: "to", In: "query", Value: time.Time{}, Description: "The first moment that is left out"},
			},
			Response: []rest.Media{
				{Type: "application/x-ndjson", Example: `{"sequence":1,"action":"user.signed_up"}` + "\n"},
				{Type: "text/csv", Example: strings.Join(auditCSVHeader, ",") + "\n"},
			},
		}, func(w http.ResponseWriter, r2 *http.Request) error { return serveAuditExport(w, r2, r.export) })
	}
}

func serveAuditExport(w http.ResponseWriter, r *http.Request, export exporter) error {
	p, err := platform.CallerFrom(r.Context())
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return platform.Errorf(platform.KindMalformed, "bad_query", "the query is not well-formed")
	}
	in, format, err := exportOf(values)
	if err != nil {
		return err
	}
	out := &auditWriter{w: w, format: format}
	err = export(r.Context(), p, in, func(through int64, more bool) { out.begin(values, through, more) }, out.write)
	if err != nil && out.begun {
		panic(http.ErrAbortHandler) // the answer must not look whole
	}
	return err
}

// exportOf reads the query of an export.
func exportOf(values url.Values) (in AuditExport, format string, err error) {
	for name, all := range values {
		switch name {
		case "format", "after", "action", "actor", "target", "outcome", "from", "to":
		default:
			return in, "", field("query."+name, "unknown", "no such parameter")
		}
		if len(all) != 1 || len(all[0]) > 100 {
			return in, "", field("query."+name, "format", "one value of up to 100 characters")
		}
	}
	if format = values.Get("format"); format == "" {
		format = formatNDJSON
	} else if format != formatNDJSON && format != formatCSV {
		return in, "", field("query.format", "unknown", "ndjson or csv")
	}
	in.Filter = AuditFilter{Action: values.Get("action"), Actor: values.Get("actor"), Target: values.Get("target"), Outcome: values.Get("outcome")}
	for name, at := range map[string]*time.Time{"from": &in.Filter.From, "to": &in.Filter.To} {
		if text := values.Get(name); text != "" {
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				return in, "", field("query."+name, "format", "a time such as 2026-11-30T12:00:00Z")
			}
		}
	}
	if text := values.Get("after"); text != "" {
		if in.After, err = strconv.ParseInt(text, 10, 64); err != nil || in.After < 0 {
			return in, "", field("query.after", "format", "the sequence of a record, or 0")
		}
	}
	return in, format, nil
}

// auditWriter sends records as they come.
type auditWriter struct {
	w      http.ResponseWriter
	format string
	begun  bool
	table  *csv.Writer
}

// begin sends the header, with where to go on.
func (a *auditWriter) begin(values url.Values, through int64, more bool) {
	a.begun = true
	h := a.w.Header()
	if more {
		values.Set("after", strconv.FormatInt(through, 10))
		h.Set("Link", "<?"+values.Encode()+`>; rel="next"`)
	}
	h.Set("Cache-Control", "private, no-store")
	h.Set("Content-Disposition", `attachment; filename="audit.`+a.format+`"`)
	if a.format == formatCSV {
		h.Set("Content-Type", "text/csv; charset=utf-8")
		a.table = csv.NewWriter(a.w)
		_ = a.table.Write(auditCSVHeader) // Flush tells of faults
		a.table.Flush()
		return
	}
	h.Set("Content-Type", "application/x-ndjson")
	a.w.WriteHeader(http.StatusOK)
}

func (a *auditWriter) write(entries []AuditEntry) error {
	if a.table != nil {
		for _, e := range entries {
			_ = a.table.Write(auditCSV(e)) // the same
		}
		a.table.Flush()
		return a.table.Error()
	}
	lines := json.NewEncoder(a.w)
	lines.SetEscapeHTML(false)
	for _, e := range entries {
		if err := lines.Encode(auditEntryWire{wireAudit(e.AuditRecord), e.DetailText, e.Previous, e.Hash, e.Salts}); err != nil {
			return fmt.Errorf("user: write an export: %w", err)
		}
	}
	return nil
}

var auditCSVHeader = []string{
	"sequence", "time", "action", "outcome", "actor", "actor_kind", "credential", "target", "client", "request_id", "detail", "erased", "id", "hash",
}

func auditCSV(e AuditEntry) []string {
	cells := []string{
		strconv.FormatInt(e.Sequence, 10), e.Time.Format(time.RFC3339Nano), e.Action, e.Outcome, e.Actor, string(e.ActorKind), e.Credential,
		e.Target, e.Client, e.RequestID, e.DetailText, strings.Join(e.Erased, " "), e.ID, e.Hash,
	}
	for i, cell := range cells {
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			cells[i] = "'" + cell
		}
	}
	return cells
}
