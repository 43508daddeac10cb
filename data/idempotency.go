package data

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// A call with an idempotency key has its effect once. Where documents and rows
// commit together, the row of the key commits with the record. A store of
// documents alone has no such row: there the id of a new record follows from the
// key, so that a second call finds the record, and what the store says of that
// decides. It tells another input only as long as the record is unchanged, and a
// record that was removed since is created again.

// once is a creation with a key; nil is one without.
type once struct {
	key     *platform.IdempotencyKey
	given   string // the id in the request, "" for none
	derived string // the id that follows from the key, "" where a row keeps the answer
}

const opCreateRecord = "data.records.create"

func (s *Service) once(p platform.Principal, collection, id string, key *platform.IdempotencyKey) *once {
	if key == nil {
		return nil
	}
	o := &once{key: key, given: id}
	if s.repeats == nil {
		o.derived = idempotency.DerivedID("rec", key, p, opCreateRecord+" "+collection)
	}
	return o
}

// newID returns the id of a record whose request has none.
func (o *once) newID(newID func(string) string) string {
	if o != nil && o.derived != "" {
		return o.derived
	}
	return newID("rec")
}

// insertOnce is insert for a call with a key.
func (s *Service) insertOnce(ctx context.Context, p platform.Principal, collection string, change store.Change, o *once) (Record, error) {
	if s.repeats == nil {
		return s.insertDerived(ctx, p, collection, change, o)
	}
	call, err := s.repeats.Call(ctx, o.key, p, opCreateRecord, []any{collection, o.given, change.Data})
	if err != nil {
		return Record{}, err
	}
	// What was created is checked and counted; the schema may have changed since.
	kept, err := call.Kept(ctx, p.Tenant)
	if err != nil {
		return Record{}, err
	}
	var taken store.Size
	if !kept {
		if taken, err = s.admitRecord(ctx, p, collection, change.Data); err != nil {
			return Record{}, err
		}
	}
	var (
		rec   Record
		again string // the id of a large record
	)
	err = s.relational.Relational().InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		again = ""
		return call.DoLarge(ctx, tx, &rec, func() error {
			if kept {
				return errKeyForgotten()
			}
			docs, err := s.relational.ApplyIn(ctx, tx, collection, []store.Change{change}, s.changed(p, recordCreated, collection, change.ID))
			if err == nil {
				rec = docs[0]
			}
			return err
		}, func() string { return rec.ID }, func(id string) error { again = id; return nil })
	})
	if err != nil || o.key.Replayed() {
		s.quotas.changed(p.Tenant, store.Size{Documents: -taken.Documents, Bytes: -taken.Bytes})
	}
	if err != nil {
		return Record{}, single(err)
	}
	if again != "" {
		return s.record(ctx, p.Tenant, collection, again)
	}
	return rec, nil
}

// errKeyForgotten is for a key whose time ended while the call was under way.
func errKeyForgotten() error {
	return platform.Errorf(platform.KindConflict, "idempotency_expired", "the key was forgotten at this moment; try again")
}

// admitRecord checks the data of a new record and counts it.
func (s *Service) admitRecord(ctx context.Context, p platform.Principal, collection string, data json.RawMessage) (store.Size, error) {
	if err := s.checkData(ctx, p.Tenant, collection, data); err != nil {
		return store.Size{}, err
	}
	return s.quotas.take(ctx, p.Tenant, store.Size{Documents: 1, Bytes: int64(len(data))}, nil)
}

// insertDerived creates a record, or finds the one that an earlier call with the
// key has created.
func (s *Service) insertDerived(ctx context.Context, p platform.Principal, collection string, change store.Change, o *once) (Record, error) {
	o.key.SetReplayed(false)
	taken, err := s.admitRecord(ctx, p, collection, change.Data)
	if err != nil {
		return Record{}, err
	}
	rec, err := s.applyTaken(ctx, p, collection, change, taken)
	if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "exists"}) {
		return rec, err
	}
	earlier, readErr := s.record(ctx, p.Tenant, collection, change.ID)
	if readErr != nil {
		return Record{}, err
	}
	unchanged := earlier.Version == 1 && bytes.Equal(earlier.Data, change.Data)
	switch {
	case o.given != "" && (!unchanged || !s.recent(earlier.CreatedAt)):
		return Record{}, err // it may be anybody's
	case o.given == "" && earlier.Version == 1 && !unchanged:
		return Record{}, idempotency.Reused()
	}
	o.key.SetReplayed(true)
	return earlier, nil
}

// recent reports whether a key of that time would still be known.
func (s *Service) recent(t time.Time) bool { return s.now().Sub(t) < idempotency.TTL }

// keptCollection is what a second call needs beside its own input.
type keptCollection struct {
	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// createCollectionOnce is newCollection for a call with a key.
func (s *Service) createCollectionOnce(ctx context.Context, p platform.Principal, c Collection, key *platform.IdempotencyKey) (Collection, error) {
	if s.repeats == nil {
		return s.createCollectionAgain(ctx, p, c, key)
	}
	call, err := s.repeats.Call(ctx, key, p, "data.collections.create", asked(&c))
	if err != nil {
		return Collection{}, err
	}
	kept, err := call.Kept(ctx, p.Tenant)
	if err != nil {
		return Collection{}, err
	}
	if !kept {
		done, err := s.quotas.newCollection(ctx, s.docs, p.Tenant)
		if err != nil {
			return Collection{}, err
		}
		defer done()
	}
	var out keptCollection
	err = s.relational.Relational().InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &out, func() error {
			if kept {
				return errKeyForgotten()
			}
			made, err := s.relational.PutCollectionIn(ctx, tx, c, s.collectionEvent(p, "created", c.Name, 1))
			out = keptCollection{made.Version, made.CreatedAt, made.UpdatedAt}
			return err
		})
	})
	c.Version, c.CreatedAt, c.UpdatedAt = out.Version, out.CreatedAt, out.UpdatedAt
	return c, err
}

// asked is the definition in a request.
func asked(c *Collection) []any {
	asked := []any{c.Name, c.Schema}
	for _, index := range c.Indexes {
		fields := make([]string, len(index.Fields))
		for i, f := range index.Fields {
			fields[i] = f.String()
		}
		asked = append(asked, fields, index.Unique)
	}
	return asked
}

// createCollectionAgain creates a collection, or finds the one of that name and
// definition that is as new as a key can be.
func (s *Service) createCollectionAgain(ctx context.Context, p platform.Principal, c Collection, key *platform.IdempotencyKey) (Collection, error) {
	key.SetReplayed(false)
	made, err := s.newCollection(ctx, p, c)
	if err == nil || !errors.Is(err, platform.ErrConflict) && !errors.Is(err, platform.ErrForbidden) {
		return made, err
	}
	found, readErr := s.docs.Collections(ctx, p.Tenant, c.Name)
	if readErr != nil {
		return Collection{}, err
	}
	earlier := found[0]
	same, jsonErr := sameJSON(asked(&earlier), asked(&c))
	if jsonErr != nil || !same || earlier.Version != 1 || !s.recent(earlier.CreatedAt) {
		return Collection{}, err
	}
	key.SetReplayed(true)
	return earlier, nil
}

func sameJSON(a, b any) (bool, error) {
	x, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	y, err := json.Marshal(b)
	return bytes.Equal(x, y), err
}
