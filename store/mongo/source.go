package mongo

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// source is the docquery.Source of one collection.
type source struct {
	d       *Documents
	sc      scope
	number  string
	indexes []*index
	first   int // how many documents are read at once at first
	budget  *store.Budget
}

var _ docquery.Source = (*source)(nil)

// rows is a span as a range of entries.
func (s *source) rows(x *index, span docquery.Span) rowRange {
	r := rowRange{
		from: s.sc.id(x.Number, spellKey(span.After.Key)).text,
		to:   s.sc.id(x.Number, spellKey(span.To)).text,
	}
	if span.After.ID != "" {
		r.from += separator + spellID(span.After.ID)
		r.open = true
	}
	return r
}

// Entries implements [docquery.Source].
func (s *source) Entries(ctx context.Context, i int, span docquery.Span, n int) ([]docquery.Entry, error) {
	return s.entries(ctx, s.rows(s.indexes[i], span), span.Backward, n)
}

func (s *source) entries(ctx context.Context, r rowRange, backward bool, n int) ([]docquery.Entry, error) {
	ids, err := s.d.entries.ids(ctx, r, backward, n)
	if err != nil {
		return nil, err
	}
	out := make([]docquery.Entry, len(ids))
	for i, id := range ids {
		key, doc, _ := strings.Cut(rest(id, 1), separator)
		if out[i].Key, err = readKey(key); err != nil {
			return nil, fault("decode", err)
		}
		out[i].ID = readID(doc)
	}
	return out, s.budget.Read(ctx, int64(len(out)))
}

// CountEntries implements [docquery.Source].
func (s *source) CountEntries(ctx context.Context, i int, r document.Range, most int) (int64, error) {
	span := docquery.Span{After: docquery.Place{Key: docquery.From(r)}, To: docquery.To(r)}
	if most > 0 { // the planner looks whether there are few
		return s.d.entries.count(ctx, s.rows(s.indexes[i], span), most)
	}
	n, err := s.d.entries.count(ctx, s.rows(s.indexes[i], span), int(s.budget.TooMany()))
	if err != nil {
		return 0, err
	}
	return n, s.budget.Read(ctx, n)
}

// Fetch implements [docquery.Source].
func (s *source) Fetch(ctx context.Context, entries []docquery.Entry, maxBytes int) ([]*document.Record, error) {
	found := make(map[string]*document.Record, len(entries))
	ids := make([]rowID, 0, len(entries))
	for _, e := range entries {
		if _, double := found[e.ID]; !double {
			found[e.ID] = nil
			ids = append(ids, s.sc.id(s.number, spellID(e.ID)))
		}
	}
	err := s.d.documents.many(ctx, ids, func(raw bson.Raw) error {
		id, row, err := readDocument(raw)
		if err == nil && row.Shell == "" {
			r := row.record(id)
			if maxBytes -= len(r.Data); maxBytes < 0 && len(ids) > 1 {
				return docquery.ErrTooMuch
			}
			found[id] = &r
		}
		return fault("decode", err)
	})
	out := make([]*document.Record, len(entries))
	for i, e := range entries {
		out[i] = found[e.ID]
	}
	return out, err
}

// Join implements [docquery.Source].
func (s *source) Join(ctx context.Context, i int, span docquery.Span, filter document.Filter, see docquery.SeeEntry) error {
	r := s.rows(s.indexes[i], span)
	for n := s.first; ; n = min(2*n, fetchAtOnce) {
		entries, err := s.entries(ctx, r, span.Backward, n)
		if err != nil || len(entries) == 0 {
			return err
		}
		more, err := docquery.FetchEach(ctx, s, entries, n, func(e docquery.Entry, rec *document.Record) (bool, error) {
			if !filter.MatchRecord(rec) || !has(s.indexes[i], rec, e.Key) {
				return true, nil
			}
			return see(e.Key, rec)
		})
		if err != nil || !more {
			return err
		}
		if len(entries) < n {
			return nil
		}
		last := entries[len(entries)-1]
		end := s.sc.id(s.indexes[i].Number, spellKey(last.Key), spellID(last.ID)).text
		if span.Backward {
			r.to = end
		} else {
			r.from, r.open = end, true
		}
	}
}

// has reports whether a record has a key. An entry of which it does not is one
// of an earlier state.
func has(x *index, r *document.Record, key []byte) bool {
	all, err := x.Keys.Keys(r)
	return err == nil && slices.ContainsFunc(all.Keys, func(k []byte) bool { return bytes.Equal(k, key) })
}

// Scan implements [docquery.Source].
func (s *source) Scan(ctx context.Context, scan docquery.Scan, filter document.Filter, see docquery.See) error {
	r := s.sc.under(s.number)
	down := scan.Order == docquery.ByIDDown
	if scan.After != "" {
		after := s.sc.id(s.number, spellID(scan.After)).text
		if down {
			r.to = after
		} else {
			r.from, r.open = after, true
		}
	}
	return s.d.documents.walk(ctx, r, down, 0, func(raw bson.Raw) (bool, error) {
		id, row, err := readDocument(raw)
		if err != nil {
			return false, fault("decode", err)
		}
		if err := s.budget.Read(ctx, 1); err != nil {
			return false, err
		}
		if row.Shell != "" {
			return true, nil
		}
		rec := row.record(id)
		if !filter.MatchRecord(&rec) {
			return true, nil
		}
		return see(&rec)
	})
}

// Complete implements [docquery.Source]. Everything is shown whole here.
func (*source) Complete(_ context.Context, shown []document.Record) ([]document.Record, error) {
	return shown, nil
}
