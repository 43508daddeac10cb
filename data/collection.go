package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/idempotency"
)

// Collection is a named set of records with an optional JSON Schema and
// indexes. Its Version counts the changes of this definition.
type Collection = store.Collection

// Index is an ordered list of fields that filters and orders can use; see
// [store.Index].
type Index = store.Index

// Limits of a collection's indexes.
const (
	maxIndexes     = 16
	maxIndexFields = 8
)

// CollectionChange says what to change of a collection; what is nil stays.
type CollectionChange struct {
	// Schema is the new JSON Schema; the JSON value null removes the present one.
	Schema json.RawMessage
	// Indexes replaces all indexes; an empty list removes them.
	Indexes []Index
	// CheckRecords refuses a new schema that stored records do not fulfil.
	// Without it they stay as they are until their next change, and so does
	// what others write while the check goes on.
	CheckRecords bool
}

// CreateCollection creates a collection. Schema may be nil; Version and times
// are ignored. Errors: [platform.KindInvalid] with a field for what is wrong,
// [platform.KindConflict] "collection_exists"; [platform.OverLimit] where the
// tenant has as many as it may, see [platform.Limits].Collections;
// [platform.KindForbidden].
func (s *Service) CreateCollection(ctx context.Context, p platform.Principal, c Collection, keys ...*platform.IdempotencyKey) (Collection, error) {
	if err := s.allow(ctx, p, PermissionWriteCollections, c.Name); err != nil {
		return Collection{}, err
	}
	if !collectionPattern.MatchString(c.Name) {
		return Collection{}, platform.Invalid(platform.Field{
			Path: "/name", Code: "format", Detail: "must be a letter and then at most 63 letters, digits, '_' or '-'",
		})
	}
	var err error
	if c.Schema, err = checkSchema(c.Schema); err != nil {
		return Collection{}, err
	}
	if err := checkIndexes(c.Indexes); err != nil {
		return Collection{}, err
	}
	c.Version = 0
	if key := idempotency.Only(keys); key != nil {
		return s.createCollectionOnce(ctx, p, c, key)
	}
	return s.newCollection(ctx, p, c)
}

// newCollection creates a collection that the principal may create.
func (s *Service) newCollection(ctx context.Context, p platform.Principal, c Collection) (Collection, error) {
	done, err := s.quotas.newCollection(ctx, s.docs, p.Tenant)
	if err != nil {
		return Collection{}, err
	}
	defer done()
	return s.docs.PutCollection(ctx, p.Tenant, c, s.collectionEvent(p, "created", c.Name, 1))
}

// Collections returns those of the tenant's collections that the principal may
// read, by name. Error: [platform.KindForbidden] where it may read none at all.
func (s *Service) Collections(ctx context.Context, p platform.Principal) ([]Collection, error) {
	if err := s.allow(ctx, p, PermissionReadCollections, ""); err != nil {
		return nil, err
	}
	all, err := s.docs.Collections(ctx, p.Tenant)
	if err != nil {
		return nil, err
	}
	readable := all[:0]
	for i := range all {
		switch err := s.allow(ctx, p, PermissionReadCollections, all[i].Name); {
		case err == nil:
			readable = append(readable, all[i])
		case !errors.Is(err, platform.ErrForbidden):
			return nil, err
		}
	}
	return readable, nil
}

// Collection returns one collection. Errors: [platform.KindNotFound],
// [platform.KindForbidden].
func (s *Service) Collection(ctx context.Context, p platform.Principal, name string) (Collection, error) {
	if err := s.allow(ctx, p, PermissionReadCollections, name); err != nil {
		return Collection{}, err
	}
	return s.collection(ctx, p.Tenant, name)
}

// collection is Collection for whoever was let in already.
func (s *Service) collection(ctx context.Context, tenant platform.TenantID, name string) (Collection, error) {
	if !collectionPattern.MatchString(name) {
		return Collection{}, noCollection()
	}
	found, err := s.docs.Collections(ctx, tenant, name)
	if err != nil {
		return Collection{}, err
	}
	return found[0], nil
}

func noCollection() error { return platform.NotFound("collection") }

// UpdateCollection changes a collection. ifMatch are the versions that the
// caller means; nil is any. Errors: [platform.KindInvalid],
// [platform.KindNotFound], [platform.KindStale], [platform.KindConflict]
// "unique" where records break a new unique index and "records_invalid" where
// CheckRecords found some.
func (s *Service) UpdateCollection(
	ctx context.Context, p platform.Principal, name string, change CollectionChange, ifMatch []int64,
) (Collection, error) {
	if err := s.allow(ctx, p, PermissionWriteCollections, name); err != nil {
		return Collection{}, err
	}
	newSchema := change.Schema != nil
	compact, err := checkSchema(change.Schema)
	if err != nil {
		return Collection{}, err
	}
	if err := checkIndexes(change.Indexes); err != nil {
		return Collection{}, err
	}
	var out Collection
	put := func() error {
		c, err := s.collection(ctx, p.Tenant, name)
		if err != nil {
			return err
		}
		if ifMatch != nil && !slices.Contains(ifMatch, c.Version) {
			return stale("collection")
		}
		if newSchema {
			c.Schema = compact
		}
		if change.Indexes != nil {
			c.Indexes = change.Indexes
		}
		if newSchema && change.CheckRecords {
			if err := s.checkRecords(ctx, p, c); err != nil {
				return err
			}
		}
		out, err = s.docs.PutCollection(ctx, p.Tenant, c, s.collectionEvent(p, "updated", c.Name, c.Version+1))
		return err
	}
	if ifMatch != nil {
		err = put()
	} else {
		err = retryStale(ctx, put)
	}
	return out, err
}

