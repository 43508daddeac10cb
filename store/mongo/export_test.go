package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform"
)

// Audit compares every row of the database with what the documents say. Wrong
// is what must never be: a missing row, a wrong number. Left is what may be left
// over, for the sweeper.
func (d *Documents) Audit(ctx context.Context) (wrong, left []string, err error) {
	known := map[string]map[string]bool{"documents": {}, "entries": {}, "claims": {}, "schemas": {}}
	err = each(ctx, d.heads, func(id string, raw bson.Raw) error {
		sc, name := scopeOf(id), rest(id, 0)
		h, err := d.settled(ctx, sc, name, 0)
		if err != nil || h == nil {
			return err
		}
		if h.Schema != "" {
			known["schemas"][sc.id(h.Number, h.Schema).text] = true
		}
		indexes, err := d.cache.indexes(h)
		if err != nil {
			return err
		}
		n := int64(0)
		for id, row := range d.rowsOf(ctx, sc, h, &err) {
			at := sc.id(h.Number, spellID(id)).text
			if row.Shell != "" {
				continue // the sweeper may remove it any time
			}
			n++
			known["documents"][at] = true
			r := row.record(id)
			for _, x := range indexes {
				if x.Build != "" {
					left = append(left, "a build of "+x.Keys.String())
					continue
				}
				e, err := x.Keys.Keys(&r)
				if err != nil {
					return err
				}
				for _, key := range e.Keys {
					known["entries"][sc.id(entryID(x, key, id)).text] = true
				}
				if !x.Unique {
					continue
				}
				for _, key := range present(e) {
					at := sc.id(claimKey(x, key)).text
					var row claimRow
					if found, err := d.claims.get(ctx, sc.id(claimKey(x, key)), &row); err != nil || !found || row.Doc != id {
						wrong = append(wrong, fmt.Sprintf("the claim %s of %s is %v %+v %v", at, id, found, row, err))
					}
					known["claims"][at] = true
				}
			}
		}
		if n != h.Count {
			wrong = append(wrong, fmt.Sprintf("%s holds %d documents, the head says %d", name, n, h.Count))
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	for name, t := range map[string]table{"documents": d.documents, "entries": d.entries, "claims": d.claims, "schemas": d.schemas} {
		there := map[string]bool{}
		err := each(ctx, t, func(id string, _ bson.Raw) error {
			there[id] = true
			if !known[name][id] {
				left = append(left, name+" "+id)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		for id := range known[name] {
			if !there[id] {
				wrong = append(wrong, fmt.Sprintf("%s: %s is missing", name, id))
			}
		}
	}
	for name, t := range map[string]table{"commits": d.parts, "dropped": d.dropped} {
		if err := each(ctx, t, func(id string, _ bson.Raw) error {
			left = append(left, name+" "+id)
			return nil
		}); err != nil {
			return nil, nil, err
		}
	}
	return wrong, left, nil
}

func (d *Documents) rowsOf(ctx context.Context, sc scope, h *head, err *error) map[string]documentRow {
	out := map[string]documentRow{}
	*err = d.documents.walk(ctx, sc.under(h.Number), false, 0, func(raw bson.Raw) (bool, error) {
		id, row, err := readDocument(raw)
		out[id] = row
		return true, err
	})
	return out
}

func each(ctx context.Context, t table, see func(id string, raw bson.Raw) error) error {
	var all []bson.Raw
	err := t.find(ctx, bson.D{}, options.Find(), func(raw bson.Raw) (bool, error) {
		all = append(all, append(bson.Raw(nil), raw...))
		return true, nil
	})
	for _, raw := range all {
		if err == nil {
			err = see(idOf(raw), raw)
		}
	}
	return err
}

// Sweep makes n sweeps as if the time between them had passed.
func (d *Documents) Sweep(ctx context.Context, n int) error {
	s := &sweeper{d: d}
	for range n {
		s.last, s.looked = s.last.Add(-1e12), s.looked.Add(-1e12)
		for id, b := range s.builds {
			b.since = b.since.Add(-1e12)
			s.builds[id] = b
		}
		if err := s.sweep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// FillBy makes builds commit after n documents. It must be called before
// anything else.
func (d *Documents) FillBy(n int) { d.fillPiece = n }

// Waiting returns how many calls wait for their turn to change a collection.
func (d *Documents) Waiting(of platform.TenantID, name string) int {
	d.mu.Lock()
	l := d.lanes[laneKey{of, name}]
	d.mu.Unlock()
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.jobs)
}
