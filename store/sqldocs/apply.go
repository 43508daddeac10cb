package sqldocs

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docchange"
	"github.com/acme/platform/store/internal/sqltx"
)

// Apply implements [store.Documents]. Beside the kinds that the port names, a
// refused change may be KindInvalid: its data is no record (see
// [document.Normalize]), or has too many combinations for an index.
func (d *Documents) Apply(ctx context.Context, tenant platform.TenantID, name string, changes []store.Change, build store.EventsBuilder) ([]store.Document, error) {
	if err := tenant.Validate(); err != nil {
		return nil, err
	}
	// Outside the transaction, for which others may wait.
	changes, err := docchange.Normalize(changes)
	if err != nil {
		return nil, err
	}
	var out []store.Document
	err = d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		out, err = d.applyIn(ctx, tx, name, changes, build)
		return err
	}, options(changes)...)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ApplyIn implements [store.RelationalDocuments].
func (d *Documents) ApplyIn(ctx context.Context, tx store.Tx, name string, changes []store.Change, build store.EventsBuilder) ([]store.Document, error) {
	changes, err := docchange.Normalize(changes)
	if err != nil {
		return nil, err
	}
	return d.applyIn(ctx, tx, name, changes, build)
}

// applyIn makes normalized changes.
func (d *Documents) applyIn(ctx context.Context, tx store.Tx, name string, changes []store.Change, build store.EventsBuilder) ([]store.Document, error) {
	tenant := tx.Tenant()
	if err := d.share(ctx, tx, tenant, name); err != nil {
		return nil, err
	}
	c, err := d.load(ctx, tx, tenant, name)
	if err != nil {
		return nil, err
	}
	a := newApplier(tx, tenant, c, d.dialect, d.micros())
	out, err := a.apply(ctx, changes)
	if err != nil {
		return nil, err
	}
	if err := d.saveMarks(ctx, tx, tenant, c, a.index.marks); err != nil {
		return nil, err
	}
	if build == nil {
		return out, nil
	}
	return out, emit(ctx, tx, build(out))
}

// options lets a call that only deletes use the room that is kept in reserve.
func options(changes []store.Change) []store.TxOption {
	for i := range changes {
		if changes[i].Op != store.OpDelete {
			return nil
		}
	}
	return reserved
}

var reserved = []store.TxOption{store.Reserved}

// changeError names the change that was refused, unless the transaction is to run
// again.
func changeError(i int, err error) error {
	if sqltx.IsAgain(err) {
		return err
	}
	return docchange.Error(i, err)
}

// saveMarks writes what the records told about the fields of indexes.
func (d *Documents) saveMarks(ctx context.Context, tx store.Tx, tenant platform.TenantID, c *collection, m marks) error {
	if len(m) == 0 {
		return nil
	}
	// Others may have set theirs since c was read.
	c, err := d.loadBy(ctx, tx, d.dialect.selectMarked, tenant, c.name)
	if err != nil {
		return err
	}
	def := c.definition
	def.Indexes = slices.Clone(def.Indexes)
	m.mark(def.Indexes)
	next, err := c.with(def)
	if err != nil {
		return err
	}
	return d.save(ctx, tx, tenant, next)
}

// applier makes the changes of one Apply.
type applier struct {
	tx      store.Tx
	tenant  platform.TenantID
	c       *collection
	dialect *dialect
	now     int64
	index   *indexWriter
	fresh   []*document.Record // to insert
	seqs    map[string]int64   // of the documents that were inserted, where they have one
}

func newApplier(tx store.Tx, tenant platform.TenantID, c *collection, dialect *dialect, now int64) *applier {
	return &applier{
		tx: tx, tenant: tenant, c: c, dialect: dialect, now: now,
		index: newIndexWriter(dialect.indexRows(tx, tenant), tx, tenant, c.indexes),
		seqs:  make(map[string]int64),
	}
}

func (a *applier) apply(ctx context.Context, changes []store.Change) ([]store.Document, error) {
	out := make([]store.Document, 0, len(changes))
	for start := 0; start < len(changes); {
		end := docchange.Distinct(changes, start, maxBatch)
		docs, err := a.batch(ctx, start, changes[start:end])
		if err != nil {
			return nil, err
		}
		out = append(out, docs...)
		start = end
	}
	return out, nil
}

// maxBatch is how many stored documents a batch holds in memory.
const maxBatch = 512

