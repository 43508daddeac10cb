package mongo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docchange"
)

// batch is one commit in the making: what is known of the state it follows, and
// what it decides.
type batch struct {
	d       *Documents
	sc      scope
	name    string
	base    *head
	indexes []*index
	now     int64
	// fresh is set where base was read after the jobs began. Without it a
	// refusal may be due to a state that is no more.
	fresh bool

	docs   map[string]stored // by id; all that the changes name
	claims map[string]string // who holds a key: the id of a document, "" for none
	keys   map[*document.Record][]document.Entries
	order  int64

	next *head
	redo *redo
}

// stored is a document as it stands in the database: nothing at all, a shell
// without a record, or a record.
type stored struct {
	token  string
	record *document.Record
}

// errNotFresh asks for a look at the head, to be sure of a refusal.
var errNotFresh = errors.New("mongo: the state may be an old one")

func (d *Documents) newBatch(sc scope, name string, base *head) (*batch, error) {
	indexes, err := d.cache.indexes(base)
	if err != nil {
		return nil, fmt.Errorf("mongo: the indexes of a collection: %w", err)
	}
	next := *base
	next.Indexes = slices.Clone(base.Indexes)
	return &batch{
		d: d, sc: sc, name: name, base: base, indexes: indexes, now: d.micros(),
		docs: make(map[string]stored), claims: make(map[string]string), keys: make(map[*document.Record][]document.Entries),
		next: &next, redo: &redo{},
	}, nil
}

// plan decides what the jobs come to, answers those that are refused and
// returns the others, with an error too.
func (b *batch) plan(ctx context.Context, jobs []*job) ([]*job, error) {
	if b.base.Version == 0 && !jobs[0].creates {
		return jobs, errNoCollection
	}
	if jobs[0].alone != nil {
		err := jobs[0].alone(ctx, b)
		if err != nil && !b.fresh {
			err = errNotFresh
		}
		return jobs, err
	}
	if err := b.load(ctx, jobs); err != nil {
		return jobs, err
	}
	all := jobs
	var refused []*job
	var e *evaluation
	for {
		e = b.evaluate(jobs)
		if len(e.unknown) > 0 {
			if err := b.loadClaims(ctx, e.unknown); err != nil {
				return all, err
			}
			continue
		}
		n := len(refused)
		jobs = slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool {
			out := j.err != nil || j.panic != nil
			if out {
				refused = append(refused, j)
			}
			return out
		})
		if len(refused) == n {
			break
		}
		// Without those that are refused the others may come to something else.
	}
	if len(refused) > 0 && !b.fresh {
		for _, j := range refused {
			j.err, j.panic = nil, nil
		}
		return all, errNotFresh
	}
	for _, j := range refused {
		close(j.done)
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	if err := b.decide(e); err != nil {
		return jobs, err
	}
	return jobs, b.makeShells(ctx)
}

// load reads the documents that the changes name, and where events are to be
// expected their place in the order.
func (b *batch) load(ctx context.Context, jobs []*job) error {
	var ids []string
	events := false
	for _, j := range jobs {
		events = events || j.build != nil
		for i := range j.changes {
			ids = append(ids, j.changes[i].ID)
		}
	}
	read := []func() error{func() error { return b.loadDocuments(ctx, ids) }}
	if events {
		read = append(read, func() error { return b.takeOrder(ctx) })
	}
	return atOnce(read...)
}

// takeOrder takes the next number of the tenant's events. Since the base was
// known before, and must still be the head at the commit, numbers follow the
// commits of a collection, and those of one that had ended before.
func (b *batch) takeOrder(ctx context.Context) (err error) {
	b.order, err = b.d.sequences.next(ctx, b.sc.id("events"))
	return err
}

func (b *batch) loadDocuments(ctx context.Context, ids []string) error {
	var want []rowID
	for _, id := range ids {
		if _, known := b.docs[id]; known {
			continue
		}
		b.docs[id] = stored{}
		if utf8.ValidString(id) {
			want = append(want, b.sc.id(b.base.Number, spellID(id)))
		}
	}
	return b.d.documents.many(ctx, want, func(raw bson.Raw) error {
		id, row, err := readDocument(raw)
		if err != nil {
			return fault("decode", err)
		}
		s := stored{token: row.Token}
		if row.Shell == "" {
			r := row.record(id)
			s.record = &r
		}
		b.docs[id] = s
		return nil
	})
}

