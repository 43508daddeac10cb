package data

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// Limits of a query.
const (
	defaultLimit = 50
	maxLimit     = 1000
	// pageBytes is how much data of records a page holds, if not one record
	// has more.
	pageBytes = 2 << 20
)

// Query asks for a page of records. The filter language and the orders are
// those of package document.
type Query struct {
	// Filter is a JSON object such as {"year": {"$gte": 1990}}; nil selects all.
	Filter json.RawMessage
	// Sort lists fields, "-year,title"; empty is by id.
	Sort string
	// Fields are the paths to keep of each record's data; nil keeps all.
	Fields []string
	// Limit is 1 to 1,000; zero is 50. A page ends before it where its records,
	// whole, would have more than 2 MiB of data.
	Limit int
	// Cursor continues after an earlier page with the same filter and sort.
	Cursor string
}

// Page is one page of records.
type Page struct {
	Records []Record
	// Next continues after the last record; empty on the last page.
	Next string
}

// Find returns a page of a collection's records. A record that is there during
// all pages of a query and whose place in the order does not change is on one
// page exactly. Errors: [platform.KindInvalid] for what is wrong with the
// query, and "query_too_costly" for one without a fitting index that reads more
// than [store.Scans] lets it; [platform.KindMalformed] "bad_cursor" for a cursor
// of another query, [platform.KindNotFound] for the collection,
// [platform.KindLimited] "scans_exceeded" where the tenant has too many queries
// under way that read much; [platform.KindForbidden], and "field_not_readable"
// for a filter or an order over what the principal may not read.
func (s *Service) Find(ctx context.Context, p platform.Principal, collection string, q Query) (Page, error) {
	g, err := s.grant(ctx, p, PermissionReadRecords, collection)
	if err != nil {
		return Page{}, err
	}
	plan, err := planQuery(collection, q, g)
	if err != nil {
		return Page{}, err
	}
	return s.find(ctx, p.Tenant, collection, plan)
}

// plan is a query that was checked. Its filter selects what was asked for and
// may be read.
type plan struct {
	store.Query
	asked  document.Filter
	grant  Grant
	fields []string
	seal   [sealSize]byte
}

func planQuery(collection string, q Query, g Grant) (plan, error) {
	p := plan{fields: q.Fields, grant: g}
	var err error
	if p.asked, err = document.ParseFilter(q.Filter); err != nil {
		return plan{}, err
	}
	if p.Sort, err = document.ParseSort(q.Sort); err != nil {
		return plan{}, err
	}
	if err = g.mayAsk(p.asked, p.Sort); err != nil {
		return plan{}, err
	}
	p.Filter = g.Filter.And(p.asked)
	for i, f := range q.Fields {
		if err := document.CheckPath(fmt.Sprintf("/fields/%d", i), f); err != nil {
			return plan{}, err
		}
	}
	switch p.Limit = q.Limit; {
	case q.Limit == 0:
		p.Limit = defaultLimit
	case q.Limit < 1 || q.Limit > maxLimit:
		return plan{}, badLimit()
	}
	p.MaxBytes = pageBytes
	p.seal = sealOf(collection, p.asked.String(), q.Sort)
	p.Cursor, err = p.open(q.Cursor)
	return p, err
}

func badLimit() error {
	return platform.Invalid(platform.Field{Path: "query.limit", Code: "range", Detail: "must be a number from 1 to 1000"})
}

func (s *Service) find(ctx context.Context, tenant platform.TenantID, collection string, p plan) (Page, error) {
	found, err := s.read(ctx, tenant, collection, p.Query)
	if err != nil {
		return Page{}, cursorFault(p.nameIndex(err))
	}
	p.show(found.Documents)
	return Page{Records: found.Documents, Next: p.close(found.Next)}, nil
}

// show leaves of records what was asked for and may be read.
func (p *plan) show(records []Record) {
	if p.fields == nil && p.grant.Readable == nil {
		return
	}
	for i := range records {
		p.grant.show(&records[i])
		records[i].Data = document.Select(records[i].Data, p.fields)
	}
}

// nameIndex adds to the error of a query that costs too much which index it
// lacks, for what the caller asked.
func (p *plan) nameIndex(err error) error { return nameIndex(err, p.asked, p.Sort) }

// cursorFault turns the store's word on a cursor into that of lists.
func cursorFault(err error) error {
	if platform.KindOf(err) == platform.KindMalformed {
		return page.BadCursor().Because(err)
	}
	return err
}

// Count returns how many records match a filter; nil is all. Errors: those of
// [Service.Find].
func (s *Service) Count(ctx context.Context, p platform.Principal, collection string, filter json.RawMessage) (int64, error) {
	g, err := s.grant(ctx, p, PermissionReadRecords, collection)
	if err != nil {
		return 0, err
	}
	asked, err := document.ParseFilter(filter)
	if err != nil {
		return 0, err
	}
	if err := g.mayAsk(asked, nil); err != nil {
		return 0, err
	}
	f := g.Filter.And(asked)
	var n int64
	err = s.scans.Run(ctx, s.limits, p.Tenant, func(ctx context.Context, budget *store.Budget) (err error) {
		n, err = s.docs.Count(ctx, p.Tenant, collection, f, budget)
		return err
	})
	return n, nameIndex(err, asked, nil)
}

// A cursor on the outside is a version byte, a checksum and the store's
// cursor, in base 64. The checksum ties it to collection, filter and order, so
// that a caller who mixes them up is told; it is no protection, and none is
// needed: the tenant of a query never comes from a cursor.
const (
	cursorVersion = 1
	sealSize      = 8
)

func sealOf(collection, filter, sort string) [sealSize]byte {
	sum := sha256.Sum256([]byte(collection + "\x00" + filter + "\x00" + sort))
	return [sealSize]byte(sum[:sealSize])
}

func (p *plan) close(c store.Cursor) string {
	if len(c) == 0 {
		return ""
	}
	raw := make([]byte, 0, 1+sealSize+len(c))
	raw = append(append(append(raw, cursorVersion), p.seal[:]...), c...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (p *plan) open(cursor string) (store.Cursor, error) {
	if cursor == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) <= 1+sealSize || raw[0] != cursorVersion || [sealSize]byte(raw[1:1+sealSize]) != p.seal {
		return nil, page.BadCursor()
	}
	return store.Cursor(raw[1+sealSize:]), nil
}
