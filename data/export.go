package data

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// ExportOptions say what an export holds and how it is written.
type ExportOptions struct {
	// Format is how the records are written; it must be set.
	Format Format
	// DataOnly writes each record's data alone, as an import takes it, and
	// not the record with its id, times and version.
	DataOnly bool
	// Filter, Sort and Fields select as in [Query].
	Filter json.RawMessage
	Sort   string
	Fields []string
	// Flush is called after each page was written; it may be nil.
	Flush func() error
}

// The pages of an export grow up to this many bytes of data.
const (
	firstExportPage = 100
	exportPageBytes = 1 << 20
)

// Export writes the records that match to w, page by page. It is not a
// snapshot: a record that changes meanwhile is written as one of its states, and
// in the default order, by id, none is written twice or left out that was there
// all the time. The numbers and strings are written as they were given.
//
// In CSV the columns are those of Fields, else of the schema's properties, else
// all member names that a first pass over the records finds; what is not a
// column then is not written. Objects and lists are JSON in their cell. Cells
// are written as they are: whoever opens the file in a spreadsheet, which takes
// "=…" for a formula, must know what the records hold.
//
// Nothing is written before the first page was read. Errors: those of
// [Service.Find]; an error after the first byte leaves w incomplete.
func (s *Service) Export(
	ctx context.Context, p platform.Principal, collection string, w io.Writer, o ExportOptions,
) error {
	g, err := s.grant(ctx, p, PermissionReadRecords, collection)
	if err != nil {
		return err
	}
	e := exporter{service: s, tenant: p.Tenant, collection: collection, options: o}
	if e.plan, err = planQuery(collection, Query{Filter: o.Filter, Sort: o.Sort, Fields: o.Fields, Limit: firstExportPage}, g); err != nil {
		return err
	}
	e.plan.MaxBytes = exportPageBytes
	switch o.Format {
	case NDJSON:
		e.form = &lineForm{}
	case JSON:
		e.form = &arrayForm{}
	case CSV:
		if e.form, err = e.tableForm(ctx); err != nil {
			return err
		}
	default:
		return fmt.Errorf("data: export: unknown format %q", o.Format)
	}
	return e.write(ctx, w)
}

type exporter struct {
	service    *Service
	tenant     platform.TenantID
	collection string
	options    ExportOptions
	plan       plan
	form       form
}

// form writes records in a format; each method appends to dst.
type form interface {
	begin(dst []byte) []byte
	record(dst []byte, r *Record, dataOnly bool) []byte
	end(dst []byte) []byte
}

func (e *exporter) write(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriterSize(w, 32<<10)
	buf := e.form.begin(nil)
	err := e.pages(ctx, e.plan, func(*Record) {}, func(records []Record) error {
		for i := range records {
			buf = e.form.record(buf, &records[i], e.options.DataOnly)
			if _, err := out.Write(buf); err != nil {
				return fmt.Errorf("data: export: %w", err)
			}
			if buf = buf[:0]; cap(buf) > maxRecycled {
				buf = nil
			}
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("data: export: %w", err)
		}
		if e.options.Flush == nil {
			return nil
		}
		return e.options.Flush()
	})
	if err != nil {
		return err
	}
	if _, err := out.Write(e.form.end(buf)); err != nil {
		return fmt.Errorf("data: export: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("data: export: %w", err)
	}
	return nil
}

// exportPage is a page on its way, and how much data was read for it.
type exportPage struct {
	store.Page

	size int
}

// pages hands every record of p to see, as part of a scan, and then each page to
// done, which may take as long as it takes. A page that has to wait before done
// is read again, so see may get a record twice.
func (e *exporter) pages(ctx context.Context, p plan, see func(*Record), done func([]Record) error) error {
	patience := answerPatience // until something was written
	for {
		size, next, err := e.page(ctx, p, patience, see, done)
		if err != nil || len(next) == 0 {
			return err
		}
		if p.Cursor = next; size < exportPageBytes/2 {
			p.Limit = min(2*p.Limit, maxLimit)
		}
		patience = 0
	}
}

// page hands one page of p to done, once there is room for it.
func (e *exporter) page(
	ctx context.Context, p plan, patience time.Duration, see func(*Record), done func([]Record) error,
) (size int, next store.Cursor, err error) {
	found, release, err := holding(ctx, e.service, e.tenant, patience, func(ctx context.Context) (out exportPage, size int, err error) {
		largest := 0
		err = e.service.each(ctx, e.tenant, e.collection, p.Query, func(page store.Page) error {
			out = exportPage{Page: page}
			for i := range page.Documents {
				d := &page.Documents[i]
				out.size += len(d.Data)
				largest = max(largest, len(d.Data))
			}
			p.show(page.Documents)
			for i := range page.Documents {
				see(&page.Documents[i])
			}
			return nil
		})
		return out, out.size + largest, err // one is held once more, as it is written
	})
	if err != nil {
		return 0, nil, p.nameIndex(err)
	}
	defer release()
	return found.size, found.Next, done(found.Documents)
}

// lineForm is NDJSON.
type lineForm struct{}

func (*lineForm) begin(dst []byte) []byte { return dst }

func (*lineForm) record(dst []byte, r *Record, dataOnly bool) []byte {
	return append(appendExported(dst, r, dataOnly), '\n')
}

func (*lineForm) end(dst []byte) []byte { return dst }

// arrayForm is a JSON array with a record a line.
type arrayForm struct{ some bool }

func (*arrayForm) begin(dst []byte) []byte { return append(dst, '[') }

func (f *arrayForm) record(dst []byte, r *Record, dataOnly bool) []byte {
	if f.some {
		dst = append(dst, ',')
	}
	f.some = true
	return appendExported(append(dst, '\n'), r, dataOnly)
}

func (*arrayForm) end(dst []byte) []byte { return append(dst, "\n]\n"...) }

func appendExported(dst []byte, r *Record, dataOnly bool) []byte {
	if dataOnly {
		return append(dst, r.Data...)
	}
	return appendRecord(dst, r)
}
