package mongo

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docchange"
)

// evaluation is what the jobs of a batch come to, one after the other, each
// all or nothing. It reads nothing and writes nothing.
type evaluation struct {
	b *batch
	// docs are those that were changed, as they then are; nil is gone.
	docs map[string]*document.Record
	// claims are the keys of unique indexes that changed hands: the id of who
	// has it, "" where nobody does.
	claims map[string]string
	// arrays, cut and broken are what is new of each index.
	arrays, cut []uint8
	broken      []bool
	events      []eventRow
	// unknown are claims that must be read before the answer is right.
	unknown map[string]int // the place of the index
	// undo takes back, last first, what the job at work has changed.
	undo []func()
}

func (b *batch) evaluate(jobs []*job) *evaluation {
	n := len(b.indexes)
	e := &evaluation{
		b: b, docs: make(map[string]*document.Record), claims: make(map[string]string),
		arrays: make([]uint8, n), cut: make([]uint8, n), broken: make([]bool, n), unknown: make(map[string]int),
	}
	for _, j := range jobs {
		e.undo = e.undo[:0]
		if j.out, j.err = e.job(j); j.err == nil {
			continue
		}
		for _, undo := range slices.Backward(e.undo) {
			undo()
		}
	}
	if len(e.unknown) > 0 {
		return e
	}
	for _, j := range jobs {
		if j.err == nil {
			e.buildEvents(j)
		}
	}
	return e
}

// job makes the changes of one call.
func (e *evaluation) job(j *job) ([]store.Document, error) {
	out := make([]store.Document, 0, len(j.changes))
	for start := 0; start < len(j.changes); {
		end := docchange.Distinct(j.changes, start, maxTogether)
		docs, err := e.run(start, j.changes[start:end])
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
		start = end
	}
	return out, nil
}

func (e *evaluation) run(first int, changes []store.Change) ([]store.Document, error) {
	was := make([]*document.Record, len(changes))
	is := make([]*document.Record, len(changes))
	for i := range changes {
		was[i] = e.doc(changes[i].ID)
		var err error
		if is[i], err = next(&changes[i], was[i], e.b.now); err != nil {
			return nil, docchange.Error(first+i, err)
		}
	}
	out := make([]store.Document, len(changes))
	for i, ch := range changes {
		if err := e.keys(ch.ID, was[i], is[i]); err != nil {
			return nil, docchange.Error(first+i, err)
		}
		change(e, e.docs, ch.ID, is[i])
		doc := is[i]
		if doc == nil {
			doc = was[i]
		}
		out[i] = store.Document(*doc)
		out[i].Data = bytes.Clone(doc.Data)
	}
	return out, nil
}

// change sets a value in such a way that it can be taken back.
func change[V any](e *evaluation, m map[string]V, key string, v V) {
	was, there := m[key]
	e.undo = append(e.undo, func() {
		if there {
			m[key] = was
		} else {
			delete(m, key)
		}
	})
	m[key] = v
}

func (e *evaluation) doc(id string) *document.Record {
	if r, changed := e.docs[id]; changed {
		return r
	}
	return e.b.docs[id].record
}

// maxData is the most bytes of a document's data: MongoDB's rows end at 16 MB.
const maxData = 15 << 20

// next returns what a change makes of a document, nil where it is gone.
func next(ch *store.Change, was *document.Record, now int64) (*document.Record, error) {
	if ch.Op == store.OpInsert || ch.Op == store.OpUpsert {
		if err := invalidID(ch.ID); err != nil {
			return nil, err
		}
	}
	r, err := docchange.Next(ch, was, fromMicros(now))
	if err == nil && r != nil && len(r.Data) > maxData {
		return nil, platform.Errorf(platform.KindTooLarge, "too_large", "a record has at most %d bytes", maxData)
	}
	return r, err
}

// keys keeps account of the indexes for a change of a document.
func (e *evaluation) keys(id string, was, is *document.Record) error {
	before, err := e.b.entriesOf(was)
	if err != nil {
		return err
	}
	after, err := e.b.entriesOf(is)
	if err != nil {
		return err
	}
	for i, x := range e.b.indexes {
		var old, come document.Entries
		if was != nil {
			old = before[i]
		}
		if is != nil {
			come = after[i]
			e.arrays[i] |= come.Arrays
			e.cut[i] |= come.Cut
		}
		if x.Unique {
			if err := e.unique(i, x, id, old, come); err != nil {
				return err
			}
		}
	}
	return nil
}

// buildEvents asks the caller of a job for its events.
func (e *evaluation) buildEvents(j *job) {
	if j.build == nil {
		return
	}
	defer func() { j.panic = recover() }()
	events := j.build(j.out)
	if j.err = checkEvents(e.b.sc, events); j.err != nil {
		return
	}
	for _, event := range events {
		e.events = append(e.events, newEventRow(j.ctx, event))
	}
}

// maxEvent is the most bytes of an event's data.
const maxEvent = 8 << 20

func checkEvents(sc scope, events []platform.Event) error {
	for i, event := range events {
		err := event.Validate()
		switch {
		case err != nil:
		case event.Tenant != sc.tenant:
			err = platform.Errorf(platform.KindNoTenant, "other_tenant", "the event belongs to another tenant than the change")
		case len(event.Data) > maxEvent:
			err = platform.Errorf(platform.KindTooLarge, "too_large", "an event has at most %d bytes", maxEvent)
		}
		if err != nil {
			return fmt.Errorf("mongo: event %d of %d: %w", i+1, len(events), err)
		}
	}
	return nil
}
