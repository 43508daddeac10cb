package sqldocs

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// collection is a collection with what is needed to use its indexes. It is
// shared through the cache and never changed.
type collection struct {
	name                 string
	number               int64
	revision             int64
	version              int64
	createdAt, updatedAt int64
	definition           definition
	indexes              []*index
	// large is set where a read of everything has met more documents than a
	// short query may read, and unset where it has not. It is a hint.
	large *atomic.Bool
}

// index is an index of a collection.
type index struct {
	storedIndex
	fields []document.SortField
	keys   *document.Index
}

// definition is the column of that name.
type definition struct {
	Indexes []storedIndex   `json:"indexes,omitempty"`
	Schema  json.RawMessage `json:"schema,omitempty"`
}

type storedIndex struct {
	Number int64    `json:"number"`
	Fields []string `json:"fields"` // "-year" is downwards
	Unique bool     `json:"unique,omitempty"`
	// Arrays and Cut are the fields (bit i is field i) for which any record
	// ever had an array on the path, or a value too long for a key. Such
	// fields give no order, and weaker bounds. They are set in the transaction
	// that writes the first such record and stay set.
	Arrays uint8 `json:"arrays,omitempty"`
	Cut    uint8 `json:"cut,omitempty"`
}

func newIndex(s storedIndex) (*index, error) {
	x := &index{storedIndex: s}
	for _, f := range s.Fields {
		field := document.SortField{Path: f}
		if f[0] == '-' {
			field = document.SortField{Path: f[1:], Desc: true}
		}
		x.fields = append(x.fields, field)
	}
	var err error
	x.keys, err = document.NewIndex(x.fields)
	return x, err
}

func (c *collection) public() store.Collection {
	out := store.Collection{
		Name: c.name, Version: c.version, Schema: slices.Clone(c.definition.Schema),
		CreatedAt: fromMicros(c.createdAt), UpdatedAt: fromMicros(c.updatedAt),
	}
	for _, x := range c.indexes {
		out.Indexes = append(out.Indexes, store.Index{Fields: slices.Clone(x.fields), Unique: x.Unique})
	}
	return out
}

// with returns a copy of c with another definition and a new revision.
func (c *collection) with(d definition) (*collection, error) {
	next := *c
	next.definition, next.indexes, next.large = d, nil, new(atomic.Bool)
	next.revision = newRevision()
	for _, s := range d.Indexes {
		x, err := newIndex(s)
		if err != nil {
			return nil, err
		}
		next.indexes = append(next.indexes, x)
	}
	return &next, nil
}

// newRevision is random: a transaction that sees another's changes before they
// are durable may put them in the cache, and a counter could come to the same
// number again after they are lost.
func newRevision() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

var errNoCollection = platform.NotFound("collection")

const selectCollection = `SELECT number, revision, version, created_at, updated_at FROM document_collections
	WHERE tenant = ? AND name = ?`

// load reads a collection. The error is KindNotFound.
func (d *Documents) load(ctx context.Context, tx store.Tx, tenant platform.TenantID, name string) (*collection, error) {
	return d.loadBy(ctx, tx, selectCollection, tenant, name)
}

func (d *Documents) loadBy(ctx context.Context, tx store.Tx, text string, tenant platform.TenantID, name string) (*collection, error) {
	c := collection{name: name}
	err := tx.QueryRow(ctx, text, string(tenant), name).
		Scan(&c.number, &c.revision, &c.version, &c.createdAt, &c.updatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoCollection
	}
	if err != nil {
		return nil, fmt.Errorf("sqldocs: read a collection: %w", err)
	}
	if cached := d.cache.get(tenant, name, c.revision); cached != nil {
		return cached, nil
	}
	var raw []byte
	err = tx.QueryRow(ctx, `SELECT definition FROM document_collections
		WHERE tenant = ? AND name = ?`, string(tenant), name).Scan(&raw)
	if err != nil {
		return nil, fmt.Errorf("sqldocs: read a collection: %w", err)
	}
	return d.parsed(tenant, c, raw)
}

// parsed completes what was read and puts it in the cache.
func (d *Documents) parsed(tenant platform.TenantID, c collection, raw []byte) (*collection, error) {
	var def definition
	if err := json.Unmarshal(raw, &def); err != nil {
		return nil, fmt.Errorf("sqldocs: the definition of a collection: %w", err)
	}
	full, err := c.with(def)
	if err != nil {
		return nil, fmt.Errorf("sqldocs: the definition of a collection: %w", err)
	}
	full.revision = c.revision
	d.cache.put(tenant, full)
	return full, nil
}

// Collections implements [store.Documents].
func (d *Documents) Collections(ctx context.Context, tenant platform.TenantID, names ...string) ([]store.Collection, error) {
	var out []store.Collection
	err := d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		out = out[:0]
		if len(names) == 0 {
			var err error
			names, err = d.names(ctx, tx, tenant)
			if err != nil {
				return err
			}
		}
		for _, name := range names {
			c, err := d.load(ctx, tx, tenant, name)
			if err != nil {
				return err
			}
			out = append(out, c.public())
		}
		return nil
	}, store.ReadOnly)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (d *Documents) names(ctx context.Context, tx store.Tx, tenant platform.TenantID) ([]string, error) {
	rows, err := tx.Query(ctx, `SELECT name FROM document_collections WHERE tenant = ? ORDER BY name`, string(tenant))
	if err != nil {
		return nil, fmt.Errorf("sqldocs: list collections: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("sqldocs: list collections: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
