package mongo

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// redo is what a commit has decided to write. Everything in it may be written
// any number of times, by anybody, also long after: later commits are left
// untouched.
type redo struct {
	// Parts is how many rows hold the redo; with 0 it is here.
	Parts int `bson:"parts,omitempty"`

	Documents []documentChange `bson:"documents,omitempty"`
	// Add and Remove are entries, without the tenant.
	Add    []string `bson:"add,omitempty"`
	Remove []string `bson:"remove,omitempty"`
	// Claim and Release are claims, without the tenant.
	Claim   []claim `bson:"claim,omitempty"`
	Release []claim `bson:"release,omitempty"`
	// Moves is set where an entry is added for a document that was there
	// before, under another key.
	Moves bool `bson:"moves,omitempty"`

	Events []eventRow `bson:"events,omitempty"`
	Order  int64      `bson:"order,omitempty"` // of the events, among the tenant's

	// Dropped are numbers of collections and indexes; Gone says that the
	// collection itself is among them. OldSchema is the name of a schema.
	Dropped   []string `bson:"dropped,omitempty"`
	Gone      bool     `bson:"gone,omitempty"`
	OldSchema string   `bson:"old_schema,omitempty"`
	// Schema is the content of the row that the head names.
	Schema string `bson:"schema,omitempty"`
}

// documentChange makes the document with a token another one, or removes it.
type documentChange struct {
	ID      string `bson:"id"`
	From    string `bson:"from"` // the token
	Version int64  `bson:"version,omitempty"`
	Created int64  `bson:"created,omitempty"`
	Updated int64  `bson:"updated,omitempty"`
	Data    string `bson:"data,omitempty"` // empty where it is removed
}

type claim struct {
	Key string `bson:"key"`
	Doc string `bson:"doc"`
}

func (r *redo) empty() bool {
	return r.Parts == 0 && len(r.Documents)+len(r.Add)+len(r.Remove)+len(r.Claim)+len(r.Release)+len(r.Events)+len(r.Dropped) == 0 &&
		!r.Gone && r.OldSchema == "" && r.Schema == ""
}

const (
	// inlineBytes is up to what size a redo stands in the head.
	inlineBytes = 64 << 10
	// partBytes keeps rows far under the 16 MB that MongoDB allows.
	partBytes = 8 << 20
)

// spill writes a large redo into rows and returns what stands for it.
func (d *Documents) spill(ctx context.Context, sc scope, name string, h *head, txn string, r *redo) (*redo, error) {
	raw, err := bson.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("mongo: encode a commit: %w", err)
	}
	if len(raw) <= inlineBytes {
		return r, nil
	}
	out := &redo{}
	for ; len(raw) > 0; out.Parts++ {
		n := min(partBytes, len(raw))
		row := partRow{partRef{name, h.Number, h.Seq}, bson.Binary{Data: raw[:n]}}
		if _, err := d.parts.insert(ctx, partID(sc, txn, out.Parts), row); err != nil {
			return nil, err
		}
		raw = raw[n:]
	}
	return out, nil
}

func partID(sc scope, txn string, i int) rowID { return sc.id(txn, fmt.Sprintf("%06d", i)) }

// errMoved says that the collection has moved on meanwhile.
var errMoved = errors.New("mongo: the collection has moved on")

// load returns the redo of a head, with [errMoved] where it is done and gone.
func (d *Documents) load(ctx context.Context, sc scope, h *head) (*redo, error) {
	if h.Redo.Parts == 0 {
		return h.Redo, nil
	}
	var raw []byte
	for i := range h.Redo.Parts {
		var row partRow
		found, err := d.parts.get(ctx, partID(sc, h.Txn, i), &row)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, errMoved
		}
		raw = append(raw, row.Data.Data...)
	}
	var r redo
	if err := bson.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("mongo: decode a commit: %w", err)
	}
	return &r, nil
}

// carryOut writes what a commit has decided, as far as others must see it. What
// it leaves is for [Documents.tidy].
func (d *Documents) carryOut(ctx context.Context, sc scope, h *head, r *redo) error {
	entries, claims := additions(sc, h.Seq, r)
	write := []func() error{
		func() error { return d.entries.write(ctx, entries) },
		func() error { return d.claims.write(ctx, claims) },
	}
	if r.Moves {
		// First, so that no reader finds a document under neither key.
		if err := atOnce(write...); err != nil {
			return err
		}
		write = nil
	}
	return atOnce(append(write,
		func() error { return d.documents.write(ctx, documentChanges(sc, h, r)) },
		func() error { return d.fillOutbox(ctx, sc, h, r) },
		func() error {
			if r.Schema == "" {
				return nil
			}
			_, err := d.schemas.insert(ctx, sc.id(h.Number, h.Schema), schemaRow{r.Schema})
			return err
		},
	)...)
}

