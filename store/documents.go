package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// Documents keeps tenants' records in collections. Filters, orders and values
// mean the same in every driver: package document says what.
type Documents interface {
	// PutCollection creates the collection, or changes it where
	// c.Version is that of the stored one; a new collection has version 0.
	// It returns the collection with its new version. The index rows of
	// indexes that are new are written before it returns. Events commit with
	// it. Errors: KindConflict "collection_exists" where the version is 0 and the
	// name is taken, KindStale where it is not the stored one, KindNotFound,
	// KindConflict "unique" where records break a new unique index.
	PutCollection(ctx context.Context, tenant platform.TenantID, c Collection, events ...platform.Event) (Collection, error)

	// Collections returns the collections with the given names in that
	// order, or all of the tenant's, by name, where none are given. Error:
	// KindNotFound where one of names is not there.
	Collections(ctx context.Context, tenant platform.TenantID, names ...string) ([]Collection, error)

	// DropCollection removes the collection with its documents. Errors:
	// KindNotFound; KindStale where version is not 0 and not the stored one.
	DropCollection(ctx context.Context, tenant platform.TenantID, name string, version int64, events ...platform.Event) error

	// Get returns one document. Error: KindNotFound, for the document and
	// for the collection alike.
	Get(ctx context.Context, tenant platform.TenantID, collection, id string) (Document, error)

	// Find returns one page of the documents that match. Error: KindNotFound
	// where there is no such collection; KindMalformed for a cursor that does
	// not fit the query; [ErrTooCostly] for one that reads more than its budget.
	Find(ctx context.Context, tenant platform.TenantID, collection string, q Query) (Page, error)

	// Count returns how many documents match. What it reads is within the
	// budget, or a few more; nil is no bound. Error: [ErrTooCostly].
	Count(ctx context.Context, tenant platform.TenantID, collection string, filter document.Filter, budget *Budget) (int64, error)

	// Apply makes the changes in one transaction, all or none, in order, and
	// returns one document per change: the new one, and for a deletion the
	// one that was. The events of build, called with these documents before
	// the commit, commit with them; build may be nil. A refused change is a
	// [*ChangeError] that names it; the kinds are KindConflict "exists" and
	// "unique", KindStale, and KindNotFound.
	Apply(ctx context.Context, tenant platform.TenantID, collection string, changes []Change, build EventsBuilder) ([]Document, error)
}

// Sizer is a [Documents] that can tell what a tenant keeps. Without it no quota
// bounds that.
type Sizer interface {
	// Size counts what the tenant keeps. It may read every document's place, so
	// it is not for each call.
	Size(ctx context.Context, tenant platform.TenantID) (Size, error)
}

// Size is what a tenant keeps.
type Size struct {
	Documents int64
	Bytes     int64 // of their data
}

// EventsBuilder makes the events of applied changes.
type EventsBuilder func(applied []Document) []platform.Event

// Collection is a named set of documents.
type Collection struct {
	// Name is at most 64 bytes: a letter, then letters, digits, '_' and '-'.
	Name string
	// Version counts the changes of this definition, from 1.
	Version int64
	// CreatedAt and UpdatedAt are kept by the store.
	CreatedAt, UpdatedAt time.Time
	// Indexes are kept up to date with every change of a document.
	Indexes []Index
	// Schema is what the service wants to keep with the collection, a JSON
	// value; the store does not look into it.
	Schema json.RawMessage
}

// Index is an ordered list of fields that filters and orders can use.
type Index struct {
	// Fields are the indexed paths, at most 8, each with its direction.
	Fields []document.SortField
	// Unique refuses a second document with the same values. Documents
	// that have none of the fields are not compared.
	Unique bool
}

// Document is one record.
type Document struct {
	ID                   string
	Version              int64 // counts the changes, from 1
	CreatedAt, UpdatedAt time.Time
	Data                 json.RawMessage // a JSON object, as it was given but for white space
}

// Change is one change of one document.
type Change struct {
	Op ChangeOp
	// ID is the document's; the caller chooses it, also for OpInsert.
	ID string
	// IfVersion makes the change fail with KindStale unless the document has
	// this version; 0 asks for nothing.
	IfVersion int64
	// Data is the new content, a JSON object; not for OpDelete. For OpPatch
	// it is a JSON merge patch (RFC 7396) of the content.
	Data json.RawMessage
}

// ChangeOp is what a [Change] does.
type ChangeOp uint8

// The operations.
const (
	OpInsert  ChangeOp = iota + 1 // KindConflict "exists" where the id is taken
	OpReplace                     // KindNotFound where there is none
	OpUpsert                      // inserts or replaces
	OpPatch                       // KindNotFound where there is none
	OpDelete                      // KindNotFound where there is none
)

// ChangeError says which change of an Apply was refused.
type ChangeError struct {
	Index int // into changes
	Err   *platform.Error
}

func (e *ChangeError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ChangeError) Unwrap() error { return e.Err }

// Query asks for documents.
type Query struct {
	// Filter selects; the zero value selects all.
	Filter document.Filter
	// Sort orders; ties are broken by id, so the order is total. Empty is by
	// id.
	Sort []document.SortField
	// Limit is the most documents a page holds, 1 to 1,000.
	Limit int
	// MaxBytes ends the page before the document whose data would be beyond
	// that many bytes in sum, but not before the first. A driver holds a few
	// documents more at most while it reads. 0 is no bound.
	MaxBytes int
	// Cursor continues after an earlier page of the same query.
	Cursor Cursor
	// Budget bounds the documents and index entries that are read for the
	// page, or a few more; nil is no bound.
	Budget *Budget
}

// Page is one page of an answer.
type Page struct {
	Documents []Document
	// Next continues after the last document; empty on the last page.
	Next Cursor
}

// Cursor is the place after a document in the order of a query: its sort key
// and id. It is not secret and not signed; a service that hands it to callers
// seals it.
type Cursor []byte
