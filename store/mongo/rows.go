package mongo

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// head is the row of a collection: tenant, name. Every change of the collection
// or of anything in it replaces this row, and that is its commit.
type head struct {
	// Number names the collection within all other rows; one that is dropped
	// and made again has another one.
	Number string `bson:"number"`
	// Seq counts the commits. With Number it names a state of the collection.
	Seq int64 `bson:"seq"`
	// Version is 0 as long as the collection is about to be made.
	Version int64 `bson:"version"`
	Created int64 `bson:"created"`
	Updated int64 `bson:"updated"`
	// Count is how many documents there are.
	Count int64 `bson:"count"`
	// Bytes is how many their data has.
	Bytes int64 `bson:"bytes,omitempty"`
	// Schema names the row with the schema; empty is none.
	Schema string `bson:"schema,omitempty"`
	// Indexed is the Seq of the last commit that changed Indexes.
	Indexed int64         `bson:"indexed"`
	Indexes []storedIndex `bson:"indexes,omitempty"`
	// Building is set, for the sweeper to find it, where an index is.
	Building bool `bson:"building,omitempty"`
	// Recent are the last commits, for who did not get the answer to his.
	Recent []string `bson:"recent,omitempty"`
	// Txn is the commit whose effects may not all be written yet, and Redo
	// says which those are. Both are gone once they are.
	Txn  string `bson:"txn"`
	Redo *redo  `bson:"redo,omitempty"`
	// Pending is set with Redo, for the sweeper to find it.
	Pending bool `bson:"pending,omitempty"`
}

// none reports whether there is no collection, or not any more.
func (h *head) none() bool { return h == nil || h.Version == 0 || h.Redo != nil && h.Redo.Gone }

// recentCommits is how many are remembered. A process that lost an answer and
// finds the head further on than that cannot tell what became of its commit.
const recentCommits = 16

type storedIndex struct {
	Number string   `bson:"number"`
	Fields []string `bson:"fields"` // "-year" is downwards
	Unique bool     `bson:"unique,omitempty"`
	// Arrays and Cut are as in docquery.Index, once set never unset.
	Arrays int32 `bson:"arrays,omitempty"`
	Cut    int32 `bson:"cut,omitempty"`
	// Build names the call that builds the index; empty once it is built.
	// Filled counts what that call has done, so that others see it live.
	Build  string `bson:"build,omitempty"`
	Filled int64  `bson:"filled,omitempty"`
	// Broken is set where documents were found that make a unique index
	// impossible while it is built.
	Broken bool `bson:"broken,omitempty"`
}

// documentRow is a document: tenant, number of the collection, id. A shell
// holds the place of one that is about to be inserted.
type documentRow struct {
	// Token is new with every change. A change of the row names the token it
	// expects, so one that comes late finds nothing.
	Token   string `bson:"token"`
	Version int64  `bson:"version"`
	Created int64  `bson:"created"`
	Updated int64  `bson:"updated"`
	Data    string `bson:"data"`
	// Shell is the name of the collection, in a shell only.
	Shell string `bson:"shell,omitempty"`
}

func (r *documentRow) record(id string) document.Record {
	return document.Record{
		ID: id, Version: r.Version, CreatedAt: fromMicros(r.Created), UpdatedAt: fromMicros(r.Updated), Data: json.RawMessage(r.Data),
	}
}

// readDocument decodes a row and the id in its _id.
func readDocument(raw bson.Raw) (id string, row documentRow, err error) {
	err = bson.Unmarshal(raw, &row)
	return readID(rest(idOf(raw), 1)), row, err
}

// An entry is tenant, number of the index, key, id of the document. It is
// believed only if the document has the key. Seq is that of the commit that
// wrote it, so that a removal that comes late leaves a newer one.
type entryRow struct {
	Seq int64 `bson:"seq"`
}

// A claim is tenant, number of a unique index, key. It too is believed only if
// the document has the key.
type claimRow struct {
	Seq int64  `bson:"seq"`
	Doc string `bson:"doc"`
}

// A schemaRow is tenant, number of the collection, its own name. It is never
// changed.
type schemaRow struct {
	Schema string `bson:"schema"`
}

// A partRow is a piece of a redo that is too large for the head: tenant, the
// commit, the number of the piece.
type partRow struct {
	partRef `bson:",inline"`

	Data bson.Binary `bson:"data"`
}

// partRef says which state of which collection the commit would follow.
type partRef struct {
	Of     string `bson:"of"`
	Number string `bson:"number"`
	Seq    int64  `bson:"seq"`
}

// A dropRow is tenant, number of what was dropped: a collection or an index.
type dropRow struct {
	At int64 `bson:"at"`
}

// An outboxRow is events of one commit: tenant, order, number of the
// collection, number of the piece.
type outboxRow struct {
	Number string     `bson:"number"`
	Seq    int64      `bson:"seq"`
	Events []eventRow `bson:"events"`
}

type eventRow struct {
	ID      string `bson:"id"`
	Source  string `bson:"source"`
	Type    string `bson:"type"`
	Tenant  string `bson:"tenant"`
	Subject string `bson:"subject"`
	Time    int64  `bson:"time"`
	Actor   string `bson:"actor,omitempty"`
	Behalf  string `bson:"onbehalfof,omitempty"`
	Trace   string `bson:"traceparent,omitempty"`
	Data    string `bson:"data,omitempty"`
}

// newEventRow is what the outbox keeps of an event that a call with ctx caused.
func newEventRow(ctx context.Context, e platform.Event) eventRow {
	return eventRow{
		ID: e.ID, Source: e.Source, Type: e.Type, Tenant: string(e.Tenant), Subject: e.Subject,
		Time: e.Time.UnixMicro(), Actor: e.Actor, Behalf: e.OnBehalfOf, Trace: cmp.Or(e.TraceParent, platform.TraceParentFrom(ctx)), Data: string(e.Data),
	}
}

func (r eventRow) event() platform.Event {
	e := platform.Event{
		ID: r.ID, Source: r.Source, Type: r.Type, Tenant: platform.TenantID(r.Tenant), Subject: r.Subject,
		Time: fromMicros(r.Time), Actor: r.Actor, OnBehalfOf: r.Behalf, TraceParent: r.Trace,
	}
	if r.Data != "" {
		e.Data = json.RawMessage(r.Data)
	}
	return e
}

func fromMicros(t int64) time.Time { return time.UnixMicro(t).UTC() }
