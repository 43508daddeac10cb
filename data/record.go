package data

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/idempotency"
)

// Record is one record: an id, a version that counts its changes, times, and
// its data, a JSON object.
type Record = store.Document

// CreateRecord creates a record. An empty id has one made; a given one has at
// most 128 letters, digits and characters of "._~:-". Errors:
// [platform.KindMalformed] and [platform.KindInvalid] for data that is no JSON
// object, breaks the rules of package data or the collection's schema, with
// pointers under /data; [platform.KindTooLarge]; [platform.KindNotFound] for
// the collection; [platform.KindConflict] "exists" and "unique";
// [platform.OverLimit] where the tenant keeps as much as it may, see
// [platform.Limits].Records and RecordBytes; [platform.KindForbidden], which
// [Config.Access] decides: "field_not_writable" and "record_not_allowed" too.
func (s *Service) CreateRecord(
	ctx context.Context, p platform.Principal, collection, id string, data json.RawMessage, keys ...*platform.IdempotencyKey,
) (Record, error) {
	if err := p.RequireTenant(); err != nil {
		return Record{}, err
	}
	compact, err := compactObject(data, "/data")
	if err != nil {
		return Record{}, err
	}
	return s.create(ctx, p, collection, id, compact, idempotency.Only(keys))
}

// create is CreateRecord for data that [compactObject] returned.
func (s *Service) create(ctx context.Context, p platform.Principal, collection, id string, data json.RawMessage, key *platform.IdempotencyKey) (Record, error) {
	g, err := s.grant(ctx, p, PermissionWriteRecords, collection)
	if err != nil {
		return Record{}, err
	}
	once := s.once(p, collection, id, key)
	if id == "" {
		id = once.newID(s.newID)
	} else if !validRecordID(id) {
		return Record{}, platform.Invalid(platform.Field{Path: "/id", Code: "format", Detail: idRule})
	}
	if !g.whole() {
		return s.createWithin(ctx, p, &g, collection, id, data, once)
	}
	return s.insert(ctx, p, collection, id, data, once)
}

// createWithin is create for a grant with limits.
func (s *Service) createWithin(ctx context.Context, p platform.Principal, g *Grant, collection, id string, data json.RawMessage, once *once) (Record, error) {
	data, err := g.keep(nil, data, g.Readable)
	if err == nil {
		now := s.now()
		err = g.mayHold(&Record{ID: id, Version: 1, CreatedAt: now, UpdatedAt: now, Data: data})
	}
	if err != nil {
		return Record{}, err
	}
	rec, err := s.insert(ctx, p, collection, id, data, once)
	g.show(&rec)
	return rec, g.hide(err, "/data")
}

// insert creates a record that the principal may create.
func (s *Service) insert(ctx context.Context, p platform.Principal, collection, id string, data json.RawMessage, once *once) (Record, error) {
	if once != nil {
		return s.insertOnce(ctx, p, collection, store.Change{Op: store.OpInsert, ID: id, Data: data}, once)
	}
	if err := s.checkData(ctx, p.Tenant, collection, data); err != nil {
		return Record{}, err
	}
	taken, err := s.quotas.take(ctx, p.Tenant, store.Size{Documents: 1, Bytes: int64(len(data))}, nil)
	if err != nil {
		return Record{}, err
	}
	return s.applyTaken(ctx, p, collection, store.Change{Op: store.OpInsert, ID: id, Data: data}, taken)
}

// applyTaken is apply for what a quota has counted.
func (s *Service) applyTaken(
	ctx context.Context, p platform.Principal, collection string, change store.Change, taken store.Size,
) (Record, error) {
	rec, err := s.apply(ctx, p, collection, change)
	if err != nil {
		s.quotas.changed(p.Tenant, store.Size{Documents: -taken.Documents, Bytes: -taken.Bytes})
	}
	return rec, err
}

const idRule = `must be 1 to 128 letters, digits and characters of "._~:-", and none of the words count, export, import and query`

// checkData checks compact data against the limit and the collection's schema.
// A schema that changes meanwhile holds for what comes after it.
func (s *Service) checkData(ctx context.Context, tenant platform.TenantID, collection string, data json.RawMessage) error {
	if len(data) > s.maxRecord {
		return s.tooLarge()
	}
	c, err := s.collection(ctx, tenant, collection)
	if err != nil {
		return err
	}
	compiled, err := s.schemas.of(tenant, &c)
	if err != nil {
		return err
	}
	return compiled.validate(data, "/data")
}

func (s *Service) tooLarge() error {
	return platform.Errorf(platform.KindTooLarge, "record_too_large", "the data of a record may have %d bytes", s.maxRecord)
}

