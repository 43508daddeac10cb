package sqldocs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/docquery"
)

// PutCollection implements [store.Documents].
func (d *Documents) PutCollection(ctx context.Context, tenant platform.TenantID, c store.Collection, events ...platform.Event) (store.Collection, error) {
	var out store.Collection
	err := d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) (err error) {
		out, err = d.PutCollectionIn(ctx, tx, c, events...)
		return err
	})
	if err != nil {
		return store.Collection{}, err
	}
	return out, nil
}

// PutCollectionIn implements [store.RelationalDocuments].
func (d *Documents) PutCollectionIn(ctx context.Context, tx store.Tx, c store.Collection, events ...platform.Event) (store.Collection, error) {
	put, err := d.put(ctx, tx, tx.Tenant(), c)
	if err != nil {
		return store.Collection{}, err
	}
	return put.public(), emit(ctx, tx, events)
}

func emit(ctx context.Context, tx store.Tx, events []platform.Event) error {
	if len(events) == 0 {
		return nil
	}
	return tx.Emit(ctx, events...)
}

func (d *Documents) put(ctx context.Context, tx store.Tx, tenant platform.TenantID, c store.Collection) (*collection, error) {
	now := d.micros()
	if err := d.hold(ctx, tx, tenant, c.Name); err != nil {
		return nil, err
	}
	if c.Version != 0 {
		old, err := d.load(ctx, tx, tenant, c.Name)
		if err != nil {
			return nil, err
		}
		if old.version != c.Version {
			return nil, platform.Errorf(platform.KindStale, "stale", "the collection has changed")
		}
		next := *old
		next.version, next.updatedAt = old.version+1, now
		return d.change(ctx, tx, tenant, old, next, c)
	}
	number, err := nextNumber(ctx, tx, tenant)
	if err != nil {
		return nil, err
	}
	first := collection{name: c.Name, number: number, version: 1, createdAt: now, updatedAt: now}
	res, err := tx.Exec(ctx, `INSERT INTO document_collections
		(tenant, name, number, revision, version, created_at, updated_at, definition)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		string(tenant), c.Name, number, newRevision(), first.version, now, now, []byte("{}"))
	if err != nil {
		return nil, fmt.Errorf("sqldocs: create a collection: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		if err != nil {
			return nil, fmt.Errorf("sqldocs: create a collection: %w", err)
		}
		return nil, platform.Errorf(platform.KindConflict, "collection_exists", "there is a collection of that name")
	}
	return d.change(ctx, tx, tenant, nil, first, c)
}

// nextNumber returns a number that no collection or index of the tenant has
// had.
func nextNumber(ctx context.Context, tx store.Tx, tenant platform.TenantID) (int64, error) {
	var n int64
	err := tx.QueryRow(ctx, `INSERT INTO document_sequences (tenant, last) VALUES (?, 1)
		ON CONFLICT (tenant) DO UPDATE SET last = document_sequences.last + 1 RETURNING last`, string(tenant)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("sqldocs: number: %w", err)
	}
	return n, nil
}

// change makes the indexes of next those that c asks for: it keeps what old
// has, removes the rest of old's, and fills what is new.
func (d *Documents) change(ctx context.Context, tx store.Tx, tenant platform.TenantID, old *collection, next collection, c store.Collection) (*collection, error) {
	var left []*index
	if old != nil {
		left = slices.Clone(old.indexes)
	}
	def := definition{Schema: c.Schema}
	var fresh []*index
	for _, asked := range c.Indexes {
		i := slices.IndexFunc(left, func(x *index) bool {
			return x.Unique == asked.Unique && slices.Equal(x.fields, asked.Fields)
		})
		if i >= 0 {
			def.Indexes = append(def.Indexes, left[i].storedIndex)
			left = slices.Delete(left, i, i+1)
			continue
		}
		s := storedIndex{Unique: asked.Unique}
		for _, f := range asked.Fields {
			s.Fields = append(s.Fields, f.String())
		}
		var err error
		if s.Number, err = nextNumber(ctx, tx, tenant); err != nil {
			return nil, err
		}
		x, err := newIndex(s)
		if err != nil {
			return nil, err
		}
		fresh = append(fresh, x)
		def.Indexes = append(def.Indexes, s)
	}
	if err := dropIndexes(ctx, tx, tenant, left); err != nil {
		return nil, err
	}
	if len(fresh) > 0 && old != nil {
		met, err := d.fill(ctx, tx, tenant, next.number, fresh)
		if err != nil {
			return nil, err
		}
		met.mark(def.Indexes)
	}
	full, err := next.with(def)
	if err != nil {
		return nil, err
	}
	return full, d.save(ctx, tx, tenant, full)
}

// save writes everything that can change of a collection.
func (d *Documents) save(ctx context.Context, tx store.Tx, tenant platform.TenantID, c *collection) error {
	raw, err := json.Marshal(c.definition)
	if err != nil {
		return fmt.Errorf("sqldocs: write a collection: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE document_collections SET revision = ?, version = ?, updated_at = ?, definition = ?
		WHERE tenant = ? AND name = ?`, c.revision, c.version, c.updatedAt, raw, string(tenant), c.name)
	if err != nil {
		return fmt.Errorf("sqldocs: write a collection: %w", err)
	}
	return nil
}

// fill writes the rows of new indexes for all documents there are.
func (d *Documents) fill(ctx context.Context, tx store.Tx, tenant platform.TenantID, number int64, fresh []*index) (*marks, error) {
	batch := 500
	w := newIndexWriter(d.dialect.indexRows(tx, tenant), tx, tenant, fresh)
	after := ""
	for {
		docs, err := page(ctx, tx, d.dialect.selectPage, tenant, number, after, batch)
		if errors.Is(err, docquery.ErrTooMuch) {
			batch /= 2
			continue
		}
		if err != nil {
			return nil, err
		}
		for i := range docs {
			if err := w.update(ctx, docs[i].seq, nil, &docs[i].Record); err != nil {
				return nil, err
			}
		}
		if len(docs) < batch {
			return &w.marks, w.flush(ctx)
		}
		after = docs[len(docs)-1].ID
	}
}

func dropIndexes(ctx context.Context, tx store.Tx, tenant platform.TenantID, indexes []*index) error {
	for _, x := range indexes {
		for _, text := range []string{
			`DELETE FROM document_index WHERE tenant = ? AND number = ?`,
			`DELETE FROM document_unique WHERE tenant = ? AND number = ?`,
		} {
			if _, err := tx.Exec(ctx, text, string(tenant), x.Number); err != nil {
				return fmt.Errorf("sqldocs: remove an index: %w", err)
			}
		}
	}
	return nil
}

// DropCollection implements [store.Documents].
func (d *Documents) DropCollection(ctx context.Context, tenant platform.TenantID, name string, version int64, events ...platform.Event) error {
	return d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		if err := d.hold(ctx, tx, tenant, name); err != nil {
			return err
		}
		c, err := d.load(ctx, tx, tenant, name)
		if err != nil {
			return err
		}
		if version != 0 && version != c.version {
			return platform.Errorf(platform.KindStale, "stale", "the collection has changed")
		}
		if err := dropIndexes(ctx, tx, tenant, c.indexes); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM documents WHERE tenant = ? AND collection = ?`, string(tenant), c.number); err != nil {
			return fmt.Errorf("sqldocs: drop a collection: %w", err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM document_collections WHERE tenant = ? AND name = ?`, string(tenant), name); err != nil {
			return fmt.Errorf("sqldocs: drop a collection: %w", err)
		}
		return emit(ctx, tx, events)
	}, store.Reserved)
}