// entriesOf returns the keys of a record in every index.
func (b *batch) entriesOf(r *document.Record) ([]document.Entries, error) {
	if all, ok := b.keys[r]; ok || r == nil {
		return all, nil
	}
	all := make([]document.Entries, len(b.indexes))
	for i, x := range b.indexes {
		var err error
		if all[i], err = x.Keys.Keys(r); err != nil {
			return nil, err
		}
	}
	b.keys[r] = all
	return all, nil
}

// decide writes down what the evaluation came to.
func (b *batch) decide(e *evaluation) error {
	ids := make([]string, 0, len(e.docs))
	for id := range e.docs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		was, is := b.docs[id], e.docs[id]
		if was.record == nil && is == nil {
			continue
		}
		change := documentChange{ID: id, From: was.token}
		switch {
		case was.record == nil:
			b.next.Count++
		case is == nil:
			b.next.Count--
		}
		if was.record != nil {
			b.next.Bytes -= int64(len(was.record.Data))
		}
		if is != nil {
			b.next.Bytes += int64(len(is.Data))
			change.Version, change.Data = is.Version, string(is.Data)
			change.Created, change.Updated = is.CreatedAt.UnixMicro(), is.UpdatedAt.UnixMicro()
		}
		b.redo.Documents = append(b.redo.Documents, change)
		if err := b.decideEntries(id, was.record, is); err != nil {
			return err
		}
	}
	b.decideClaims(e)
	b.mark(e)
	b.redo.Events, b.redo.Order = e.events, b.order
	return nil
}

func (b *batch) decideEntries(id string, was, is *document.Record) error {
	before, err := b.entriesOf(was)
	if err != nil {
		return err
	}
	after, err := b.entriesOf(is)
	if err != nil {
		return err
	}
	for i, x := range b.indexes {
		var old, come document.Entries
		if was != nil {
			old = before[i]
		}
		if is != nil {
			come = after[i]
		}
		gone, added := docchange.Differ(old.Keys, come.Keys)
		for _, key := range gone {
			b.redo.Remove = append(b.redo.Remove, entryID(x, key, id))
		}
		for _, key := range added {
			b.redo.Add = append(b.redo.Add, entryID(x, key, id))
			b.redo.Moves = b.redo.Moves || was != nil
		}
		if !x.Unique {
			continue
		}
		gone, _ = docchange.Differ(present(old), present(come))
		for _, key := range gone {
			b.redo.Release = append(b.redo.Release, claim{claimKey(x, key), id})
		}
	}
	return nil
}

func (b *batch) decideClaims(e *evaluation) {
	for key, doc := range e.claims {
		if doc != "" && b.claims[key] != doc {
			b.redo.Claim = append(b.redo.Claim, claim{key, doc})
		}
	}
}

// entryID and claimKey are what follows the tenant in an _id.
func entryID(x *index, key []byte, id string) string {
	return x.Number + separator + spellKey(key) + separator + spellID(id)
}

func claimKey(x *index, key []byte) string { return x.Number + separator + spellKey(key) }

// mark notes in the head what the records told about the fields of indexes.
func (b *batch) mark(e *evaluation) {
	for i := range b.next.Indexes {
		s := &b.next.Indexes[i]
		was := *s
		s.Arrays |= int32(e.arrays[i])
		s.Cut |= int32(e.cut[i])
		s.Broken = s.Broken || e.broken[i]
		if s.Arrays != was.Arrays || s.Cut != was.Cut || s.Broken != was.Broken {
			b.next.Indexed = b.base.Seq + 1
		}
	}
}

// makeShells makes the places of new documents, so that a change can name the
// token it expects there as anywhere else. The error is errMoved where another
// process has just done so.
func (b *batch) makeShells(ctx context.Context) error {
	for i := range b.redo.Documents {
		c := &b.redo.Documents[i]
		if c.From != "" {
			continue
		}
		c.From = newName()
	}
	var rows []newRow
	for i := range b.redo.Documents {
		c := &b.redo.Documents[i]
		if b.docs[c.ID].token == "" {
			rows = append(rows, newRow{
				b.sc.id(b.base.Number, spellID(c.ID)), documentRow{Token: c.From, Shell: b.name, Updated: b.now},
			})
		}
	}
	made, err := b.d.documents.insertNew(ctx, rows)
	if err == nil && !made {
		err = errMoved
	}
	return err
}

// invalidID refuses an id that BSON cannot hold.
func invalidID(id string) *platform.Error {
	if id != "" && utf8.ValidString(id) {
		return nil
	}
	return platform.Invalid(platform.Field{Path: "/id", Code: "format", Detail: "an id is text in UTF-8, and not empty"})
}