func stale(noun string) error {
	return platform.Errorf(platform.KindStale, "", "the %s is not at the version that If-Match names", noun)
}

// DeleteCollection removes a collection with its records. ifMatch are the
// versions that the caller means; nil is any. Errors: [platform.KindNotFound],
// [platform.KindStale].
func (s *Service) DeleteCollection(ctx context.Context, p platform.Principal, name string, ifMatch []int64) error {
	if err := s.allow(ctx, p, PermissionWriteCollections, name); err != nil {
		return err
	}
	drop := func() error {
		c, err := s.collection(ctx, p.Tenant, name)
		if err != nil {
			return err
		}
		if ifMatch != nil && !slices.Contains(ifMatch, c.Version) {
			return stale("collection")
		}
		err = s.docs.DropCollection(ctx, p.Tenant, name, c.Version, s.collectionEvent(p, "deleted", name, c.Version))
		if err == nil {
			s.quotas.forget(p.Tenant)
		}
		return err
	}
	if ifMatch != nil {
		return drop()
	}
	return retryStale(ctx, drop)
}

func (s *Service) collectionEvent(p platform.Principal, participle, name string, version int64) platform.Event {
	data := appendString([]byte(`{"collection":`), name)
	data = fmt.Appendf(data, `,"version":%d}`, version)
	return s.event(p, "data.collection."+participle, name, data)
}

// checkSchema checks that a schema can be used and returns it compact.
func checkSchema(raw json.RawMessage) (json.RawMessage, error) {
	compact, err := compactSchema(raw)
	if err != nil || compact == nil {
		return nil, err
	}
	_, err = compileSchema(compact)
	return compact, err
}

func checkIndexes(indexes []Index) error {
	if len(indexes) > maxIndexes {
		return platform.Invalid(platform.Field{
			Path: "/indexes", Code: "too_many", Detail: fmt.Sprintf("a collection may have %d indexes", maxIndexes),
		})
	}
	for i, ix := range indexes {
		at := fmt.Sprintf("/indexes/%d/fields", i)
		if n := len(ix.Fields); n == 0 || n > maxIndexFields {
			return platform.Invalid(platform.Field{
				Path: at, Code: "count", Detail: fmt.Sprintf("an index has 1 to %d fields", maxIndexFields),
			})
		}
		for j, f := range ix.Fields {
			same := func(other document.SortField) bool { return other.Path == f.Path }
			if slices.ContainsFunc(ix.Fields[:j], same) {
				return platform.Invalid(platform.Field{Path: fmt.Sprintf("%s/%d", at, j), Code: "duplicate", Detail: "stands in the index twice"})
			}
		}
		for _, other := range indexes[:i] {
			if slices.Equal(other.Fields, ix.Fields) {
				return platform.Invalid(platform.Field{Path: at, Code: "duplicate", Detail: "another index has the same fields"})
			}
		}
	}
	return nil
}

// checkRecords reports that records do not fulfil the schema of c. It names the
// first of them to who may read them all.
func (s *Service) checkRecords(ctx context.Context, p platform.Principal, c Collection) error {
	if c.Schema == nil {
		return nil
	}
	compiled, err := compileSchema(c.Schema)
	if err != nil {
		return err
	}
	var fields []platform.Field
	for q := (store.Query{Limit: 200, MaxBytes: pageBytes}); len(fields) < maxFields; {
		var next store.Cursor
		err := s.each(ctx, p.Tenant, c.Name, q, func(page store.Page) error {
			next = page.Next
			for _, d := range page.Documents {
				var e *platform.Error
				if err := compiled.validate(d.Data, ""); errors.As(err, &e) && len(e.Fields) > 0 {
					f := e.Fields[0]
					fields = append(fields, platform.Field{
						Path: "/schema", Code: "record", Detail: fmt.Sprintf("the record %s: %s %s", d.ID, f.Path, f.Detail),
					})
				} else if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(next) == 0 {
			break
		}
		q.Cursor = next
	}
	if fields == nil {
		return nil
	}
	if s.allow(ctx, p, PermissionReadRecords, c.Name) != nil {
		fields = nil
	}
	return &platform.Error{
		Kind: platform.KindConflict, Code: "records_invalid", Message: "stored records do not fulfil the new schema",
		Fields: fields[:min(len(fields), maxFields)],
	}
}