// Record returns one record. Errors: [platform.KindNotFound], for the record and
// for the collection; [platform.KindForbidden]. A record that the principal may
// not read is not found.
func (s *Service) Record(ctx context.Context, p platform.Principal, collection, id string) (Record, error) {
	g, err := s.grant(ctx, p, PermissionReadRecords, collection)
	if err != nil {
		return Record{}, err
	}
	rec, err := s.recordWithin(ctx, p, &g, collection, id)
	if err != nil {
		return Record{}, err
	}
	g.show(&rec)
	return rec, nil
}

// recordWithin returns a record that g is for, with all its data.
func (s *Service) recordWithin(ctx context.Context, p platform.Principal, g *Grant, collection, id string) (Record, error) {
	rec, err := s.record(ctx, p.Tenant, collection, id)
	if err == nil && !g.admits(&rec) {
		err = platform.NotFound("record")
	}
	return rec, err
}

// record returns a record to whoever was let in already.
func (s *Service) record(ctx context.Context, tenant platform.TenantID, collection, id string) (Record, error) {
	if err := s.loads.begin(ctx); err != nil {
		return Record{}, err
	}
	defer s.loads.end()
	return s.docs.Get(ctx, tenant, collection, id)
}

// ReplaceRecord gives a record new data. ifMatch are the versions that the
// caller means; nil is any. What [Config.Access] does not let the principal write
// stays where the data does not name it. Errors: those of CreateRecord,
// [platform.KindNotFound] for the record, [platform.KindStale].
func (s *Service) ReplaceRecord(
	ctx context.Context, p platform.Principal, collection, id string, data json.RawMessage, ifMatch []int64,
) (Record, error) {
	if err := p.RequireTenant(); err != nil {
		return Record{}, err
	}
	compact, err := compactObject(data, "/data")
	if err != nil {
		return Record{}, err
	}
	return s.replace(ctx, p, collection, id, compact, ifMatch)
}

// replace is ReplaceRecord for data that [compactObject] returned.
func (s *Service) replace(
	ctx context.Context, p platform.Principal, collection, id string, data json.RawMessage, ifMatch []int64,
) (Record, error) {
	g, err := s.grant(ctx, p, PermissionWriteRecords, collection)
	if err != nil {
		return Record{}, err
	}
	if !g.whole() {
		return s.rewrite(ctx, p, &g, collection, id, ifMatch, func(old json.RawMessage) (json.RawMessage, error) {
			return g.keep(old, data, g.Readable)
		})
	}
	if err := s.checkData(ctx, p.Tenant, collection, data); err != nil {
		return Record{}, err
	}
	version, err := s.meant(ctx, p.Tenant, collection, id, ifMatch)
	if err != nil {
		return Record{}, err
	}
	taken, err := s.quotas.take(ctx, p.Tenant, store.Size{Bytes: int64(len(data))}, func() (store.Size, error) {
		return s.growth(ctx, p.Tenant, collection, id, data)
	})
	if err != nil {
		return Record{}, err
	}
	return s.applyTaken(ctx, p, collection, store.Change{Op: store.OpReplace, ID: id, IfVersion: version, Data: data}, taken)
}

// growth returns how much larger a record becomes with new data. What is not
// there is for the change to find.
func (s *Service) growth(ctx context.Context, tenant platform.TenantID, collection, id string, data json.RawMessage) (store.Size, error) {
	old, err := s.record(ctx, tenant, collection, id)
	if errors.Is(err, platform.ErrNotFound) {
		return store.Size{}, nil
	}
	return store.Size{Bytes: int64(len(data) - len(old.Data))}, err
}

// meant returns the one version of ifMatch that a change may find; 0 is any.
func (s *Service) meant(
	ctx context.Context, tenant platform.TenantID, collection, id string, ifMatch []int64,
) (int64, error) {
	switch {
	case ifMatch == nil:
		return 0, nil
	case len(ifMatch) == 1 && ifMatch[0] > 0:
		return ifMatch[0], nil
	}
	// A list, or what can match nothing: the record tells which it is. What
	// changes between this look and the change is found by the change.
	d, err := s.record(ctx, tenant, collection, id)
	if err != nil {
		return 0, err
	}
	if !slices.Contains(ifMatch, d.Version) {
		return 0, stale("record")
	}
	return d.Version, nil
}

// PatchRecord applies a JSON merge patch (RFC 7396) to a record's data. The
// errors are those of ReplaceRecord; without ifMatch a patch that meets another
// change is applied to the newer data, and [platform.KindConflict] "contended"
// is for one that never finds a pause.
func (s *Service) PatchRecord(
	ctx context.Context, p platform.Principal, collection, id string, patch json.RawMessage, ifMatch []int64,
) (Record, error) {
	g, err := s.grant(ctx, p, PermissionWriteRecords, collection)
	if err != nil {
		return Record{}, err
	}
	compact, err := compactObject(patch, "")
	if err != nil {
		return Record{}, err
	}
	if err := g.mayPatch(compact); err != nil {
		return Record{}, err
	}
	return s.rewrite(ctx, p, &g, collection, id, ifMatch, func(old json.RawMessage) (json.RawMessage, error) {
		return g.keep(old, document.MergePatch(old, compact), nil)
	})
}

