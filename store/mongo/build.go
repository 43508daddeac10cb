package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform/store/document"
)

// fillPiece is how many documents one commit of a build adds to the indexes.
const fillPiece = 256

// fill writes the entries of the indexes that a call builds for all documents
// there are. Each piece is a commit, so it misses nothing that changes
// meanwhile.
func (d *Documents) fill(ctx context.Context, sc scope, name, build string) error {
	for after := ""; ; {
		var p piece
		err := d.alone(ctx, sc, name, func(ctx context.Context, b *batch) (err error) {
			if p, err = b.following(ctx, after); err != nil {
				return err
			}
			if p.rows == 0 {
				return errNothing
			}
			return b.index(ctx, build, p.records)
		})
		if err != nil || p.rows < d.fillPiece {
			return err
		}
		after = p.last
	}
}

// piece is documents that follow one another.
type piece struct {
	records []*document.Record
	rows    int // shells too
	last    string
}

// following returns the first documents after an id.
func (b *batch) following(ctx context.Context, after string) (piece, error) {
	rows := b.sc.under(b.base.Number)
	if after != "" {
		rows.from, rows.open = b.sc.id(b.base.Number, spellID(after)).text, true
	}
	var p piece
	err := b.d.documents.walk(ctx, rows, false, b.d.fillPiece, func(raw bson.Raw) (bool, error) {
		id, row, err := readDocument(raw)
		if err != nil {
			return false, fault("decode", err)
		}
		p.rows++
		p.last = id
		if row.Shell == "" {
			r := row.record(id)
			b.docs[id] = stored{row.Token, &r}
			p.records = append(p.records, &r)
		}
		return true, nil
	})
	return p, err
}

// index adds records to the indexes of a build.
func (b *batch) index(ctx context.Context, build string, records []*document.Record) error {
	var places []int
	for i, s := range b.base.Indexes {
		if s.Build != build {
			continue
		}
		if s.Broken {
			return brokenError(s)
		}
		b.next.Indexes[i].Filled++
		places = append(places, i)
	}
	if places == nil {
		return errBusy // somebody took the build for dead
	}
	for {
		e := b.evaluate(nil)
		b.redo.Add = b.redo.Add[:0]
		for _, r := range records {
			if err := e.add(places, r); err != nil {
				return err
			}
		}
		if len(e.unknown) == 0 {
			b.decideClaims(e)
			b.mark(e)
			return nil
		}
		if err := b.loadClaims(ctx, e.unknown); err != nil {
			return err
		}
	}
}

// add puts a record that is there into indexes that do not have it yet.
func (e *evaluation) add(places []int, r *document.Record) error {
	all, err := e.b.entriesOf(r)
	if err != nil {
		return err
	}
	for _, i := range places {
		x := e.b.indexes[i]
		e.arrays[i] |= all[i].Arrays
		e.cut[i] |= all[i].Cut
		for _, key := range all[i].Keys {
			e.b.redo.Add = append(e.b.redo.Add, entryID(x, key, r.ID))
		}
		if x.Unique {
			if err := e.unique(i, x, r.ID, document.Entries{}, all[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
