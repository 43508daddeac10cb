package mongo

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docquery"
)

// index is an index of a collection, ready to use. It is shared through the
// cache and never changed.
type index struct {
	storedIndex
	docquery.Index
}

func newIndex(s storedIndex) (*index, error) {
	x := &index{storedIndex: s}
	for _, f := range s.Fields {
		path, desc := strings.CutPrefix(f, "-")
		x.Index.Fields = append(x.Index.Fields, document.SortField{Path: path, Desc: desc})
	}
	x.Index.Arrays, x.Index.Cut = uint8(s.Arrays), uint8(s.Cut)
	var err error
	x.Keys, err = document.NewIndex(x.Index.Fields)
	return x, err
}

// maxCached bounds the cache; a collection's indexes are a few kilobytes.
const maxCached = 4096

// cache keeps the indexes of collections by their state. The zero value is
// ready.
type cache struct {
	mu      sync.RWMutex
	entries map[cacheKey][]*index
}

type cacheKey struct {
	number  string
	indexed int64
}

// indexes returns the indexes of a head.
func (c *cache) indexes(h *head) ([]*index, error) {
	key := cacheKey{h.Number, h.Indexed}
	c.mu.RLock()
	found, ok := c.entries[key]
	c.mu.RUnlock()
	if ok {
		return found, nil
	}
	made := make([]*index, len(h.Indexes))
	for i, s := range h.Indexes {
		var err error
		if made[i], err = newIndex(s); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[cacheKey][]*index)
	}
	if len(c.entries) >= maxCached {
		for other := range c.entries { // any one: the order of a map is random
			delete(c.entries, other)
			break
		}
	}
	c.entries[key] = made
	return made, nil
}

// public is what callers see of a collection; the indexes being built are not
// among it.
func (h *head) public(name, schema string) (store.Collection, error) {
	out := store.Collection{Name: name, Version: h.Version, CreatedAt: fromMicros(h.Created), UpdatedAt: fromMicros(h.Updated)}
	if schema != "" {
		out.Schema = json.RawMessage(schema)
	}
	for _, s := range h.Indexes {
		if s.Build != "" {
			continue
		}
		x, err := newIndex(s)
		if err != nil {
			return store.Collection{}, err
		}
		out.Indexes = append(out.Indexes, store.Index{Fields: x.Index.Fields, Unique: s.Unique})
	}
	return out, nil
}

// Collections implements [store.Documents].
func (d *Documents) Collections(ctx context.Context, tenant platform.TenantID, names ...string) ([]store.Collection, error) {
	if err := d.enter(tenant); err != nil {
		return nil, err
	}
	sc := scope{tenant}
	for {
		heads, all, err := d.listHeads(ctx, sc, names)
		if err != nil {
			return nil, err
		}
		schemas, err := d.listSchemas(ctx, sc, heads)
		if err != nil {
			return nil, err
		}
		out := make([]store.Collection, len(all))
		late := ""
		for i, name := range all {
			h := heads[name]
			schema, there := schemas[h.Schema]
			if h.Schema != "" && !there {
				late = name
			}
			if out[i], err = h.public(name, schema); err != nil {
				return nil, err
			}
		}
		if late == "" {
			return out, nil
		}
		// It is not written yet, or was replaced since.
		if _, err := d.settled(ctx, sc, late, readerPatience); err != nil {
			return nil, err
		}
	}
}

// listHeads returns the heads of collections and their names in order.
func (d *Documents) listHeads(ctx context.Context, sc scope, names []string) (map[string]*head, []string, error) {
	heads := make(map[string]*head)
	ids := make([]rowID, len(names))
	for i, name := range names {
		ids[i] = sc.id(name)
	}
	see := func(raw bson.Raw) error {
		var h head
		if err := bson.Unmarshal(raw, &h); err != nil {
			return fault("decode", err)
		}
		if !h.none() {
			heads[rest(idOf(raw), 0)] = &h
		}
		return nil
	}
	if len(names) > 0 {
		if err := d.heads.many(ctx, ids, see); err != nil {
			return nil, nil, err
		}
		for _, name := range names {
			if heads[name] == nil {
				return nil, nil, errNoCollection
			}
		}
		return heads, names, nil
	}
	err := d.heads.walk(ctx, sc.all(), false, 0, func(raw bson.Raw) (bool, error) { return true, see(raw) })
	all := make([]string, 0, len(heads))
	for name := range heads {
		all = append(all, name)
	}
	slices.Sort(all)
	return heads, all, err
}

func (d *Documents) listSchemas(ctx context.Context, sc scope, heads map[string]*head) (map[string]string, error) {
	var ids []rowID
	for _, h := range heads {
		if h.Schema != "" {
			ids = append(ids, sc.id(h.Number, h.Schema))
		}
	}
	schemas := make(map[string]string)
	err := d.schemas.many(ctx, ids, func(raw bson.Raw) error {
		var row schemaRow
		err := bson.Unmarshal(raw, &row)
		schemas[rest(idOf(raw), 1)] = row.Schema
		return fault("decode", err)
	})
	return schemas, err
}