// rewrite changes a record that g is for to what change makes of its data. It
// reads the record, and writes where that is still the present version.
func (s *Service) rewrite(
	ctx context.Context, p platform.Principal, g *Grant, collection, id string, ifMatch []int64,
	change func(old json.RawMessage) (json.RawMessage, error),
) (Record, error) {
	var out Record
	err := s.meanwhile(ctx, ifMatch, func() error {
		d, err := s.recordWithin(ctx, p, g, collection, id)
		if err != nil {
			return err
		}
		if ifMatch != nil && !slices.Contains(ifMatch, d.Version) {
			return stale("record")
		}
		data, err := change(d.Data)
		if err != nil {
			return err
		}
		if err := g.mayHold(&Record{ID: id, Version: d.Version + 1, CreatedAt: d.CreatedAt, UpdatedAt: s.now(), Data: data}); err != nil {
			return err
		}
		if err := s.checkData(ctx, p.Tenant, collection, data); err != nil {
			return err
		}
		taken, err := s.quotas.take(ctx, p.Tenant, store.Size{Bytes: int64(len(data) - len(d.Data))}, nil)
		if err != nil {
			return err
		}
		out, err = s.applyTaken(ctx, p, collection, store.Change{Op: store.OpReplace, ID: id, IfVersion: d.Version, Data: data}, taken)
		return err
	})
	g.show(&out)
	return out, g.hide(err, "/data")
}

// meanwhile calls f, again where another change came between and the caller did
// not say which version it means.
func (*Service) meanwhile(ctx context.Context, ifMatch []int64, f func() error) error {
	if ifMatch != nil {
		return f()
	}
	return retryStale(ctx, f)
}

// DeleteRecord removes a record. ifMatch are the versions that the caller
// means; nil is any. Errors: [platform.KindNotFound], [platform.KindStale],
// [platform.KindForbidden].
func (s *Service) DeleteRecord(ctx context.Context, p platform.Principal, collection, id string, ifMatch []int64) error {
	g, err := s.grant(ctx, p, PermissionDeleteRecords, collection)
	if err != nil {
		return err
	}
	if !g.Filter.IsZero() {
		return s.meanwhile(ctx, ifMatch, func() error {
			d, err := s.recordWithin(ctx, p, &g, collection, id)
			if err != nil {
				return err
			}
			if ifMatch != nil && !slices.Contains(ifMatch, d.Version) {
				return stale("record")
			}
			return s.remove(ctx, p, collection, id, d.Version)
		})
	}
	version, err := s.meant(ctx, p.Tenant, collection, id, ifMatch)
	if err != nil {
		return err
	}
	return s.remove(ctx, p, collection, id, version)
}

// remove deletes a record that the principal may delete, at a version or, for 0,
// at any.
func (s *Service) remove(ctx context.Context, p platform.Principal, collection, id string, version int64) error {
	was, err := s.apply(ctx, p, collection, store.Change{Op: store.OpDelete, ID: id, IfVersion: version})
	if err != nil {
		return err
	}
	s.quotas.changed(p.Tenant, store.Size{Documents: -1, Bytes: -int64(len(was.Data))})
	return nil
}

// apply makes one change and its event.
func (s *Service) apply(ctx context.Context, p platform.Principal, collection string, change store.Change) (Record, error) {
	typ := recordUpdated
	switch change.Op {
	case store.OpInsert:
		typ = recordCreated
	case store.OpDelete:
		typ = recordDeleted
	case store.OpReplace, store.OpUpsert, store.OpPatch:
	}
	docs, err := s.docs.Apply(ctx, p.Tenant, collection, []store.Change{change}, s.changed(p, typ, collection, change.ID))
	if err != nil {
		return Record{}, single(err)
	}
	return docs[0], nil
}

// changed makes the event of a change.
func (s *Service) changed(p platform.Principal, typ, collection, id string) store.EventsBuilder {
	return func(applied []store.Document) []platform.Event {
		data := appendRecordEvent(make([]byte, 0, 64+len(collection)+len(id)), collection, &applied[0], "")
		return []platform.Event{s.event(p, typ, recordSubject(collection, id), data)}
	}
}

// single takes the reason out of a [store.ChangeError] of an only change.
func single(err error) error {
	var refused *store.ChangeError
	if errors.As(err, &refused) {
		return refused.Err
	}
	return err
}
