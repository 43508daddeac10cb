package mongo

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/docchange"
)

// Apply implements [store.Documents]. Calls for one collection that come
// together share a commit. Beside the kinds that the port names, a refused
// change may be KindInvalid: its data is no record (see document.Normalize),
// its id is not UTF-8, or it has too many combinations for an index; or
// KindTooLarge.
func (d *Documents) Apply(ctx context.Context, tenant platform.TenantID, name string, changes []store.Change, build store.EventsBuilder) ([]store.Document, error) {
	if err := d.enter(tenant); err != nil {
		return nil, err
	}
	changes, err := docchange.Normalize(changes)
	if err != nil {
		return nil, err
	}
	j := &job{ctx: ctx, changes: changes, build: build}
	if err := d.do(scope{tenant}, name, j); err != nil {
		return nil, err
	}
	return j.out, nil
}

// Get implements [store.Documents].
func (d *Documents) Get(ctx context.Context, tenant platform.TenantID, name, id string) (store.Document, error) {
	if err := d.enter(tenant); err != nil {
		return store.Document{}, err
	}
	sc := scope{tenant}
	h, err := d.head(ctx, sc, name)
	switch {
	case err != nil:
		return store.Document{}, err
	case h.none() || invalidID(id) != nil:
		return store.Document{}, docchange.ErrNoDocument
	}
	if h.Redo != nil {
		// The commit stands, whether all of it is written or not.
		r, err := d.load(ctx, sc, h)
		switch {
		case errors.Is(err, errMoved): // it is written
		case err != nil:
			return store.Document{}, err
		case r.Gone:
			return store.Document{}, docchange.ErrNoDocument
		default:
			for _, c := range r.Documents {
				if c.ID == id {
					return c.document()
				}
			}
		}
	}
	var row documentRow
	found, err := d.documents.get(ctx, sc.id(h.Number, spellID(id)), &row)
	if err != nil {
		return store.Document{}, err
	}
	if !found || row.Shell != "" {
		return store.Document{}, docchange.ErrNoDocument
	}
	return store.Document(row.record(id)), nil
}

func (c *documentChange) document() (store.Document, error) {
	if c.Data == "" {
		return store.Document{}, docchange.ErrNoDocument
	}
	row := documentRow{Version: c.Version, Created: c.Created, Updated: c.Updated, Data: c.Data}
	return store.Document(row.record(c.ID)), nil
}