// batch makes changes of different documents; first is the place of the first
// one in the Apply. The documents are written before the index rows, which
// need their numbers.
func (a *applier) batch(ctx context.Context, first int, changes []store.Change) ([]store.Document, error) {
	ids := make([]string, len(changes))
	for i := range changes {
		ids[i] = changes[i].ID
	}
	// All writers take the documents in the same order, so that no two wait
	// for each other.
	slices.Sort(ids)
	stored, err := a.dialect.fetchForChange(ctx, a.tx, a.tenant, a.c.number, ids)
	if err != nil {
		return nil, err
	}
	next := make([]*document.Record, len(changes))
	for i := range changes {
		if next[i], err = a.one(ctx, &changes[i], stored); err != nil {
			return nil, changeError(first+i, err)
		}
	}
	if err := a.insert(ctx); err != nil {
		return nil, err
	}
	out := make([]store.Document, len(changes))
	for i, doc := range next {
		var was *document.Record
		r, replaced := stored[changes[i].ID]
		if replaced {
			was = &r.Record
		} else {
			r.seq = a.seqs[changes[i].ID]
		}
		if err := a.index.update(ctx, r.seq, was, doc); err != nil {
			return nil, changeError(first+i, err)
		}
		if doc == nil {
			doc = was
		}
		out[i] = store.Document(*doc)
	}
	clear(a.seqs)
	return out, a.index.flush(ctx)
}

var errRace = platform.Errorf(platform.KindConflict, "conflict", "another transaction changed the record")

// one makes a change of a document and returns what it then is, nil where it
// is gone.
func (a *applier) one(ctx context.Context, ch *store.Change, stored map[string]row) (*document.Record, error) {
	var was *document.Record
	if r, there := stored[ch.ID]; there {
		was = &r.Record
	}
	next, err := docchange.Next(ch, was, fromMicros(a.now))
	switch {
	case err != nil:
		return nil, err
	case next == nil:
		return nil, a.remove(ctx, was)
	case was == nil:
		a.fresh = append(a.fresh, next)
		return next, nil
	}
	return next, a.replace(ctx, next, was.Version)
}

// insert writes the documents of a batch that were not there.
func (a *applier) insert(ctx context.Context) error {
	if len(a.fresh) == 0 {
		return nil
	}
	slices.SortFunc(a.fresh, func(x, y *document.Record) int { return cmp.Compare(x.ID, y.ID) })
	n, err := a.dialect.insert(ctx, a, a.fresh)
	if err != nil {
		return err
	}
	if n < int64(len(a.fresh)) {
		return sqltx.Again(errRace)
	}
	a.fresh = a.fresh[:0]
	return nil
}

// insertRows inserts documents and remembers their numbers.
func insertRows(ctx context.Context, a *applier, docs []*document.Record) (inserted int64, err error) {
	rows := inserter{tx: a.tx, texts: &insertDocuments, columns: 7, returned: func(rows *sql.Rows) error {
		var id string
		var seq int64
		err := rows.Scan(&id, &seq)
		a.seqs[id] = seq
		inserted++
		return err
	}}
	for _, doc := range docs {
		err := rows.add(ctx, string(a.tenant), a.c.number, doc.ID, doc.Version, a.now, a.now, []byte(doc.Data))
		if err != nil {
			return 0, err
		}
	}
	return inserted, rows.flush(ctx)
}

func (a *applier) replace(ctx context.Context, next *document.Record, version int64) error {
	return changedOne(a.tx.Exec(ctx, `UPDATE documents SET version = ?, updated_at = ?, data = ?
		WHERE tenant = ? AND collection = ? AND id = ? AND version = ?`,
		next.Version, a.now, []byte(next.Data), string(a.tenant), a.c.number, next.ID, version))
}

func (a *applier) remove(ctx context.Context, old *document.Record) error {
	return changedOne(a.tx.Exec(ctx, `DELETE FROM documents WHERE tenant = ? AND collection = ? AND id = ? AND version = ?`,
		string(a.tenant), a.c.number, old.ID, old.Version))
}

// changedOne refuses a statement that found nothing where a row was read
// before: another writer came between.
func changedOne(res sql.Result, err error) error {
	if err != nil {
		return fmt.Errorf("sqldocs: write a document: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("sqldocs: write a document: %w", err)
	}
	if n != 1 {
		return sqltx.Again(errRace)
	}
	return nil
}
