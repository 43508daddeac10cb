package docquery_test

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// memory is a source whose records and entries are lists. Stale entries are
// those of an earlier state.
type memory struct {
	records map[string]*document.Record
	indexes []docquery.Index
	entries [][]docquery.Entry // by index, in order
	read    int                // how many records were read
	held    int                // the most bytes of data that a Fetch has returned
}

func newMemory(indexes [][]document.SortField, records []document.Record) *memory {
	m := &memory{records: map[string]*document.Record{}}
	for i := range records {
		m.records[records[i].ID] = &records[i]
	}
	for _, fields := range indexes {
		keys, err := document.NewIndex(fields)
		if err != nil {
			panic(err)
		}
		x := docquery.Index{Fields: fields, Keys: keys}
		var entries []docquery.Entry
		for i := range records {
			e, err := keys.Keys(&records[i])
			if err != nil {
				panic(err)
			}
			x.Arrays |= e.Arrays
			x.Cut |= e.Cut
			for _, key := range e.Keys {
				entries = append(entries, docquery.Entry{Place: docquery.Place{Key: key, ID: records[i].ID}})
			}
		}
		m.indexes = append(m.indexes, x)
		m.entries = append(m.entries, entries)
	}
	m.order()
	return m
}

func (m *memory) order() {
	for _, entries := range m.entries {
		slices.SortFunc(entries, func(a, b docquery.Entry) int { return a.Compare(b.Place) })
	}
}

// addStale adds entries of records for keys that they do not have.
func (m *memory) addStale() {
	for i, entries := range m.entries {
		for _, e := range entries {
			for id, r := range m.records {
				keys, _ := m.indexes[i].Keys.Keys(r)
				if !slices.ContainsFunc(keys.Keys, func(k []byte) bool { return bytes.Equal(k, e.Key) }) {
					m.entries[i] = append(m.entries[i], docquery.Entry{Place: docquery.Place{Key: e.Key, ID: id}})
				}
			}
		}
	}
	m.order()
	for i := range m.entries {
		m.entries[i] = slices.CompactFunc(m.entries[i], func(a, b docquery.Entry) bool { return a.Compare(b.Place) == 0 })
	}
}

func (m *memory) Entries(_ context.Context, i int, s docquery.Span, n int) ([]docquery.Entry, error) {
	var out []docquery.Entry
	for _, e := range m.entries[i] {
		if e.Compare(s.After) > 0 && bytes.Compare(e.Key, s.To) < 0 {
			out = append(out, e)
		}
	}
	if s.Backward {
		slices.Reverse(out)
	}
	return out[:min(n, len(out))], nil
}

func (m *memory) CountEntries(ctx context.Context, i int, r document.Range, most int) (int64, error) {
	all, err := m.Entries(ctx, i, docquery.Span{After: docquery.Place{Key: docquery.From(r)}, To: docquery.To(r)}, 1<<30)
	if most > 0 {
		all = all[:min(most, len(all))]
	}
	return int64(len(all)), err
}

func (m *memory) Fetch(_ context.Context, entries []docquery.Entry, maxBytes int) ([]*document.Record, error) {
	out := make([]*document.Record, len(entries))
	size := 0
	for j, e := range entries {
		m.read++
		out[j] = m.records[e.ID]
		if size += len(out[j].Data); size > maxBytes && len(entries) > 1 {
			return nil, docquery.ErrTooMuch
		}
	}
	m.held = max(m.held, size)
	return out, nil
}

func (m *memory) Join(ctx context.Context, i int, s docquery.Span, filter document.Filter, see docquery.SeeEntry) error {
	entries, err := m.Entries(ctx, i, s, 1<<30)
	if err != nil {
		return err
	}
	for _, e := range entries {
		m.read++
		shown := *m.records[e.ID]
		keys, err := m.indexes[i].Keys.Keys(&shown)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(keys.Keys, func(k []byte) bool { return bytes.Equal(k, e.Key) }) || !filter.MatchRecord(&shown) {
			continue
		}
		if more, err := see(bytes.Clone(e.Key), &shown); err != nil || !more {
			return err
		}
	}
	return nil
}

func (m *memory) Scan(_ context.Context, s docquery.Scan, filter document.Filter, see docquery.See) error {
	var all []*document.Record
	for _, r := range m.records {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *document.Record) int { return cmp.Compare(a.ID, b.ID) })
	if s.Order == docquery.ByIDDown {
		slices.Reverse(all)
	}
	for _, r := range all {
		if s.After != "" && (s.Order == docquery.ByID && r.ID <= s.After || s.Order == docquery.ByIDDown && r.ID >= s.After) {
			continue
		}
		m.read++
		shown := *r
		if s.DataOnly {
			shown.Version = -1
		}
		if !filter.MatchRecord(r) {
			continue
		}
		if more, err := see(&shown); err != nil || !more {
			return err
		}
	}
	return nil
}

func (m *memory) Complete(_ context.Context, shown []document.Record) ([]document.Record, error) {
	for i := range shown {
		shown[i] = *m.records[shown[i].ID]
	}
	return shown, nil
}