func additions(sc scope, seq int64, r *redo) (entries, claims *bulk) {
	entries, claims = &bulk{}, &bulk{}
	for _, e := range r.Add {
		entries.put(sc.id(e), nil, bson.D{{Key: "$max", Value: entryRow{seq}}})
	}
	for _, c := range r.Claim {
		claims.put(sc.id(c.Key), older(seq), bson.D{{Key: "$set", Value: claimRow{seq, c.Doc}}})
	}
	return entries, claims
}

// older is a row that an earlier commit wrote.
func older(seq int64) guard {
	return guard{{Key: "seq", Value: bson.D{{Key: "$lt", Value: seq}}}}
}

func documentChanges(sc scope, h *head, r *redo) *bulk {
	b := &bulk{}
	for _, c := range r.Documents {
		id := sc.id(h.Number, spellID(c.ID))
		from := guard{{Key: "token", Value: c.From}}
		if c.Data == "" {
			b.drop(id, from)
			continue
		}
		b.replace(id, from, documentRow{Token: h.Txn, Version: c.Version, Created: c.Created, Updated: c.Updated, Data: c.Data})
	}
	return b
}

// tidy writes the rest of a commit: what nobody misses until it is there.
func (d *Documents) tidy(ctx context.Context, sc scope, h *head, r *redo) error {
	entries, claims := &bulk{}, &bulk{}
	for _, e := range r.Remove {
		entries.drop(sc.id(e), older(h.Seq))
	}
	for _, c := range r.Release {
		claims.drop(sc.id(c.Key), append(older(h.Seq), bson.E{Key: "doc", Value: c.Doc}))
	}
	return atOnce(
		func() error { return d.entries.write(ctx, entries) },
		func() error { return d.claims.write(ctx, claims) },
		func() error { return d.noteDropped(ctx, sc, r.Dropped) },
		func() error {
			if r.OldSchema == "" {
				return nil
			}
			return d.schemas.drop(ctx, sc.id(h.Number, r.OldSchema), nil)
		},
	)
}

// noteDropped writes down what is to be cleared.
func (d *Documents) noteDropped(ctx context.Context, sc scope, numbers []string) error {
	for _, number := range numbers {
		if _, err := d.dropped.insert(ctx, sc.id(number), dropRow{d.micros()}); err != nil {
			return err
		}
	}
	return nil
}

// outboxEvents is how many events one row of the outbox holds at most, and
// outboxBytes from what size on it holds no more.
const (
	outboxEvents = 500
	outboxBytes  = 4 << 20
)

func (d *Documents) fillOutbox(ctx context.Context, sc scope, h *head, r *redo) error {
	var rows []newRow
	for i, events := 0, r.Events; len(events) > 0; i++ {
		n, size := 0, 0
		for n < len(events) && n < outboxEvents && size < outboxBytes {
			size += len(events[n].Data)
			n++
		}
		id := sc.id(fmt.Sprintf("%016x", r.Order), h.Number, fmt.Sprintf("%06d", i))
		rows = append(rows, newRow{id, outboxRow{Number: h.Number, Seq: h.Seq, Events: events[:n]}})
		events = events[n:]
	}
	// In their order, so that the relay does not see the second without the
	// first.
	for _, row := range rows {
		if _, err := d.outbox.insert(ctx, row.id, row.row); err != nil {
			return err
		}
	}
	if len(rows) > 0 {
		d.emitted.Set()
	}
	return nil
}

// dropParts removes the rows of a redo that is done.
func (d *Documents) dropParts(ctx context.Context, sc scope, h *head) error {
	ids := make([]rowID, h.Redo.Parts)
	for i := range ids {
		ids[i] = partID(sc, h.Txn, i)
	}
	return d.parts.dropAll(ctx, ids)
}

// atOnce runs functions beside each other and returns what went wrong.
func atOnce(fs ...func() error) error {
	errs := make([]error, len(fs))
	var wg sync.WaitGroup
	for i, f := range fs[1:] {
		wg.Go(func() { errs[i+1] = f() })
	}
	errs[0] = fs[0]()
	wg.Wait()
	return errors.Join(errs...)
}
